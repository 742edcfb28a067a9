package ownerconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
)

const own = "[worker.containerd]\n  defaultCgroupParent = \"/x\"\n"

func write(t *testing.T, folder, path, text string) {
	t.Helper()
	path = filepath.Join(folder, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func apply(folder string) (map[string]string, error) {
	return Apply(folder, "buildkit", "0.34.2", map[string]string{"buildkitd.toml": own, "note": "as it is"}, nil)
}

func TestWithoutFilesNothingChanges(t *testing.T) {
	got, err := apply(t.TempDir())
	if err != nil || got["buildkitd.toml"] != own || got["note"] != "as it is" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestKindThenVersionThenContract(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "buildkit/buildkitd.toml", `
debug = true
[registry."docker.io"]
mirrors = ["mirror.example.org"]
[worker.containerd]
gc = true
[worker.containerd.labels]
rack = "1"`)
	write(t, folder, "buildkit/0.34.2/buildkitd.toml", "debug = false\n[registry.\"docker.io\"]\nmirrors = [\"other.example.org\"]\n")
	write(t, folder, "buildkit/0.29.0/buildkitd.toml", "debug = \"another version's\"\n")
	got, err := apply(folder)
	if err != nil {
		t.Fatal(err)
	}
	var merged struct {
		Debug    bool
		Registry map[string]struct{ Mirrors []string }
		Worker   struct {
			Containerd struct {
				GC                  bool
				Labels              map[string]string
				DefaultCgroupParent string
			}
		}
	}
	if err := toml.Unmarshal([]byte(got["buildkitd.toml"]), &merged); err != nil {
		t.Fatal(err)
	}
	worker := merged.Worker.Containerd
	if merged.Debug || merged.Registry["docker.io"].Mirrors[0] != "other.example.org" || !worker.GC ||
		worker.Labels["rack"] != "1" || worker.DefaultCgroupParent != "/x" {
		t.Errorf("got %s", got["buildkitd.toml"])
	}
}

func TestMerge(t *testing.T) {
	got, err := Merge(map[string]string{"a.toml": own, "note": "as it is"}, map[string]string{"a.toml": "[worker.containerd]\nnetworkMode = 'host'\n"})
	if err != nil || got["note"] != "as it is" || got["a.toml"] != "[worker]\n[worker.containerd]\ndefaultCgroupParent = '/x'\nnetworkMode = 'host'\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRefused(t *testing.T) {
	for text, part := range map[string]string{
		"[worker.containerd]\ndefaultCgroupParent = \"/mine\"\n": "worker.containerd.defaultCgroupParent is the runner's to set",
		"[worker]\ncontainerd = false\n":                         "worker.containerd is the runner's to set",
		"debug = tru\n":                                          "line 1, column",
	} {
		folder := t.TempDir()
		write(t, folder, "buildkit/buildkitd.toml", text)
		if _, err := apply(folder); err == nil || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), folder) {
			t.Errorf("%q: got %v, want an error with the file and %q", text, err, part)
		}
	}
}

// FuzzApply: whatever the owner writes, the result is TOML with the contract's own setting, or an error.
func FuzzApply(f *testing.F) {
	f.Add("debug = true\n[worker.containerd]\ngc = true\n")
	f.Add("[[worker.containerd]]\nx = 1\n")
	f.Add("worker = [1979-05-27T07:32:00Z, nan]\n")
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		write(t, folder, "buildkit/buildkitd.toml", text)
		got, err := apply(folder)
		if err != nil {
			return
		}
		var merged struct {
			Worker struct {
				Containerd struct{ DefaultCgroupParent string }
			}
		}
		if err := toml.Unmarshal([]byte(got["buildkitd.toml"]), &merged); err != nil || merged.Worker.Containerd.DefaultCgroupParent != "/x" {
			t.Errorf("%q gave %q, %v", text, got["buildkitd.toml"], err)
		}
	})
}

func TestDefaultsAreTheOwnersToReplace(t *testing.T) {
	folder := t.TempDir()
	if err := os.MkdirAll(folder+"/buildkit", 0o755); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{"buildkitd.toml": "[worker]\nparent = 'x'\n"}
	defaults := map[string]string{"buildkitd.toml": "[worker]\nmost = '5'\nleast = '1'\n"}
	for owner, want := range map[string]string{
		"":                       "[worker]\nleast = '1'\nmost = '5'\nparent = 'x'\n",
		"[worker]\nmost = '9'\n": "[worker]\nleast = '1'\nmost = '9'\nparent = 'x'\n",
	} {
		if err := os.WriteFile(folder+"/buildkit/buildkitd.toml", []byte(owner), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := Apply(folder, "buildkit", "0.34.2", files, defaults)
		if err != nil || got["buildkitd.toml"] != want {
			t.Errorf("owner's %q: got %q, %v", owner, got["buildkitd.toml"], err)
		}
	}
}
