package mounts

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// A bind of another folder below TMPDIR is what a killed BuildKit leaves: emptying must not reach through it.
func TestEmptyBelowNeverRemovesThroughAMount(t *testing.T) {
	precious, folder := t.TempDir(), t.TempDir()
	if err := os.WriteFile(precious+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	point := filepath.Join(folder, "buildkit mount")
	if err := os.MkdirAll(point, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 { // one over the other
		if err := unix.Mount(precious, point, "", unix.MS_BIND, ""); err != nil {
			t.Skip("cannot mount here:", err)
		}
	}
	if points, err := Below(folder); err != nil || len(points) != 2 || points[0] != point {
		t.Errorf("mounts below: %q, %v", points, err)
	}
	if err := EmptyBelow(folder); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(precious + "/file"); err != nil {
		t.Error("it removed through the mount:", err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestEmptyBelowOfNothing(t *testing.T) {
	if err := EmptyBelow("/nowhere/at/all"); err != nil {
		t.Error(err)
	}
}

func TestUnescape(t *testing.T) {
	for text, want := range map[string]string{`/a\040b\134c`: `/a b\c`, `/plain`: `/plain`, `/end\04`: `/end\04`} {
		if got := unescape(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
