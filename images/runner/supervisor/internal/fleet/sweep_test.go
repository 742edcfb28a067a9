package fleet

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"bedplate.dev/runner/supervisor/internal/catalog"
	"bedplate.dev/runner/supervisor/internal/engine"
	"bedplate.dev/runner/supervisor/internal/gc"
	"bedplate.dev/runner/supervisor/internal/paths"
	"bedplate.dev/runner/supervisor/internal/settings"
)

// shelf is a disk in memory: what is on it, by name.
type shelf struct {
	lines   map[string]time.Time
	images  []Image
	removed []string
}

func (s *shelf) LineUse(_ context.Context, kind, line string) (int64, time.Time, error) {
	used, found := s.lines[kind+"/"+line]
	if !found {
		return 0, time.Time{}, nil
	}
	return 100, used, nil
}

func (s *shelf) RemoveLine(_ context.Context, kind, line string) error {
	delete(s.lines, kind+"/"+line)
	s.removed = append(s.removed, "line "+kind+"/"+line)
	return nil
}

func (s *shelf) TouchLine(kind, line string) { s.lines[kind+"/"+line] = time.Now() }

func (s *shelf) Images(context.Context) ([]Image, error) { return s.images, nil }

func (s *shelf) RemoveImage(_ context.Context, kind, version string) (bool, error) {
	s.removed = append(s.removed, "image "+kind+"/"+version)
	s.images = slices.DeleteFunc(s.images, func(i Image) bool { return i.Version == version })
	return false, nil
}

type never struct{}

func (never) Start(context.Context, bool) (engine.Process, error) { return nil, errors.New("never") }

func open(t *testing.T, disk *shelf, limits settings.Disk) *Fleet {
	t.Helper()
	at := paths.At(t.TempDir())
	prefix := filepath.Join(at.Engines, "buildkit", "0.34.2")
	text := `{"schemaVersion": 1, "kind": "buildkit", "version": "0.34.2", "args": ["/bin/x"], "env": [], "files": {}, "defaults": {}, "networks": {"host": {}},
		"capabilities": [], "stateLine": "0.34", "protocol": "grpc", "stopSignal": "SIGTERM", "startTimeoutMs": 1, "stopTimeoutMs": 1}`
	if err := errors.Join(os.MkdirAll(prefix, 0o755), os.WriteFile(prefix+"/engine.json", []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
	for name := range disk.lines {
		if err := os.MkdirAll(filepath.Join(at.EngineState, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f, err := Open(Options{
		Paths: at, Default: "buildkit/0.34.2", Settings: settings.Settings{SocketMode: 0o600, Disk: limits},
		Starter: func(catalog.Entry) engine.Starter { return never{} }, Disk: disk,
		Account: &gc.Account{Path: at.Engines, Limits: limits}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close(context.Background()) })
	return f
}

func TestSweep(t *testing.T) {
	now := time.Now()
	const tooMuch = 1 << 60
	for name, c := range map[string]struct {
		limits settings.Disk
		want   []string
		full   bool
	}{
		"within":  {settings.Disk{BudgetBytes: 1000}, nil, false},
		"age":     {settings.Disk{LineMaxAge: time.Hour}, []string{"line buildkit/0.13"}, false},
		"pinned":  {settings.Disk{BudgetBytes: 1, Pinned: []string{"buildkit/0.34.2", "buildkit/0.29.0"}}, []string{"line buildkit/0.13"}, false},
		"full":    {settings.Disk{FreeBytes: tooMuch}, []string{"image buildkit/0.29.0", "line buildkit/0.13", "line buildkit/0.34"}, true},
		"numbers": {settings.Disk{MaxLines: 1}, []string{"line buildkit/0.13"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			disk := &shelf{
				lines:  map[string]time.Time{"buildkit/0.34": now.Add(-time.Minute), "buildkit/0.13": now.Add(-2 * time.Hour)},
				images: []Image{{Kind: "buildkit", Version: "0.29.0", Bytes: 100, LastUsed: now.Add(-30 * time.Minute)}},
			}
			f := open(t, disk, c.limits)
			f.Sweep(t.Context())
			if !slices.Equal(disk.removed, c.want) || f.Full() != c.full {
				t.Errorf("removed %q, want %q; full %v", disk.removed, c.want, f.Full())
			}
			disk.removed = nil
			f.Sweep(t.Context())
			if len(disk.removed) > 0 {
				t.Errorf("a second time: %q", disk.removed)
			}
		})
	}
}

func TestSweepLeavesAHeldLine(t *testing.T) {
	disk := &shelf{lines: map[string]time.Time{"buildkit/0.34": time.Now().Add(-time.Hour)}}
	f := open(t, disk, settings.Disk{LineMaxAge: time.Minute, FreeBytes: 1 << 60})
	held := f.lines["buildkit/0.34"]
	if !held.TryAcquire(pruner{}) {
		t.Fatal("it is held already")
	}
	f.Sweep(t.Context())
	if len(disk.removed) > 0 || time.Since(disk.lines["buildkit/0.34"]) > time.Minute {
		t.Errorf("removed %q, used %s", disk.removed, disk.lines["buildkit/0.34"])
	}
	held.Release()
	f.Sweep(t.Context())
	if want := []string{"line buildkit/0.34"}; !slices.Equal(disk.removed, want) {
		t.Errorf("removed %q", disk.removed)
	}
}

func TestShareIsAPartOfTheBudget(t *testing.T) {
	disk := &shelf{lines: map[string]time.Time{"buildkit/0.34": time.Now(), "buildkit/0.13": time.Now()}}
	f := open(t, disk, settings.Disk{BudgetBytes: 1 << 30, FreeBytes: 5})
	f.Sweep(t.Context())
	for fresh, want := range map[bool]int64{false: 1 << 29, true: 1 << 30 / 3} {
		if cache, free, err := f.options.Account.Share(fresh); cache != want || free != 5 || err != nil {
			t.Errorf("fresh %v: got %d, %d, %v", fresh, cache, free, err)
		}
	}
}
