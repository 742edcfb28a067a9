package sibling

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bedplate.dev/runner/supervisor/internal/catalog"
	"bedplate.dev/runner/supervisor/internal/contract"
	"bedplate.dev/runner/supervisor/internal/gc"
	"bedplate.dev/runner/supervisor/internal/layout"
	"bedplate.dev/runner/supervisor/internal/paths"
	"bedplate.dev/runner/supervisor/internal/settings"
	"github.com/containerd/containerd/v2/pkg/cap"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func entry(source catalog.Source) catalog.Entry {
	e := catalog.Entry{Source: source, Contract: contract.Contract{
		Kind: "buildkit", Version: "0.34.2", StateLine: "0.34", Env: []string{"NS=${namespace}"},
		Networks: contract.Networks{contract.HostNetwork: nil, contract.BridgeNetwork: nil},
		Args:     []string{"/bin/d", "${socket}", "${state}", "${run}", "${containerdSocket}", "${cgroup}"},
	}}
	if source == catalog.Baked {
		e.Prefix = "/opt/bedplate/engines/buildkit/0.34.2"
	} else {
		e.Image = &layout.Image{}
	}
	return e
}

// host gives one with these settings.
func host(t *testing.T, text string) *Host {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bedplated.json")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	owner, err := settings.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return &Host{Account: &gc.Account{Path: "/"}, Paths: paths.At("/"), Owner: owner}
}

func specOf(t *testing.T, h *Host, e catalog.Entry) *specs.Spec {
	t.Helper()
	at := h.place(e.Contract, false)
	command, err := h.command(e, at)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := h.spec(e, at, command, names{"/etc/hosts", "/etc/resolv.conf"})
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func TestSpec(t *testing.T) {
	h := host(t, `{}`)
	spec := specOf(t, h, entry(catalog.Local))
	wantArgs := []string{"/bin/d", "/run/engines/buildkit/0.34.2/engine.sock", "/var/lib/bedplate/engines/buildkit/0.34",
		"/run/engines/buildkit/0.34.2", "/run/containerd/containerd.sock", "/bedplate-engines/buildkit-0.34.2/work"}
	if !slices.Equal(spec.Process.Args, wantArgs) {
		t.Errorf("args %q", spec.Process.Args)
	}
	if want := []string{"NS=buildkit-0.34", "TMPDIR=/var/lib/bedplate/engines/buildkit/0.34/tmp"}; !slices.Equal(spec.Process.Env, want) {
		t.Errorf("env %q", spec.Process.Env)
	}
	if !spec.Root.Readonly || spec.Linux.RootfsPropagation != "rshared" || spec.Linux.CgroupsPath != "/bedplate-engines/buildkit-0.34.2/engine" {
		t.Errorf("root %+v, linux %+v", spec.Root, spec.Linux)
	}
	if len(spec.Process.Rlimits) > 0 || spec.Linux.Seccomp != nil || spec.Linux.MaskedPaths != nil || spec.Linux.ReadonlyPaths != nil {
		t.Error("it limits the engine more than the runner is")
	}
	for _, namespace := range spec.Linux.Namespaces {
		if namespace.Type == specs.NetworkNamespace || namespace.Type == specs.CgroupNamespace {
			t.Errorf("a %s namespace of its own", namespace.Type)
		}
	}
}

func TestCapabilities(t *testing.T) {
	current, err := cap.Current()
	if err != nil || len(current) == 0 {
		t.Skip("no capability to give")
	}
	e := entry(catalog.Local)
	e.Capabilities = []string{current[0], "CAP_OF_NO_KERNEL"}
	h := host(t, `{}`)
	given := specOf(t, h, e).Process.Capabilities
	if !slices.Equal(given.Bounding, current[:1]) || !slices.Equal(given.Effective, current[:1]) || !slices.Equal(given.Permitted, current[:1]) {
		t.Errorf("given %+v, wanted %v of %v", given, e.Capabilities, current)
	}
}

func TestMounts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "bin")
	if err := os.Symlink("usr/bin", link); err != nil {
		t.Fatal(err)
	}
	h := &Host{Account: &gc.Account{Path: "/"}, Paths: paths.At("/"), BasePaths: []string{file, link}}
	find := func(e catalog.Entry, destination string) (int, *specs.Mount) {
		list := h.mounts(e, h.place(e.Contract, false), names{"/etc/hosts", "/etc/resolv.conf"})
		i := slices.IndexFunc(list, func(m specs.Mount) bool { return m.Destination == destination })
		if i < 0 {
			return i, nil
		}
		return i, &list[i]
	}
	proc, _ := find(entry(catalog.Baked), "/proc")
	for _, shared := range []string{"/run/containerd", "/var/lib/bedplate/containerd", "/var/lib/bedplate/engines/buildkit/0.34", "/run/engines/buildkit/0.34.2"} {
		i, mount := find(entry(catalog.Local), shared)
		if mount == nil || mount.Source != shared || !slices.Contains(mount.Options, "rshared") || i > proc {
			t.Errorf("%s: %d %+v", shared, i, mount)
		}
	}
	for path, baked := range map[string]bool{file: true, "/opt/bedplate/engines/buildkit/0.34.2": true, link: false, "/opt/bedplate/runner": false} {
		if _, mount := find(entry(catalog.Baked), path); (mount != nil) != baked {
			t.Errorf("baked, %s: %+v", path, mount)
		} else if mount != nil && !slices.Contains(mount.Options, "ro") {
			t.Errorf("baked, %s can be written", path)
		}
		if _, mount := find(entry(catalog.Local), path); mount != nil {
			t.Errorf("local, %s: its image has its own", path)
		}
	}

	rootfs := t.TempDir()
	if err := prepareRoot(rootfs, h.BasePaths); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(filepath.Join(rootfs, link)); err != nil || target != "usr/bin" {
		t.Errorf("the link: %q, %v", target, err)
	}
	if err := prepareRoot(t.TempDir(), []string{"/nowhere/at/all"}); err == nil || !strings.Contains(err.Error(), "/nowhere/at/all") {
		t.Errorf("got %v", err)
	}
}

func TestABridgeNeedsPlugins(t *testing.T) {
	for network, ours := range map[string]bool{"host": false, "bridge": true} {
		list := specOf(t, host(t, `{"network": "`+network+`"}`), entry(catalog.Local)).Mounts
		plugins := slices.IndexFunc(list, func(m specs.Mount) bool { return m.Destination == "/opt/bedplate/runner/cni" })
		if (plugins >= 0) != ours || plugins >= 0 && !slices.Contains(list[plugins].Options, "ro") {
			t.Errorf("%s: %+v", network, list)
		}
	}
}

func TestLastLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("of an earlier start\n1\n2\n3\n4\n5\n6\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	// An offset beyond the end: the log was emptied since, all of it is new.
	for offset, want := range map[int64]string{20: "2 | 3 | 4 | 5 | 6", 28: "5 | 6", 32: "", 999: "2 | 3 | 4 | 5 | 6"} {
		if got := lastLines(path, offset); got != want {
			t.Errorf("from %d: %q, want %q", offset, got, want)
		}
	}
	if got := lastLines(path+"x", 0); got != "" {
		t.Errorf("no log: %q", got)
	}
}
