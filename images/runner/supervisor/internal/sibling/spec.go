package sibling

import (
	"fmt"
	"os"
	"path/filepath"

	"bedplate.dev/runner/supervisor/internal/catalog"
	"bedplate.dev/runner/supervisor/internal/contract"
	"github.com/containerd/containerd/v2/pkg/cap"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// command is how the entry's engine is started here.
func (h *Host) command(entry catalog.Entry, at place) (contract.Command, error) {
	return entry.Command(contract.Values{
		Socket:           at.socket,
		State:            at.state,
		Run:              at.run,
		ContainerdSocket: h.Paths.ContainerdSocket,
		Namespace:        at.namespace,
		Cgroup:           at.workCgroup,
	})
}

// spec gives the engine's OCI runtime spec: as privileged as the runner, and no more. Its root is the task's "rootfs".
func (h *Host) spec(entry catalog.Entry, at place, command contract.Command) (*specs.Spec, error) {
	// Never "all": what the host's bounding set lacks, runc cannot give.
	capabilities, err := cap.Current()
	if err != nil {
		return nil, fmt.Errorf("reading the runner's capabilities: %w", err)
	}
	devices, err := oci.HostDevices()
	if err != nil {
		return nil, fmt.Errorf("listing the runner's devices: %w", err)
	}
	return &specs.Spec{
		Version: specs.Version,
		Process: &specs.Process{
			Args: command.Args,
			Env:  append(append(h.Env, command.Env...), "TMPDIR="+at.tmp),
			Cwd:  "/",
			Capabilities: &specs.LinuxCapabilities{
				Bounding: capabilities, Effective: capabilities, Permitted: capabilities,
			},
			// No rlimits: those of the runner.
		},
		Root:     &specs.Root{Path: "rootfs", Readonly: true},
		Hostname: entry.ID(),
		Mounts:   h.mounts(entry, at),
		Linux: &specs.Linux{
			// No network and no cgroup namespace: the engine has the runner's.
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace},
			},
			CgroupsPath: at.cgroup,
			Devices:     devices,
			Resources: &specs.LinuxResources{
				Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}},
			},
			RootfsPropagation: "rshared",
		},
	}, nil
}

// mounts are made in this order. What is shared comes first: containerd's state folder holds this container's own root,
// and a bind of it should not carry /proc, /dev and /sys along.
func (h *Host) mounts(entry catalog.Entry, at place) []specs.Mount {
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
	// What the owner's pieces of configuration refer to, such as an authority's certificate.
	for _, file := range []string{"/etc/hosts", "/etc/resolv.conf", filepath.Join(h.Paths.OwnerConfig, entry.Kind)} {
		if _, err := os.Stat(file); err == nil {
			list = append(list, readOnly(file))
		}
	}
	return list
}

func readOnly(path string) specs.Mount {
	return specs.Mount{Destination: path, Type: "bind", Source: path, Options: []string{"rbind", "rslave", "ro"}}
}
