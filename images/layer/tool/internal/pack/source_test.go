package pack

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bedplate.dev/images/layer/tool/internal/fixture"
	"bedplate.dev/images/layer/tool/internal/plan"
)

// packSource packs one file with the given source into a folder and says what is in the folder then.
func packSource(t *testing.T, source string) (error, []os.DirEntry) {
	t.Helper()
	dir := t.TempDir()
	p := fixture.Plan(plan.Zstd, 1, fixture.Dir("d", 0o755), plan.Entry{Path: "d/f", Type: plan.File, Mode: fixture.Ptr[int64](0o644), Source: &source})
	_, err := ToFile(t.Context(), p, filepath.Join(dir, "blob"), 2)
	left, readErr := os.ReadDir(dir)
	if readErr != nil {
		t.Fatal(readErr)
	}
	return err, left
}

func TestBadSources(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.WriteFile(at("file"), nil, 0o644), os.Symlink("file", at("link")), syscall.Mkfifo(at("fifo"), 0o644)); err != nil {
		t.Fatal(err)
	}
	for source, want := range map[string]string{
		at("missing"): "no such file", at("link"): "is a symlink", at("fifo"): "not a regular file",
		dir: "not a regular file", "/dev/null": "not a regular file", at("file") + "/x": "not a directory",
	} {
		err, left := packSource(t, source)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), source) || !strings.Contains(err.Error(), `"d/f"`) {
			t.Errorf("%s: %v", source, err)
		}
		if len(left) != 0 {
			t.Errorf("%s: left behind: %v", source, left)
		}
	}
}

// A source that is written to while it is packed: the pipeline's output changes it after the first frame.
func TestChangingSources(t *testing.T) {
	for name, change := range map[string]func(string) error{
		"grows": func(s string) error {
			f, err := os.OpenFile(s, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteString("x")
			return err
		},
		"shrinks":        func(s string) error { return os.Truncate(s, 100) },
		"same size":      func(s string) error { return os.WriteFile(s, bytes.Repeat([]byte("y"), 4<<20), 0o644) },
		"grows, shrinks": func(s string) error { return errors.Join(os.Truncate(s, 9<<20), os.Truncate(s, 4<<20)) },
	} {
		source := filepath.Join(t.TempDir(), "source")
		if err := os.WriteFile(source, make([]byte, 4<<20), 0o644); err != nil {
			t.Fatal(err)
		}
		p := fixture.Plan(plan.None, 0, plan.Entry{Path: "f", Type: plan.File, Mode: fixture.Ptr[int64](0o644), Source: &source})
		once := &onFirstWrite{do: func() error { return change(source) }}
		_, err := Pack(t.Context(), p, once, 1)
		if err == nil || !strings.Contains(err.Error(), "source "+source+" changed while it was read") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type onFirstWrite struct{ do func() error }

func (w *onFirstWrite) Write(b []byte) (int, error) {
	if w.do != nil {
		if err := w.do(); err != nil {
			return 0, err
		}
		w.do = nil
	}
	return len(b), nil
}

// The disk is full: the error says so, and nobody hangs.
func TestFailingOutput(t *testing.T) {
	for _, threads := range []int{1, 2, 8} {
		_, err := Pack(t.Context(), fixture.Everything(t, plan.Gzip, 1), full{}, threads)
		if !errors.Is(err, io.ErrShortWrite) || !strings.Contains(err.Error(), "check the disk") {
			t.Errorf("%v", err)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestOutput(t *testing.T) {
	dir := t.TempDir()
	p := fixture.Plan(plan.None, 0)
	if _, err := ToFile(t.Context(), p, filepath.Join(dir, "no", "blob"), 1); err == nil || !strings.Contains(err.Error(), "no/blob") {
		t.Errorf("no folder: %v", err)
	}
	if _, err := ToFile(t.Context(), p, dir, 1); err == nil || !strings.Contains(err.Error(), "is no regular file") {
		t.Errorf("a folder: %v", err)
	}
	path := filepath.Join(dir, "blob")
	for range 2 {
		if _, err := ToFile(t.Context(), p, path, 1); err != nil {
			t.Fatal(err)
		}
	}
	if fi, err := os.Stat(path); err != nil || fi.Size() != 1024 || fi.Mode() != 0o644 {
		t.Errorf("%v %v", fi, err)
	}
}
