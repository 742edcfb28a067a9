// Package disk measures a file system, and keeps some of it in reserve for when it is full: docs/spec/runner.md, "Disk".
package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Space is a file system's size and what a user of it may still take, in bytes.
type Space struct {
	Total, Free int64
}

// Measure looks at the file system that holds path.
func Measure(path string) (Space, error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return Space{}, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	return Space{Total: int64(stat.Blocks) * stat.Bsize, Free: int64(stat.Bavail) * stat.Bsize}, nil
}

const (
	reserveBytes = 32 << 20
	lowBytes     = 16 << 20 // the reserve is given up for the last of them
)

// Reserve is a file that takes space which nobody else then can. On a full disk even a removal needs a little: containerd's database
// writes before it frees. The reserve is given up for that, and taken again when there is room.
type Reserve struct {
	Path string
}

// Keep gives the reserve up when there is next to nothing free, and takes it when that leaves more than floor and some.
func (r Reserve) Keep(space Space, floor int64) (given bool, err error) {
	if space.Free < lowBytes {
		return r.give()
	}
	if space.Free > max(floor, lowBytes)+2*reserveBytes {
		return false, r.take(reserveBytes)
	}
	return false, nil
}

// give removes the file; whether it was there.
func (r Reserve) give() (bool, error) {
	err := os.Remove(r.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// take makes the file when it is not there; nothing is left of one that could not be made.
func (r Reserve) take(bytes int64) error {
	if _, err := os.Stat(r.Path); err == nil {
		return nil
	}
	file, err := os.OpenFile(r.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = unix.Fallocate(int(file.Fd()), 0, 0, bytes)
	if errors.Is(err, unix.EOPNOTSUPP) {
		err = nil // a file system without reservations: an empty file holds the place
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(fmt.Errorf("%s: reserving %d bytes: %w", r.Path, bytes, err), os.Remove(r.Path))
	}
	return nil
}
