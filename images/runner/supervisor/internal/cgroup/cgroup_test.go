package cgroup

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEvacuateV2(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/cgroup.controllers", "cpuset cpu io memory pids\n")
	write(t, root+"/cgroup.procs", "1\n0\n17\n")
	write(t, root+"/cgroup.subtree_control", "")
	if err := Evacuate(root); err != nil {
		t.Fatal(err)
	}
	moved, err := os.ReadFile(root + "/init/cgroup.procs")
	if err != nil || !slices.Equal(strings.Fields(string(moved)), []string{"1", "17"}) {
		t.Errorf("moved %q, %v", moved, err)
	}
	enabled, _ := os.ReadFile(root + "/cgroup.subtree_control")
	if string(enabled) != "+cpuset +cpu +io +memory +pids" {
		t.Errorf("enabled %q", enabled)
	}
}

func TestEvacuateV1DoesNothing(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/memory/cgroup.procs", "1\n")
	if err := Evacuate(root); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root + "/init"); err == nil {
		t.Error("it made a cgroup")
	}
}

func TestEvacuateNamesWhatFails(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/cgroup.controllers", "cpu")
	if err := Evacuate(root); err == nil || !strings.Contains(err.Error(), "cgroup.procs") {
		t.Errorf("got %v", err)
	}
}

func TestKillAndRemoveTakesEveryHierarchy(t *testing.T) {
	root := t.TempDir()
	for _, path := range []string{"/memory/a-1/buildkit/x", "/pids/a-1", "/pids/b-2"} {
		if err := os.MkdirAll(root+path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := KillAndRemove(root, "/a-1", time.Second); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"/memory/a-1": false, "/pids/a-1": false, "/pids/b-2": true} {
		if _, err := os.Stat(root + path); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", path, err == nil, want)
		}
	}
	if err := KillAndRemove(root, "/none", 0); err != nil {
		t.Error(err)
	}
}

func TestKillAndRemoveSaysWhatStays(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/pids/a-1/file-that-no-rmdir-takes", "")
	if err := KillAndRemove(root, "/a-1", 20*time.Millisecond); err == nil || !strings.Contains(err.Error(), "pids/a-1") {
		t.Errorf("got %v", err)
	}
}

func TestLimitV2(t *testing.T) {
	root := t.TempDir()
	// The kernel makes these files with each cgroup.
	for _, folder := range []string{"", "/engines", "/engines/a"} {
		write(t, root+folder+"/cgroup.controllers", "cpu memory pids")
	}
	for _, file := range []string{"cpu.max", "memory.max", "pids.max"} {
		write(t, root+"/engines/a/"+file, "max")
	}
	if err := Limit(root, "/engines/a", Limits{CPUs: 1.5, MemoryBytes: 1 << 30, PIDs: 7}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		"engines/a/cpu.max": "150000 100000", "engines/a/memory.max": "1073741824", "engines/a/pids.max": "7",
		"engines/cgroup.subtree_control": "+cpu +memory +pids", "engines/a/cgroup.subtree_control": "+cpu +memory +pids",
	} {
		if got, _ := os.ReadFile(filepath.Join(root, file)); string(got) != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

func TestLimitV1(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/cpu,cpuacct/a/cpu.cfs_quota_us", "-1")
	write(t, root+"/memory/a/memory.limit_in_bytes", "")
	if err := Limit(root, "/a", Limits{CPUs: 0.5, MemoryBytes: 99}); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"cpu,cpuacct/a/cpu.cfs_quota_us": "50000", "memory/a/memory.limit_in_bytes": "99"} {
		if got, _ := os.ReadFile(filepath.Join(root, file)); string(got) != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
	if err := Limit(root, "/a", Limits{PIDs: 5}); err == nil || !strings.Contains(err.Error(), "pids.max") {
		t.Errorf("without that controller: %v", err)
	}
	if err := Limit(root, "/b", Limits{}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(root + "/memory/b"); err == nil {
		t.Error("without limits it made a cgroup")
	}
}
