package logs

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestKeep(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "engine.log")
	writer, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if err := os.WriteFile(filepath.Join(folder, "other"), make([]byte, 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); Keep(ctx, folder, 1000, time.Millisecond, slog.New(slog.DiscardHandler)) }()
	for i := range 100 {
		fmt.Fprintf(writer, "line %d of the log, and what else it says\n", i)
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-ended
	for name, want := range map[string]int64{"engine.log": 1500, "engine.log.1": 1500, "other": 5000} {
		info, err := os.Stat(filepath.Join(folder, name))
		if err != nil || info.Size() > want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	kept, err := os.ReadFile(path + ".1")
	if err != nil || !strings.HasPrefix(string(kept), "line ") {
		t.Errorf("%q, %v", kept, err)
	}
	if left, _ := filepath.Glob(folder + "/*.tmp"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "runner.log")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	log := NewBounded(file, 1000)
	for i := range 500 {
		fmt.Fprintf(log, "line %d\n", i)
		if info, err := os.Stat(path); err != nil || info.Size() > 1000 {
			t.Fatalf("after line %d: %v, %v", i, info.Size(), err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	for i, line := range lines {
		if want := fmt.Sprintf("line %d", 500-len(lines)+i); line != want {
			t.Fatalf("got %q, want %q", line, want)
		}
	}
	if len(lines) < 50 {
		t.Errorf("%d lines are left", len(lines))
	}
}

func TestBoundedPipe(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	log := NewBounded(writer, 4)
	fmt.Fprint(log, "longer than that\n")
	writer.Close()
	got := make([]byte, 64)
	if n, _ := reader.Read(got); string(got[:n]) != "longer than that\n" {
		t.Errorf("got %q", got[:n])
	}
}
