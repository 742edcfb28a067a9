package gc

import (
	"sync"

	"bedplate.dev/runner/supervisor/internal/disk"
	"bedplate.dev/runner/supervisor/internal/settings"
)

// smallestShare is what an engine's own collector needs to be of any use.
const smallestShare = 64 << 20

// Account knows how much of the disk is the runner's, and what part of it one engine may fill. It is safe for concurrent use.
type Account struct {
	Path   string // in the file system
	Limits settings.Disk

	mu    sync.Mutex
	used  int64 // by lines and images, when they were last looked at
	lines int   // with something on disk
}

// Set tells what was found.
func (a *Account) Set(used int64, lines int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.used, a.lines = used, lines
}

// Summary is how the disk is.
type Summary struct {
	disk.Space
	FloorBytes  int64 // that is to be free
	BudgetBytes int64 // what lines and images may take together: the owner's limit, or what there is without the floor
	UsedBytes   int64 // what they took when they were last looked at
}

// Summary measures the disk now.
func (a *Account) Summary() (Summary, error) {
	space, err := disk.Measure(a.Path)
	if err != nil {
		return Summary{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	floor := a.Limits.FloorBytes(space.Total)
	budget := max(a.used+space.Free-floor, 0)
	if a.Limits.BudgetBytes > 0 {
		budget = min(budget, a.Limits.BudgetBytes)
	}
	return Summary{Space: space, FloorBytes: floor, BudgetBytes: budget, UsedBytes: a.used}, nil
}

// Share gives what an engine that starts may keep, and what its own collector is to leave free. Each engine believes that the disk is its
// own: so each is told of its part of the budget, by the number of state lines. fresh is for an engine whose line has nothing on disk yet.
func (a *Account) Share(fresh bool) (cache, free int64, err error) {
	summary, err := a.Summary()
	if err != nil {
		return 0, 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	lines := a.lines
	if fresh {
		lines++
	}
	return max(summary.BudgetBytes/int64(max(lines, 1)), smallestShare), summary.FloorBytes, nil
}
