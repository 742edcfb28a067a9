package gc

import (
	"slices"
	"strings"
	"testing"
	"time"

	"bedplate.dev/runner/supervisor/internal/settings"
)

var now = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func thing(sort Sort, name string, bytes int64, hours int, kept bool) Thing {
	return Thing{Sort: sort, Name: name, Bytes: bytes, LastUsed: now.Add(-time.Duration(hours) * time.Hour), Kept: kept}
}

func names[T any](list []T, name func(T) string) string {
	var out []string
	for _, item := range list {
		out = append(out, name(item))
	}
	return strings.Join(out, " ")
}

func TestPlan(t *testing.T) {
	things := []Thing{
		thing(Line, "b/new", 100, 1, false),
		thing(Line, "b/used", 100, 90, true),
		thing(Line, "b/old", 100, 50, false),
		thing(Line, "b/older", 100, 70, false),
		thing(Image, "b/1", 30, 60, false),
		thing(Image, "b/2", 30, 2, false),
	}
	for _, c := range []struct {
		limits settings.Disk
		budget int64
		want   string
	}{
		{settings.Disk{}, 0, ""},
		{settings.Disk{LineMaxAge: 60 * time.Hour}, 0, "b/older"},
		{settings.Disk{ImageMaxAge: time.Hour}, 0, "b/1 b/2"},
		{settings.Disk{MaxLines: 2}, 0, "b/older b/old"},
		{settings.Disk{MaxLines: 1}, 0, "b/older b/old b/new"},
		{settings.Disk{MaxImages: 1}, 0, "b/1"},
		{settings.Disk{}, 460, ""},
		{settings.Disk{}, 459, "b/older"},
		{settings.Disk{}, 330, "b/older b/1"},
		{settings.Disk{}, 1, "b/older b/1 b/old b/2 b/new"},
		{settings.Disk{LineMaxAge: 60 * time.Hour}, 360, "b/older"},
	} {
		got := names(Plan(now, c.limits, c.budget, things), func(r Removal) string { return r.Name })
		if got != c.want {
			t.Errorf("%+v, budget %d: got %q, want %q", c.limits, c.budget, got, c.want)
		}
	}
}

func TestVictims(t *testing.T) {
	things := []Thing{
		thing(Line, "new", 1, 1, false), thing(Line, "old", 1, 9, false), thing(Line, "kept", 1, 99, true),
		thing(Line, "empty", 0, 99, false), thing(Image, "image", 1, 5, false),
	}
	before := slices.Clone(things)
	if got := names(Victims(things), func(t Thing) string { return t.Name }); got != "image old new" {
		t.Errorf("got %q", got)
	}
	if !slices.Equal(things, before) {
		t.Error("it changed what it was given")
	}
}
