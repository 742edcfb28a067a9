package pack

import (
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"bedplate.dev/images/layer/tool/internal/plan"
)

// contents are the bytes of one file entry.
type contents struct {
	io.Reader
	size  int64
	name  string       // for errors
	check func() error // called after size bytes were read: fails when they are no longer the whole truth
	close func() error
}

// open opens the contents of a file entry. The caller closes them.
func open(e *plan.Entry) (*contents, error) {
	if e.Content != nil {
		raw, err := base64.StdEncoding.Strict().DecodeString(*e.Content)
		if err != nil {
			return nil, err // a checked plan has none of these
		}
		nothing := func() error { return nil }
		return &contents{strings.NewReader(string(raw)), int64(len(raw)), "content", nothing, nothing}, nil
	}
	return openSource(*e.Source)
}

// openSource opens the regular file at path. O_NONBLOCK keeps a FIFO from blocking the open; links are refused,
// since a plan that names one means either the link, which has an entry type of its own, or does not know what it
// names.
func openSource(path string) (*contents, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if pathErr, ok := err.(*os.PathError); ok && pathErr.Err == syscall.ELOOP {
		return nil, fmt.Errorf("source %s is a symlink, not a regular file; name the file it points to", path)
	}
	if err != nil {
		return nil, fmt.Errorf("source cannot be opened: %w; make it first", err)
	}
	before, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("source %s: %w", path, err)
	}
	if !before.Mode().IsRegular() {
		f.Close()
		return nil, fmt.Errorf("source %s is not a regular file (%s); give such an entry its own type", path, before.Mode().Type())
	}
	check := func() error {
		after, err := f.Stat()
		if err != nil {
			return fmt.Errorf("source %s: %w", path, err)
		}
		if after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
			return changed(path, before.Size(), after.Size())
		}
		return nil
	}
	return &contents{f, before.Size(), path, check, f.Close}, nil
}

func changed(path string, before, after int64) error {
	return fmt.Errorf("source %s changed while it was read (%d bytes before, %d after); run again when nothing writes to it", path, before, after)
}
