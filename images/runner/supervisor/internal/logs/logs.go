// Package logs keeps log files to a size.
package logs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// MostBytes is what one log file may have; with the one before it, a log takes twice that.
const MostBytes = 10 << 20

// Keep looks at the folder's *.log files again and again until ctx ends: one of more than most bytes becomes <name>.1, and is emptied.
// Its writer goes on writing to the same file: it has to append (O_APPEND), as containerd and its shims do. What it writes between
// the copy and the emptying is lost.
func Keep(ctx context.Context, folder string, most int64, every time.Duration, log *slog.Logger) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		files, _ := filepath.Glob(filepath.Join(folder, "*.log")) // the pattern is well-formed
		for _, file := range files {
			if err := rotate(file, most); err != nil && !errors.Is(err, fs.ErrNotExist) {
				log.Warn("log not rotated", "file", file, "error", err.Error())
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func rotate(path string, most int64) error {
	info, err := os.Stat(path)
	if err != nil || info.Size() <= most {
		return err
	}
	if err := copyTo(path, path+".1", info.Mode().Perm()); err != nil {
		return err
	}
	return os.Truncate(path, 0)
}

// copyTo is whole or not at all.
func copyTo(from, to string, mode fs.FileMode) (err error) {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to+".tmp", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	if err = errors.Join(err, target.Close()); err != nil {
		return errors.Join(err, os.Remove(to+".tmp"))
	}
	return os.Rename(to+".tmp", to)
}

// Bounded writes whole lines to a file that it keeps below most bytes: when that is reached, the older half goes. What is no
// regular file (a terminal, a pipe) is written to as it is.
type Bounded struct {
	file *os.File
	most int64

	mu   sync.Mutex
	size int64
}

// NewBounded bounds a file that is open for appending.
func NewBounded(file *os.File, most int64) *Bounded {
	b := &Bounded{file: file, most: most}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		b.most = 0
	} else {
		b.size = info.Size()
	}
	return b
}

// Write implements io.Writer.
func (b *Bounded) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.most > 0 && b.size+int64(len(line)) > b.most {
		if err := b.halve(); err != nil {
			b.most = 0 // it cannot be read or emptied: a log that grows is better than none
		}
	}
	n, err := b.file.Write(line)
	b.size += int64(n)
	return n, err
}

func (b *Bounded) halve() error {
	// The descriptor itself may be for writing only.
	whole, err := os.ReadFile(filepath.Join("/proc/self/fd", strconv.FormatUint(uint64(b.file.Fd()), 10)))
	if err != nil {
		return err
	}
	tail := whole[max(0, int64(len(whole))-b.most/2):]
	if _, after, found := bytes.Cut(tail, []byte("\n")); found {
		tail = after
	}
	if err := b.file.Truncate(0); err != nil {
		return err
	}
	n, err := b.file.Write(tail)
	b.size = int64(n)
	return err
}
