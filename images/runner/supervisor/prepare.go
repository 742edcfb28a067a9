package main

import (
	"errors"
	"fmt"
	"os"

	"bedplate.dev/runner/supervisor/internal/cgroup"
	"bedplate.dev/runner/supervisor/internal/mounts"
	"bedplate.dev/runner/supervisor/internal/paths"
	"bedplate.dev/runner/supervisor/internal/socket"
	"golang.org/x/sys/unix"
)

// prepare readies the container that bedplated runs in: folders, lock, mounts, cgroups; and clears an earlier life's
// sockets. The lock is held until the process ends.
func prepare(at paths.Paths) error {
	for _, folder := range []string{
		at.State, at.Logs, at.EngineState, at.ContainerdRoot, at.ContainerdState, at.EngineRun, at.Sockets,
	} {
		if err := os.MkdirAll(folder, 0o711); err != nil {
			return err
		}
	}
	if err := lock(at.Lock); err != nil {
		return err
	}
	if err := mounts.ShareAll(); err != nil {
		return err
	}
	if err := cgroup.Evacuate(at.Cgroup); err != nil {
		return err
	}
	return socket.RemoveDead(at.Sockets)
}

// lock takes the flock that says who owns the state. The file is never closed: the kernel frees it at the process's end.
func lock(path string) error {
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	err = unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%s is held: another runner uses this state; stop it, or give this one a state folder of its own", path)
	}
	if err != nil {
		return fmt.Errorf("locking %s: %w", path, err)
	}
	return nil
}
