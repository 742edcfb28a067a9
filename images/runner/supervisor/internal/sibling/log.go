package sibling

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/pkg/cio"
)

const (
	tailLines = 5
	tailBytes = 4 << 10
)

// output is where the shim writes what an engine says: a file that is there, appended to.
type output struct{ config cio.Config }

// newOutput names the file in two ways: the shim would else open it once for both streams, and close it when the first of them ends;
// what the second says last is lost then (containerd 2.4, cmd/containerd-shim-runc-v2/process/io.go, copyPipes).
func newOutput(path string) (cio.IO, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return nil, err
	}
	other := filepath.Dir(path) + "/./" + filepath.Base(path)
	return output{cio.Config{Stdout: path, Stderr: other}}, file.Close()
}

func (o output) Config() cio.Config { return o.config }
func (output) Cancel()              {}
func (output) Wait()                {}
func (output) Close() error         { return nil }

// logSize is where what an engine writes from now on will begin.
func logSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// lastLines gives the last few lines since offset, joined to one; "" when there are none.
func lastLines(path string, offset int64) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	size := logSize(path)
	if size < offset {
		offset = 0 // it has been emptied since
	}
	offset = max(offset, size-tailBytes)
	buffer := make([]byte, tailBytes)
	n, _ := file.ReadAt(buffer, offset)
	text := strings.TrimSpace(string(buffer[:n]))
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return strings.Join(lines, " | ")
}
