package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Limits hold for a cgroup and all below it together. 0 means none.
type Limits struct {
	CPUs        float64
	MemoryBytes int64
	PIDs        int64
}

const cpuPeriod = 100_000 // µs: the kernel's default

// limit is one value in the files that v1 and v2 have for it. The first is needed, the others are written where they exist.
type limit struct {
	what   string
	value  string
	v1, v2 []string
	v2text string // when it differs from value
}

func (l Limits) list() []limit {
	var list []limit
	if l.CPUs > 0 {
		quota := strconv.FormatInt(int64(l.CPUs*cpuPeriod), 10)
		list = append(list, limit{
			what: "CPU", value: quota, v2text: fmt.Sprint(quota, " ", cpuPeriod), v1: []string{"cpu.cfs_quota_us"}, v2: []string{"cpu.max"},
		})
	}
	if l.MemoryBytes > 0 {
		// With swap, or what was to be a limit would only make the host swap.
		bytes := strconv.FormatInt(l.MemoryBytes, 10)
		list = append(list, limit{
			what: "memory", value: bytes, v1: []string{"memory.limit_in_bytes", "memory.memsw.limit_in_bytes"}, v2: []string{"memory.max"},
		})
	}
	if l.PIDs > 0 {
		list = append(list, limit{what: "pids", value: strconv.FormatInt(l.PIDs, 10), v1: []string{"pids.max"}, v2: []string{"pids.max"}})
	}
	return list
}

// Limit makes the cgroup (an absolute path below the runner's root) in every hierarchy mounted below root, with these limits. One that
// the host has no controller for is an error. Without limits it does nothing: the runtime makes the cgroup.
// Sources: the kernel's admin-guide/cgroup-v1 and admin-guide/cgroup-v2.rst.
func Limit(root, path string, limits Limits) error {
	list := limits.list()
	if len(list) == 0 {
		return nil
	}
	all := hierarchies(root)
	v2 := len(all) == 1 && all[0] == root
	for _, hierarchy := range all {
		if err := os.MkdirAll(filepath.Join(hierarchy, path), 0o755); err != nil {
			return fmt.Errorf("cgroup: %w", err)
		}
	}
	if v2 {
		if err := delegate(root, path); err != nil {
			return err
		}
	}
	for _, limit := range list {
		if err := limit.set(all, path, v2); err != nil {
			return err
		}
	}
	return nil
}

func (l limit) set(hierarchies []string, path string, v2 bool) error {
	files, value := l.v1, l.value
	if v2 {
		files = l.v2
		if l.v2text != "" {
			value = l.v2text
		}
	}
	for i, name := range files {
		found := false
		for _, hierarchy := range hierarchies {
			err := writeExisting(filepath.Join(hierarchy, path, name), value)
			if err == nil {
				found = true
			} else if !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("cgroup: limiting %s to %s: %w", l.what, value, err)
			}
		}
		if !found && i == 0 {
			return fmt.Errorf("cgroup: limiting %s to %s: this host has no such controller (no %s)", l.what, value, name)
		}
	}
	return nil
}

// delegate gives every cgroup on the way to path, and path itself, the controllers that the one above has (v2).
func delegate(root, path string) error {
	at := root
	for _, name := range strings.Split(strings.Trim(path, "/"), "/") {
		at = filepath.Join(at, name)
		if err := enableAll(at); err != nil {
			return err
		}
	}
	return nil
}

// writeExisting never makes the file: in a cgroup only the kernel does.
func writeExisting(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}
