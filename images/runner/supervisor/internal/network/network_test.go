package network

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNames(t *testing.T) {
	file := filepath.Join(t.TempDir(), "id")
	open := func(file string) *Bridges {
		b, err := Open(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := open(file)
	name := first.name("buildkit-0.34.2")
	if len(name) > unix.IFNAMSIZ-1 {
		t.Errorf("%s is longer than the kernel takes", name)
	}
	if again := open(file).name("buildkit-0.34.2"); again != name {
		t.Errorf("a later life calls it %s, not %s", again, name)
	}
	if other := first.name("buildkit-0.13.2"); other == name {
		t.Errorf("two engines have %s", name)
	}
	if err := os.WriteFile(file, []byte("../x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if other := open(file); other.runner == first.runner || !idPattern.MatchString(other.runner) {
		t.Errorf("a broken file gave %q", other.runner)
	}
}
