// Package staging makes files and folders under a temporary name and moves them to their final one when they are
// complete, so that nothing half-made ever has a final name.
//
// A run that is killed by SIGKILL leaves its temporary behind; the next run removes it. To tell a leftover from the
// temporary of a run that is alive beside this one, every run holds a flock(2) on its own, which the kernel gives up
// with the process.
package staging

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// lock takes the exclusive lock of f and says whether f is still the thing that has its name: a run that cleans up
// can see a temporary in the moment between its creation and its lock, take it for a leftover, and remove it.
func lock(f *os.File) (kept bool, err error) {
	for {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		return false, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
	}
	now, err := os.Lstat(f.Name())
	if os.IsNotExist(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	mine, err := f.Stat()
	return err == nil && os.SameFile(now, mine), err
}

// removeLeftovers removes what is in folder dir, has a name that begins with prefix, and belongs to no live run.
func removeLeftovers(dir, prefix string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) || !e.Type().IsRegular() && !e.IsDir() {
			continue
		}
		if err := removeUnlocked(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func removeUnlocked(path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if os.IsNotExist(err) {
		return nil // its run has just finished
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil // a live run's
	}
	return os.RemoveAll(path)
}
