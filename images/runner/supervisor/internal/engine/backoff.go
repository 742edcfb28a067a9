package engine

import (
	"fmt"
	"time"
)

const (
	firstBackoff = time.Second
	lastBackoff  = time.Minute
	soundLife    = 10 * time.Second // a process that lived shorter than this counts as a failed start
)

// backoff spares the host an engine that fails again and again: from the second failure in a row on there is a pause before the
// next try, each twice as long as the one before.
type backoff struct {
	failures int
	until    time.Time
}

func (b *backoff) failed(now time.Time) {
	b.failures++
	if b.failures > 1 {
		b.until = now.Add(min(firstBackoff<<min(b.failures-2, 16), lastBackoff))
	}
}

// refuses is why there is no try now, nil when there may be one.
func (b *backoff) refuses(now time.Time, lastError string) error {
	wait := b.until.Sub(now)
	if wait <= 0 {
		return nil
	}
	return fmt.Errorf("failed %d times in a row, next try in %s: %s", b.failures, wait.Round(100*time.Millisecond), lastError)
}
