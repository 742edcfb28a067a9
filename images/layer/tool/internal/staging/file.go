package staging

import (
	"fmt"
	"os"
	"path/filepath"
)

// filePrefix begins the names of temporary files. It is this program's own within `.tmp-*`, since other programs
// that write to the same folder do not hold locks on theirs.
const filePrefix = ".tmp-layer-"

// File is a file being made.
type File struct {
	*os.File
	final string
}

// NewFile creates a temporary file in the folder of path, having removed what killed runs left there. Either
// [File.Commit] or [File.Discard] ends it.
func NewFile(path string) (*File, error) {
	dir := filepath.Dir(path)
	if err := removeLeftovers(dir, filePrefix); err != nil {
		return nil, fmt.Errorf("%s: leftovers of a killed run cannot be removed: %w; check that the folder exists and can be written", path, err)
	}
	if fi, err := os.Lstat(path); err == nil && !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: exists and is no regular file; choose another name", path)
	}
	for {
		f, err := os.CreateTemp(dir, filePrefix+"*")
		if err != nil {
			return nil, fmt.Errorf("%s: no temporary file beside it: %w; check that the folder can be written", path, err)
		}
		if kept, err := lock(f); err != nil {
			f.Close()
			os.Remove(f.Name())
			return nil, fmt.Errorf("%s: %w; use a file system that has flock", path, err)
		} else if kept {
			return &File{f, path}, nil
		}
		f.Close()
	}
}

// Commit closes the file and gives it its final name, replacing a file that has it. It is not fsynced: a blob is
// named by its digest, and whoever reads it checks that.
func (f *File) Commit() error {
	err := f.Chmod(0o644)
	if err == nil {
		err = os.Rename(f.Name(), f.final)
	}
	if err != nil {
		f.Discard()
		return fmt.Errorf("%s: cannot be completed: %w; nothing was written", f.final, err)
	}
	if err := f.Close(); err != nil {
		os.Remove(f.final)
		return fmt.Errorf("%s: cannot be completed: %w; nothing was written", f.final, err)
	}
	return nil
}

// Discard removes the temporary file.
func (f *File) Discard() {
	os.Remove(f.Name())
	f.Close()
}
