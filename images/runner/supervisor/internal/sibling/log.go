package sibling

import (
	"os"
	"strings"
)

const (
	tailLines = 5
	tailBytes = 4 << 10
)

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
