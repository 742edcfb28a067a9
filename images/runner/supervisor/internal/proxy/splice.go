package proxy

import (
	"errors"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

const (
	bufferBytes = 32 << 10
	bulkBytes   = 256 << 10
	pipeBytes   = 1 << 20 // the most that an ordinary pipe may be given (fs.pipe-max-size's default)
)

// Copy copies until from ends. Between two unix sockets, which Go's own io.Copy takes through memory, the kernel moves the bytes as
// soon as there have been many: a connection that says little needs no pipe.
func Copy(to io.Writer, from io.Reader) (int64, error) {
	target, unixTo := to.(*net.UnixConn)
	source, unixFrom := from.(*net.UnixConn)
	if !unixTo || !unixFrom {
		return io.Copy(to, from)
	}
	var total int64
	buffer := make([]byte, bufferBytes)
	for {
		n, err := source.Read(buffer)
		if n > 0 {
			written, err := target.Write(buffer[:n])
			total += int64(written)
			if err != nil {
				return total, err
			}
		}
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		if total >= bulkBytes {
			break
		}
	}
	moved, err := splice(target, source)
	return total + moved, err
}

// splice moves bytes through a pipe, splice(2), until source ends.
func splice(target, source *net.UnixConn) (total int64, err error) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return 0, os.NewSyscallError("pipe2", err)
	}
	defer unix.Close(ends[0])
	defer unix.Close(ends[1])
	// Refused when the user's pipes hold much already (pipe-user-pages-soft): a small pipe carries the bytes as well.
	_, _ = unix.FcntlInt(uintptr(ends[1]), unix.F_SETPIPE_SZ, pipeBytes)
	in, err := source.SyscallConn()
	if err != nil {
		return 0, err
	}
	out, err := target.SyscallConn()
	if err != nil {
		return 0, err
	}
	for {
		held, err := move(in.Read, func(fd int) (int64, error) { return spliceOnce(fd, ends[1], pipeBytes) })
		if err != nil || held == 0 {
			return total, err
		}
		for held > 0 {
			n, err := move(out.Write, func(fd int) (int64, error) { return spliceOnce(ends[0], fd, int(held)) })
			total += n
			if err != nil {
				return total, err
			}
			held -= n
		}
	}
}

func spliceOnce(from, to, most int) (int64, error) {
	return unix.Splice(from, nil, to, nil, most, unix.SPLICE_F_MOVE|unix.SPLICE_F_NONBLOCK)
}

// move calls once when the socket is ready, again after an interruption.
func move(wait func(func(uintptr) bool) error, once func(fd int) (int64, error)) (n int64, err error) {
	waitErr := wait(func(fd uintptr) bool {
		for {
			n, err = once(int(fd))
			if err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	})
	if waitErr != nil {
		return 0, waitErr
	}
	if err != nil {
		return 0, os.NewSyscallError("splice", err)
	}
	return n, nil
}
