package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// KillAndRemove kills every process in the cgroup (an absolute path below the runner's root, such as
// "/buildkit-0.34.2") and in those below it, then removes them all, in every hierarchy mounted below root.
// It waits up to timeout for the killed to be gone. A cgroup that is not there is no error.
func KillAndRemove(root, path string, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		var busy error
		for _, hierarchy := range hierarchies(root) {
			busy = errors.Join(busy, killAndRemoveOnce(filepath.Join(hierarchy, path)))
		}
		if busy == nil || time.Now().After(deadline) {
			return busy
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// hierarchies gives the one of v2, or each of v1's; in a hybrid one v1's and the unified one beside them.
func hierarchies(root string) []string {
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		return []string{root}
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil
	}
	var out []string
	for _, entry := range entries {
		if entry.IsDir() { // v1's links such as cpu -> cpu,cpuacct would only say the same again
			out = append(out, filepath.Join(root, entry.Name()))
		}
	}
	return out
}

func killAndRemoveOnce(top string) error {
	var folders []string
	err := filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && entry.IsDir() {
			folders = append(folders, path)
		}
		return err
	})
	for i := len(folders) - 1; i >= 0; i-- {
		list, _ := os.ReadFile(filepath.Join(folders[i], "cgroup.procs"))
		for _, text := range strings.Fields(string(list)) {
			if pid, parseErr := strconv.Atoi(text); parseErr == nil && pid > 1 {
				_ = unix.Kill(pid, unix.SIGKILL) // it may have ended; rmdir below tells
			}
		}
		if removeErr := unix.Rmdir(folders[i]); removeErr != nil && !errors.Is(removeErr, unix.ENOENT) {
			err = errors.Join(err, &fs.PathError{Op: "rmdir", Path: folders[i], Err: removeErr})
		}
	}
	return err
}
