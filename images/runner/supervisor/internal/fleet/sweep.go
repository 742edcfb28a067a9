package fleet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"bedplate.dev/runner/supervisor/internal/engine"
	"bedplate.dev/runner/supervisor/internal/gc"
)

const (
	lookEvery  = 5 * time.Second
	sweepEvery = 10 * time.Minute // and after every start and stop
)

// Image is an engine image that has been unpacked.
type Image struct {
	Kind, Version string
	Bytes         int64
	LastUsed      time.Time
}

// Keep keeps the disk within its limits until ctx ends: docs/spec/runner.md, "Disk".
func (f *Fleet) Keep(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	var swept time.Time
	var before string
	for {
		summary, err := f.options.Account.Summary()
		if err != nil {
			f.options.Log.Error("disk not measured", "error", err.Error())
		}
		full := err == nil && summary.Free < summary.FloorBytes
		if err == nil {
			f.keepReserve(summary) // before removing, which may need it
		}
		active := f.activity()
		if full || active != before || time.Since(swept) >= sweepEvery {
			f.Sweep(ctx)
			swept, before = time.Now(), active
		}
		if err == nil && !full {
			f.tellFull(summary)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// activity changes whenever an engine starts or stops.
func (f *Fleet) activity() string {
	var out strings.Builder
	for _, member := range f.List() {
		fmt.Fprintln(&out, member.Name(), member.Status().State, member.Status().StartedAt)
	}
	return out.String()
}

func (f *Fleet) keepReserve(summary gc.Summary) {
	given, err := f.options.Reserve.Keep(summary.Space, summary.FloorBytes)
	if given {
		f.options.Log.Warn("disk full: the reserve is given up", "freeBytes", summary.Free)
	}
	if err != nil {
		f.options.Log.Warn("no disk reserve", "error", err.Error())
	}
}

// Sweep removes what the limits do not allow, once.
func (f *Fleet) Sweep(ctx context.Context) {
	f.sweeping.Lock()
	defer f.sweeping.Unlock()
	if err := f.sweep(ctx); err != nil && ctx.Err() == nil {
		f.options.Log.Error("disk not swept", "error", err.Error())
	}
}

func (f *Fleet) sweep(ctx context.Context) error {
	things, err := f.things(ctx)
	if err != nil {
		return err
	}
	summary, err := f.options.Account.Summary()
	if err != nil {
		return err
	}
	var failed []error
	removed := map[gc.Thing]bool{}
	for _, removal := range gc.Plan(time.Now(), f.options.Settings.Disk, summary.BudgetBytes, things) {
		failed = append(failed, f.remove(ctx, removal.Thing, removal.Reason))
		removed[removal.Thing] = true
	}
	for _, victim := range gc.Victims(things) {
		if summary, err = f.options.Account.Summary(); err != nil || summary.Free >= summary.FloorBytes {
			break
		}
		if removed[victim] {
			continue
		}
		reason := fmt.Sprintf("the disk has %d bytes free of the %d it is to have", summary.Free, summary.FloorBytes)
		failed = append(failed, f.remove(ctx, victim, reason))
		removed[victim] = true
	}
	if summary.Free < summary.FloorBytes {
		f.stopIdle()
	}
	if len(removed) > 0 {
		_, err = f.things(ctx)
	}
	f.tellFull(summary)
	return errors.Join(append(failed, err)...)
}

// stopIdle stops engines that nobody uses, without their idle time: what they have on disk can go then.
func (f *Fleet) stopIdle() {
	for _, member := range f.List() {
		if !f.pinned(member.Kind, member.Version) {
			member.StopIfIdle("the disk is full")
		}
	}
}

// tellFull logs when the floor is first broken and when it is kept again.
func (f *Fleet) tellFull(summary gc.Summary) {
	full := summary.Free < summary.FloorBytes
	f.mu.Lock()
	changed := full != f.full
	f.full = full
	f.mu.Unlock()
	switch {
	case changed && full:
		f.options.Log.Error("disk full", "freeBytes", summary.Free, "floorBytes", summary.FloorBytes)
	case changed:
		f.options.Log.Info("disk has room again", "freeBytes", summary.Free)
	}
}

func (f *Fleet) remove(ctx context.Context, thing gc.Thing, reason string) error {
	kind, name, _ := strings.Cut(thing.Name, "/")
	var err error
	if thing.Sort == gc.Line {
		err = f.PruneLine(ctx, kind, name)
	} else {
		err = f.PruneImage(ctx, kind, name)
	}
	if errors.Is(err, ErrLineInUse) || errors.Is(err, ErrImageInUse) {
		return nil // since it was looked at
	}
	if err == nil {
		f.options.Log.Info("removed from disk", "what", string(thing.Sort), "name", thing.Name, "bytes", thing.Bytes, "reason", reason)
		if f.options.Removed != nil {
			f.options.Removed(thing)
		}
	}
	return err
}

// things lists what there is, and tells the account of it.
func (f *Fleet) things(ctx context.Context) ([]gc.Thing, error) {
	lines, err := f.Lines(ctx)
	if err != nil {
		return nil, err
	}
	images, err := f.Images(ctx)
	if err != nil {
		return nil, err
	}
	var things []gc.Thing
	var used int64
	onDisk := 0
	for _, line := range lines {
		if line.Holder != "" || !line.LastUsed.IsZero() {
			onDisk++
		}
		if line.Holder != "" {
			f.options.Disk.TouchLine(line.Kind, line.Line) // who is killed cannot do it at the end
		}
		used += line.Bytes
		if line.LastUsed.IsZero() {
			continue // nothing of it is on disk
		}
		kept := line.Holder != "" || len(line.Waiting) > 0 || slices.ContainsFunc(line.Versions, func(version string) bool { return f.pinned(line.Kind, version) })
		things = append(things, gc.Thing{Sort: gc.Line, Name: line.Kind + "/" + line.Line, Bytes: line.Bytes, LastUsed: line.LastUsed, Kept: kept})
	}
	for _, image := range images {
		used += image.Bytes
		member := f.Find(image.Kind, image.Version)
		kept := f.pinned(image.Kind, image.Version) || (member != nil && member.Status().State != engine.Stopped)
		things = append(things, gc.Thing{Sort: gc.Image, Name: image.Kind + "/" + image.Version, Bytes: image.Bytes, LastUsed: image.LastUsed, Kept: kept})
	}
	f.options.Account.Set(used, onDisk)
	return things, nil
}

func (f *Fleet) pinned(kind, version string) bool {
	return slices.Contains(f.options.Settings.Disk.Pinned, kind) || slices.Contains(f.options.Settings.Disk.Pinned, kind+"/"+version)
}

// Full tells whether the disk has less free than it is to have, and nothing more could be removed.
func (f *Fleet) Full() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.full
}

// Disk is how the disk is now.
func (f *Fleet) Disk() (gc.Summary, error) { return f.options.Account.Summary() }

// Errors of PruneImage.
var (
	ErrUnknownImage = errors.New("there is no such engine image")
	ErrImageInUse   = errors.New("the engine image is in use")
)

// Images gives the engine images that have been unpacked, sorted by kind and version.
func (f *Fleet) Images(ctx context.Context) ([]Image, error) { return f.options.Disk.Images(ctx) }

// PruneImage removes an engine image that does not run. It is unpacked again when its engine is asked for.
func (f *Fleet) PruneImage(ctx context.Context, kind, version string) error {
	images, err := f.Images(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(images, func(i Image) bool { return i.Kind == kind && i.Version == version }) {
		return fmt.Errorf("%s/%s: %w", kind, version, ErrUnknownImage)
	}
	used, err := f.options.Disk.RemoveImage(ctx, kind, version)
	if err != nil {
		return fmt.Errorf("engine image %s/%s: %w", kind, version, err)
	}
	if used {
		return fmt.Errorf("%s/%s: %w: stop the engine first", kind, version, ErrImageInUse)
	}
	f.options.Log.Info("engine image pruned", "image", kind+"/"+version)
	return nil
}
