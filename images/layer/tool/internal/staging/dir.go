package staging

import (
	"fmt"
	"os"
	"path/filepath"
)

// Dir is a folder being made.
type Dir struct {
	Path  string // where it is until Commit
	final string
	held  *os.File // holds the lock
}

// NewDir creates an empty folder `<path>.tmp-<random>`, having removed what killed runs left under such names. path
// must not exist. Either [Dir.Commit] or [Dir.Discard] ends it.
func NewDir(path string) (*Dir, error) {
	path = filepath.Clean(path)
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("%s: exists already; remove it or name another folder", path)
	} else if !os.IsNotExist(err) {
		return nil, fmt.Errorf("%s: %w; check the folder it is to be in", path, err)
	}
	parent, prefix := filepath.Dir(path), filepath.Base(path)+".tmp-"
	if err := removeLeftovers(parent, prefix); err != nil {
		return nil, fmt.Errorf("%s: leftovers of a killed run cannot be removed: %w; check that the folder exists and can be written", path, err)
	}
	for {
		tmp, err := os.MkdirTemp(parent, prefix+"*")
		if err != nil {
			return nil, fmt.Errorf("%s: no temporary folder beside it: %w; check that the folder can be written", path, err)
		}
		d, err := hold(tmp, path)
		if err != nil {
			os.RemoveAll(tmp)
			return nil, fmt.Errorf("%s: %w; use a file system that has flock", path, err)
		}
		if d != nil {
			return d, nil
		}
	}
}

// hold locks folder tmp; a nil Dir means that another run took it for a leftover.
func hold(tmp, final string) (*Dir, error) {
	f, err := os.Open(tmp)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	kept, err := lock(f)
	if err != nil || !kept {
		f.Close()
		return nil, err
	}
	return &Dir{Path: tmp, final: final, held: f}, nil
}

// Commit gives the folder its final name and mode 0755. It refuses to replace anything but an empty folder.
func (d *Dir) Commit() error {
	err := os.Chmod(d.Path, 0o755)
	if err == nil {
		err = os.Rename(d.Path, d.final)
	}
	if err != nil {
		d.Discard()
		return fmt.Errorf("%s: cannot be completed: %w; nothing was written", d.final, err)
	}
	return d.held.Close()
}

// Discard removes the folder and all that is in it.
func (d *Dir) Discard() error {
	defer d.held.Close()
	if err := os.RemoveAll(d.Path); err != nil {
		return fmt.Errorf("%s: cannot be removed: %w; remove it by hand", d.Path, err)
	}
	return nil
}
