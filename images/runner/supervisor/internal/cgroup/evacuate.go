// Package cgroup prepares the runner's cgroup and clears the engines' ones, on cgroup v1 and v2.
package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Init is where bedplated and containerd live on cgroup v2, below the runner's root cgroup.
const Init = "init"

// Evacuate readies the cgroup tree mounted at root for child cgroups. On v1 there is nothing to do. On v2 a cgroup that
// has processes of its own can give its children no controllers, so every process of the root goes to /init, and all
// controllers that are there are enabled for the children.
func Evacuate(root string) error {
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); errors.Is(err, os.ErrNotExist) {
		return nil // v1
	} else if err != nil {
		return fmt.Errorf("cgroup v2: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(root, Init), 0o755); err != nil {
		return fmt.Errorf("cgroup v2: %w", err)
	}
	if err := moveAll(filepath.Join(root, "cgroup.procs"), filepath.Join(root, Init, "cgroup.procs")); err != nil {
		return fmt.Errorf("cgroup v2: moving the runner's processes to /%s: %w", Init, err)
	}
	return enableAll(root)
}

// enableAll lets the cgroup's children have every controller that it has itself (v2).
func enableAll(folder string) error {
	controllers, err := os.ReadFile(filepath.Join(folder, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("cgroup v2: %w", err)
	}
	var enable []string
	for _, controller := range strings.Fields(string(controllers)) {
		enable = append(enable, "+"+controller)
	}
	if len(enable) == 0 {
		return nil
	}
	control := filepath.Join(folder, "cgroup.subtree_control")
	if err := os.WriteFile(control, []byte(strings.Join(enable, " ")), 0o644); err != nil {
		return fmt.Errorf("cgroup v2: enabling %s: %w", strings.Join(enable, " "), err)
	}
	return nil
}

// moveAll moves processes one by one, as the kernel wants it. Those that are 0 live in another PID namespace (none of
// ours), those that ended meanwhile are no longer there to move.
func moveAll(from, to string) error {
	list, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	for _, pid := range strings.Fields(string(list)) {
		if pid == "0" {
			continue
		}
		if err := appendLine(to, pid); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("process %s: %w", pid, err)
		}
	}
	return nil
}

func appendLine(path, line string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(line + "\n")
	return errors.Join(err, file.Close())
}
