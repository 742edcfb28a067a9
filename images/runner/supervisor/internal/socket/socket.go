// Package socket opens the unix sockets that the host sees: docs/spec/runner.md, "bedplated.json".
package socket

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"bedplate.dev/runner/supervisor/internal/settings"
)

// longestBytes is what sockaddr_un holds, 108 bytes, without the NUL at its end.
const longestBytes = 107

// queueTime is for accepting who stands in a listener's queue.
const queueTime = 100 * time.Millisecond

// Opener opens sockets below Root with the owner, group and mode of the settings.
type Opener struct {
	Root     string // /run/bedplate
	Settings settings.Settings
}

// Check refuses a path that is too long for a socket, inside the runner or where the host sees it. The path is below Root.
func (o Opener) Check(path string) error {
	if err := checkLength(path, "keep engine kinds and versions shorter"); err != nil {
		return err
	}
	if o.Settings.HostRun == "" {
		return nil
	}
	relative, err := filepath.Rel(o.Root, path)
	if err != nil {
		return err
	}
	return checkLength(filepath.Join(o.Settings.HostRun, relative),
		"choose a shorter state folder on the host (hostRun in bedplated.json), or a symbolic link to it from a shorter one")
}

func checkLength(path, advice string) error {
	if len(path) <= longestBytes {
		return nil
	}
	return fmt.Errorf("socket path %s has %d bytes, a unix socket's has at most %d: %s", path, len(path), longestBytes, advice)
}

// Listener is an open socket that knows its own file.
type Listener struct {
	*net.UnixListener
	path string
	file os.FileInfo
}

// Mine tells whether the file at the socket's path is still its own: another process may have put its own there.
func (l *Listener) Mine() bool {
	now, err := os.Lstat(l.path)
	return err == nil && os.SameFile(l.file, now)
}

// Remove removes the socket's file, if it is still its own.
func (l *Listener) Remove() error {
	if !l.Mine() {
		return nil
	}
	return Remove(l.path)
}

// Finish lets nobody new connect, and ends accepting (with os.ErrDeadlineExceeded) when those that have connected already are sure to
// have been accepted: closing the listener would reset them. Who accepts closes it then.
func (l *Listener) Finish() error {
	return errors.Join(l.Remove(), l.SetDeadline(time.Now().Add(queueTime)))
}

// Open listens at path, in place of any socket that is there. Nobody can connect before owner and mode are set:
// it is made under another name and renamed. Closing the listener does not remove the path; Remove does.
func (o Opener) Open(path string) (*Listener, error) {
	if err := o.Check(path); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	// The other name is no longer than any socket's ("control.sock", "0.1.2.sock", "default.sock").
	unready := filepath.Join(filepath.Dir(path), ".new.sock")
	if err := Remove(unready); err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: unready, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	listener.SetUnlinkOnClose(false)
	err = os.Chown(unready, 0, o.Settings.SocketGID)
	if err == nil {
		err = os.Chmod(unready, o.Settings.SocketMode)
	}
	var file os.FileInfo
	if err == nil {
		file, err = os.Lstat(unready)
	}
	if err == nil {
		err = os.Rename(unready, path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("socket %s: %w", path, err), listener.Close(), Remove(unready))
	}
	return &Listener{UnixListener: listener, path: path, file: file}, nil
}

// Remove removes the socket at path; one that is not there is no error.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// RemoveDead removes every socket below root that nobody listens on, and leaves all that is not a socket: root is a folder of the
// host's. While a runner is replaced, somebody else holds its sockets for it.
func RemoveDead(root string) error {
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.Type() != fs.ModeSocket {
			return nil
		}
		conn, err := net.Dial("unix", path)
		if err == nil {
			return conn.Close()
		}
		return Remove(path)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing old sockets: %w", err)
	}
	return nil
}
