package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bedplate.dev/runner/supervisor/internal/line"
)

// Disk is what has the state lines and engine images.
type Disk interface {
	LineUse(ctx context.Context, kind, line string) (bytes int64, lastUsed time.Time, err error)
	RemoveLine(ctx context.Context, kind, line string) error
	// TouchLine notes that a line is in use now.
	TouchLine(kind, line string)
	Images(ctx context.Context) ([]Image, error)
	// RemoveImage does nothing but tell so when the image is in use.
	RemoveImage(ctx context.Context, kind, version string) (used bool, err error)
}

// Line is one state line.
type Line struct {
	Kind, Line string
	Holder     string   // "<kind>/<version>", "" for nobody
	Waiting    []string // in order
	Versions   []string // the known engines of it
	Bytes      int64
	LastUsed   time.Time // zero when it was never held
}

// Errors of PruneLine.
var (
	ErrUnknownLine = errors.New("there is no such state line")
	ErrLineInUse   = errors.New("the state line is in use")
)

// pruner holds a line while it is removed.
type pruner struct{}

func (pruner) String() string { return "prune" }
func (pruner) Wanted()        {}

// Lines gives the state lines of the known engines and those that have something on disk, sorted by kind and line.
func (f *Fleet) Lines(ctx context.Context) ([]Line, error) {
	names := f.lineNames()
	list := make([]Line, 0, len(names))
	for _, name := range names {
		kind, version, _ := strings.Cut(name, "/")
		entry := Line{Kind: kind, Line: version, Versions: []string{}, Waiting: []string{}}
		f.mu.Lock()
		if found := f.lines[name]; found != nil {
			holder, waiting := found.Status()
			entry.Holder, entry.Waiting = holder, append(entry.Waiting, waiting...)
		}
		for _, member := range f.members {
			if member.Kind == kind && member.StateLine == version {
				entry.Versions = append(entry.Versions, member.Version)
			}
		}
		f.mu.Unlock()
		slices.Sort(entry.Versions)
		var err error
		if entry.Bytes, entry.LastUsed, err = f.options.Disk.LineUse(ctx, kind, version); err != nil {
			return nil, fmt.Errorf("state line %s: %w", name, err)
		}
		list = append(list, entry)
	}
	return list, nil
}

func (f *Fleet) lineNames() []string {
	f.mu.Lock()
	var names []string
	for _, member := range f.members {
		names = append(names, member.Kind+"/"+member.StateLine)
	}
	for name, known := range f.lines {
		if holder, _ := known.Status(); holder != "" {
			names = append(names, name)
		}
	}
	f.mu.Unlock()
	folders, _ := filepath.Glob(filepath.Join(f.options.Paths.EngineState, "*", "*")) // the pattern is well-formed
	for _, folder := range folders {
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			names = append(names, filepath.Base(filepath.Dir(folder))+"/"+filepath.Base(folder))
		}
	}
	slices.SortFunc(names, cmp.Compare[string])
	return slices.Compact(names)
}

// PruneLine removes what a state line has on disk. An engine that runs is never touched: its line is in use.
func (f *Fleet) PruneLine(ctx context.Context, kind, name string) error {
	full := kind + "/" + name
	if !slices.Contains(f.lineNames(), full) {
		return fmt.Errorf("%s: %w", full, ErrUnknownLine)
	}
	f.mu.Lock()
	if f.lines[full] == nil {
		f.lines[full] = &line.Line{}
	}
	held := f.lines[full]
	f.mu.Unlock()
	if !held.TryAcquire(pruner{}) {
		holder, _ := held.Status()
		return fmt.Errorf("%s: %w by %s: stop it first", full, ErrLineInUse, holder)
	}
	defer held.Release()
	if err := f.options.Disk.RemoveLine(ctx, kind, name); err != nil {
		return fmt.Errorf("state line %s: %w", full, err)
	}
	f.options.Log.Info("state line pruned", "line", full)
	return nil
}
