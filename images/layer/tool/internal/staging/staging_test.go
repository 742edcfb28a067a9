package staging

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

// leave makes what a killed run leaves: a temporary that nobody holds.
func leave(t *testing.T, path string, isDir bool) {
	t.Helper()
	var err error
	if isDir {
		err = os.MkdirAll(filepath.Join(path, "sub"), 0o700)
	} else {
		err = os.WriteFile(path, []byte("half"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestFileRemovesLeftoversOnly(t *testing.T) {
	dir := t.TempDir()
	alive, err := NewFile(filepath.Join(dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	leave(t, filepath.Join(dir, ".tmp-layer-1"), false)
	leave(t, filepath.Join(dir, ".tmp-other"), false)
	second, err := NewFile(filepath.Join(dir, "b"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*File{alive, second} {
		if err := f.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, dir); got != ".tmp-other a b" {
		t.Errorf("the folder has %s", got)
	}
}

func TestDirRemovesLeftoversOnly(t *testing.T) {
	dir := t.TempDir()
	dest := filepath.Join(dir, "root")
	leave(t, dest+".tmp-1", true)
	leave(t, filepath.Join(dir, "root2.tmp-1"), true)
	alive, err := NewDir(dest + "/")
	if err != nil {
		t.Fatal(err)
	}
	second, err := NewDir(dest)
	if err != nil {
		t.Fatal(err)
	}
	leave(t, filepath.Join(second.Path, "file"), false)
	if err := second.Commit(); err != nil {
		t.Fatal(err)
	}
	leave(t, filepath.Join(alive.Path, "file"), false)
	if err := alive.Commit(); err == nil {
		t.Error("a folder that was there was replaced")
	}
	if got := names(t, dir); got != "root root2.tmp-1" {
		t.Errorf("the folder has %s", got)
	}
	if fi, err := os.Stat(dest); err != nil || fi.Mode().Perm() != 0o755 {
		t.Errorf("%v %v", fi.Mode(), err)
	}
	if _, err := NewDir(dest); err == nil || !strings.Contains(err.Error(), "exists already") {
		t.Errorf("a folder that exists: %v", err)
	}
}

// Many runs at once, each cleaning up, never take each other's temporaries.
func TestConcurrentRuns(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 50 {
				f, err := NewFile(filepath.Join(dir, string(rune('a'+i))))
				if err != nil {
					t.Error(err)
					return
				}
				if err := f.Commit(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := names(t, dir); got != "a b c d e f g h" {
		t.Errorf("the folder has %s", got)
	}
}
