package sibling

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// shimName is what /proc/<pid>/comm has of containerd-shim-runc-v2: 15 bytes.
const shimName = "containerd-shim"

// taskBundles is where shims keep their tasks' bundles, below containerd's state folder, by namespace.
const taskBundles = "io.containerd.runtime.v2.task"

// killInits kills the first process of each task in the bundles of a namespace, and with it all of its PID namespace. It needs
// no containerd: shims write the process's id into the bundle. One that is not a shim's child any more is somebody else's by now.
func killInits(proc, bundles string) error {
	files, err := filepath.Glob(filepath.Join(bundles, "*", "init.pid"))
	if err != nil {
		return err
	}
	var failed []error
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // its task was deleted just now
		}
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil || pid <= 1 {
			failed = append(failed, fmt.Errorf("%s: not a process id: %q", file, text))
			continue
		}
		if !isChildOfShim(proc, pid) {
			continue
		}
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			failed = append(failed, fmt.Errorf("killing process %d: %w", pid, err))
		}
	}
	return errors.Join(failed...)
}

func isChildOfShim(proc string, pid int) bool {
	status, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "status"))
	if err != nil {
		return false
	}
	for _, line := range strings.Split(string(status), "\n") {
		if parent, found := strings.CutPrefix(line, "PPid:\t"); found {
			name, err := os.ReadFile(filepath.Join(proc, parent, "comm"))
			return err == nil && strings.TrimSpace(string(name)) == shimName
		}
	}
	return false
}
