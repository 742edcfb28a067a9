package sibling

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"bedplate.dev/runner/supervisor/internal/catalog"
	"bedplate.dev/runner/supervisor/internal/contract"
	"github.com/containerd/containerd/v2/pkg/cap"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// command is how the entry's engine is started here.
func (h *Host) command(entry catalog.Entry, at place) (contract.Command, error) {
	cache, free, err := h.Account.Share(!exists(at.state))
	if err != nil {
		return contract.Command{}, err
	}
	return entry.Command(contract.Values{
		Socket:           at.socket,
		State:            at.state,
		Run:              at.run,
		ContainerdSocket: h.Paths.ContainerdSocket,
		Namespace:        at.namespace,
		Cgroup:           at.workCgroup,
		CacheBytes:       cache,
		FreeBytes:        free,
		NetworkConfig:    at.networkConfig,
		NetworkPlugins:   h.Paths.CNI,
	}, h.Owner.Engine(entry.Kind, entry.Version).Network)
}

// capabilities are those that the start contract lists and the owner adds, as far as the runner has them: what its bounding set
// lacks, runc cannot give.
func (h *Host) capabilities(entry catalog.Entry) ([]string, error) {
	current, err := cap.Current()
	if err != nil {
		return nil, fmt.Errorf("reading the runner's capabilities: %w", err)
	}
	wanted := append(slices.Clone(entry.Capabilities), h.Owner.Engine(entry.Kind, entry.Version).Capabilities...)
	return slices.DeleteFunc(current, func(name string) bool { return !slices.Contains(wanted, name) }), nil
}

// cdiFolders are where the host describes devices that containers can ask for: the Container Device Interface's defaults.
var cdiFolders = []string{"/etc/cdi", "/var/run/cdi"}

// cdiDevices are the nodes of all devices when the host describes some: an engine that hands one to a RUN step looks at its node
// first. The engine itself cannot open them.
func (h *Host) cdiDevices() ([]specs.LinuxDevice, error) {
	if !slices.ContainsFunc(cdiFolders, exists) {
		return nil, nil
	}
	devices, err := oci.HostDevices()
	if err != nil {
		return nil, fmt.Errorf("listing the runner's devices: %w", err)
	}
	return devices, nil
}

// names are the files that an engine finds hosts by.
type names struct {
	hosts, resolvConf string // sources of the mounts
}

// spec gives the engine's OCI runtime spec. Its root is the task's "rootfs".
func (h *Host) spec(entry catalog.Entry, at place, command contract.Command, names names) (*specs.Spec, error) {
	capabilities, err := h.capabilities(entry)
	if err != nil {
		return nil, err
	}
	devices, err := h.cdiDevices()
	if err != nil {
		return nil, err
	}
	return &specs.Spec{
		Version: specs.Version,
		Process: &specs.Process{
			Args: command.Args,
			Env:  append(append(slices.Clone(h.Owner.Env), command.Env...), "TMPDIR="+at.tmp),
			Cwd:  "/",
			Capabilities: &specs.LinuxCapabilities{
				Bounding: capabilities, Effective: capabilities, Permitted: capabilities,
			},
			// No rlimits: those of the runner.
		},
		Root:     &specs.Root{Path: "rootfs", Readonly: true},
		Hostname: entry.ID(),
		Mounts:   h.mounts(entry, at, names),
		Linux: &specs.Linux{
			// No network and no cgroup namespace: the engine has the runner's.
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
			},
			CgroupsPath: at.engineCgroup,
			Devices:     devices,
			Resources: &specs.LinuxResources{
				// To make nodes of any device in layers, to use those that every container has (runc adds them).
				Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}, {Allow: true, Access: "m"}},
			},
			RootfsPropagation: "rshared",
		},
	}, nil
}

// mounts are made in this order. What is shared comes first: containerd's state folder holds this container's own root,
// and a bind of it should not carry /proc, /dev and /sys along.
func (h *Host) mounts(entry catalog.Entry, at place, names names) []specs.Mount {
	list := []specs.Mount{{Destination: "/run", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "mode=755"}}}
	// At the same path in and out: engines hand containerd paths that it opens in its own mount namespace.
	for _, folder := range []string{h.Paths.ContainerdState, h.Paths.ContainerdRoot, at.state, at.run} {
		list = append(list, specs.Mount{Destination: folder, Type: "bind", Source: folder, Options: []string{"rbind", "rshared", "rw"}})
	}
	list = append(list,
		specs.Mount{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		specs.Mount{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		specs.Mount{Destination: "/dev/pts", Type: "devpts", Source: "devpts",
			Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		specs.Mount{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		specs.Mount{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		// The runner's own, so that a cgroup has the same path for containerd and for the engine.
		specs.Mount{Destination: "/sys", Type: "bind", Source: "/sys", Options: []string{"rbind", "rslave", "rw"}},
		specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "mode=1777"}},
	)
	if entry.Source == catalog.Baked {
		list = append(list, readOnly(entry.Prefix))
		for _, path := range h.BasePaths {
			if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSymlink == 0 {
				list = append(list, readOnly(path))
			}
		}
	}
	list = append(list, readOnlyAt("/etc/hosts", names.hosts), readOnlyAt("/etc/resolv.conf", names.resolvConf))
	for _, folder := range cdiFolders {
		if exists(folder) {
			list = append(list, readOnly(folder))
		}
	}
	if h.Owner.Engine(entry.Kind, entry.Version).Network == contract.BridgeNetwork {
		// CNI's libraries and plugins keep there who has which address: for as long as the engine lives.
		list = append(list, readOnly(h.Paths.CNI),
			specs.Mount{Destination: "/var/lib/cni", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "noexec", "mode=700"}})
	}
	// What the owner's pieces of configuration refer to, such as an authority's certificate.
	if folder := filepath.Join(h.Paths.OwnerConfig, entry.Kind); exists(folder) {
		list = append(list, readOnly(folder))
	}
	return list
}

func readOnly(path string) specs.Mount { return readOnlyAt(path, path) }

func readOnlyAt(path, source string) specs.Mount {
	return specs.Mount{Destination: path, Type: "bind", Source: source, Options: []string{"rbind", "rslave", "ro"}}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
