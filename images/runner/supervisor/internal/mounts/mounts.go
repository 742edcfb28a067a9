// Package mounts changes and reads the runner's own mount table.
package mounts

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ShareAll makes / and all below it rshared, so that what containerd and the engines mount is seen by each other:
// docs/spec/engine.md, "What the engine sees".
func ShareAll() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("making / rshared (is the runner privileged?): %w", err)
	}
	return nil
}

// EmptyBelow unmounts all that is mounted below the folder, then removes what is in the folder. It never removes
// through a mount: where one stays, that is an error and nothing is removed. A folder that is not there is empty.
func EmptyBelow(folder string) error {
	if err := DetachBelow(folder); err != nil {
		return err
	}
	entries, err := os.ReadDir(folder)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var failed []error
	for _, entry := range entries {
		failed = append(failed, os.RemoveAll(folder+"/"+entry.Name()))
	}
	return errors.Join(failed...)
}

// DetachBelow unmounts all that is mounted below the folder, the last mounted first; the folder itself may be a volume of
// the owner's, and stays. A busy mount is detached: it goes when its last user does.
func DetachBelow(folder string) error {
	points, err := Below(folder)
	if err != nil {
		return err
	}
	for i := len(points) - 1; i >= 0; i-- {
		// EINVAL: it went with another one.
		if err := unix.Unmount(points[i], unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("unmounting %s: %w", points[i], err)
		}
	}
	if points, err = Below(folder); err != nil {
		return err
	}
	if len(points) > 0 {
		return fmt.Errorf("%s: %d mounts stay below it, the first is %s", folder, len(points), points[0])
	}
	return nil
}

// Below lists the mount points below the folder in the order of mounting.
func Below(folder string) ([]string, error) {
	table, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer table.Close()
	var points []string
	lines := bufio.NewScanner(table)
	lines.Buffer(make([]byte, 0, 64<<10), 1<<20)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			return nil, fmt.Errorf("mountinfo: cannot read the line %q", lines.Text())
		}
		point := unescape(fields[4])
		if strings.HasPrefix(point, folder+"/") {
			points = append(points, point)
		}
	}
	return points, lines.Err()
}

// unescape undoes the kernel's \ooo for space, tab, newline and backslash.
func unescape(text string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+3 < len(text) {
			if code, err := strconv.ParseUint(text[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		out.WriteByte(text[i])
	}
	return out.String()
}
