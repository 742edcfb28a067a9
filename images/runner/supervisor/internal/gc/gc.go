// Package gc decides what has to go from the disk: state lines and engine images, the longest unused first, never what is in use or
// pinned. docs/spec/runner.md, "Disk".
package gc

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"bedplate.dev/runner/supervisor/internal/settings"
)

// Sort is what a thing is.
type Sort string

// What can be removed.
const (
	Line  Sort = "state line"
	Image Sort = "engine image"
)

// Thing is something on disk.
type Thing struct {
	Sort     Sort
	Name     string // "<kind>/<line>", "<kind>/<version>"
	Bytes    int64
	LastUsed time.Time
	Kept     bool // in use or pinned: it counts, and stays
}

// Removal is a thing that has to go, and why.
type Removal struct {
	Thing
	Reason string
}

// Plan gives what the limits of age, number and bytes remove, in order.
func Plan(now time.Time, limits settings.Disk, budget int64, things []Thing) []Removal {
	things = slices.Clone(things)
	slices.SortStableFunc(things, oldest)
	var removals []Removal
	gone := map[int]bool{}
	remove := func(i int, reason string) {
		gone[i] = true
		removals = append(removals, Removal{things[i], reason})
	}
	for i, thing := range things {
		limit := limits.LineMaxAge
		if thing.Sort == Image {
			limit = limits.ImageMaxAge
		}
		if age := now.Sub(thing.LastUsed); !thing.Kept && limit > 0 && age > limit {
			remove(i, fmt.Sprintf("not used for %s", age.Round(time.Second)))
		}
	}
	for sort, most := range map[Sort]int{Line: limits.MaxLines, Image: limits.MaxImages} {
		count := 0
		for i, thing := range things {
			if thing.Sort == sort && !gone[i] {
				count++
			}
		}
		for i, thing := range things {
			if most > 0 && count > most && thing.Sort == sort && !thing.Kept && !gone[i] {
				remove(i, fmt.Sprintf("there are more than %d", most))
				count--
			}
		}
	}
	var bytes int64
	for i, thing := range things {
		if !gone[i] {
			bytes += thing.Bytes
		}
	}
	for i, thing := range things {
		if budget > 0 && bytes > budget && !thing.Kept && !gone[i] && thing.Bytes > 0 {
			remove(i, fmt.Sprintf("all together take %d bytes of %d", bytes, budget))
			bytes -= thing.Bytes
		}
	}
	return removals
}

// Victims gives what may go when the file system is full, in order: images first, since they come again from what the runner has.
func Victims(things []Thing) []Thing {
	list := slices.DeleteFunc(slices.Clone(things), func(t Thing) bool { return t.Kept || t.Bytes == 0 })
	slices.SortStableFunc(list, func(a, b Thing) int { return cmp.Or(cmp.Compare(a.Sort, b.Sort), oldest(a, b)) })
	return list
}

func oldest(a, b Thing) int { return a.LastUsed.Compare(b.LastUsed) }
