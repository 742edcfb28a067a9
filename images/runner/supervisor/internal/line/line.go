// Package line keeps a state line: what an engine version has on disk (its root, its containerd namespace), shared by the versions
// that can read each other's, and held by one of them at a time. docs/spec/runner.md, "State lines".
package line

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Holder is an engine that may hold a line.
type Holder interface {
	// String is "<kind>/<version>", for people.
	String() string
	// Wanted tells the holder that another one waits. It is to give the line back as soon as nobody uses it, and not sooner.
	Wanted()
}

// Line is safe for concurrent use. The zero Line is free.
type Line struct {
	mu     sync.Mutex
	holder Holder
	queue  []*claim
}

type claim struct {
	by      Holder
	granted chan struct{}
}

// Acquire gives the line to by, after those that asked before. It waits up to limit; then, or when ctx ends, the error says who
// holds it.
func (l *Line) Acquire(ctx context.Context, by Holder, limit time.Duration) error {
	l.mu.Lock()
	if l.holder == nil && len(l.queue) == 0 {
		l.holder = by
		l.mu.Unlock()
		return nil
	}
	mine := &claim{by: by, granted: make(chan struct{})}
	l.queue = append(l.queue, mine)
	holder := l.holder
	l.mu.Unlock()
	holder.Wanted()

	timer := time.NewTimer(limit)
	defer timer.Stop()
	var why error
	select {
	case <-mine.granted:
		return nil
	case <-timer.C:
		why = fmt.Errorf("waited %s", limit)
	case <-ctx.Done():
		why = context.Cause(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-mine.granted: // in the same moment
		return nil
	default:
	}
	l.queue = slices.DeleteFunc(l.queue, func(c *claim) bool { return c == mine })
	return fmt.Errorf("its state is in use by %s: %w", l.holder.String(), why)
}

// TryAcquire gives the line to by if it is free.
func (l *Line) TryAcquire(by Holder) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder != nil || len(l.queue) > 0 {
		return false
	}
	l.holder = by
	return true
}

// Release gives the line to the next that waits. Only its holder may call it.
func (l *Line) Release() {
	l.mu.Lock()
	if len(l.queue) == 0 {
		l.holder = nil
		l.mu.Unlock()
		return
	}
	next := l.queue[0]
	l.queue = l.queue[1:]
	l.holder = next.by
	close(next.granted)
	wanted := len(l.queue) > 0
	l.mu.Unlock()
	if wanted {
		next.by.Wanted()
	}
}

// Status tells who holds the line ("" for nobody) and who waits for it, in order.
func (l *Line) Status() (holder string, waiting []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holder != nil {
		holder = l.holder.String()
	}
	for _, c := range l.queue {
		waiting = append(waiting, c.by.String())
	}
	return holder, waiting
}

// Contested tells whether somebody waits.
func (l *Line) Contested() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) > 0
}
