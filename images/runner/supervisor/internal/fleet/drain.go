package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const drainPoll = 20 * time.Millisecond

// Drain closes every socket and returns when the last connection has ended, or with an error that says how many have not when ctx
// ends. It has to be followed by Close.
func (f *Fleet) Drain(ctx context.Context) error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	var failed []error
	for _, member := range f.List() {
		failed = append(failed, member.closeSockets())
	}
	for _, member := range f.List() {
		member.serving.Wait() // then everybody who had connected is counted
	}
	if open := f.connections(); open > 0 {
		f.options.Log.Info("draining", "connections", open)
	}
	for ; f.connections() > 0; time.Sleep(drainPoll) {
		if ctx.Err() != nil {
			return errors.Join(append(failed, fmt.Errorf("%d connections cut off: %w", f.connections(), context.Cause(ctx)))...)
		}
	}
	return errors.Join(failed...)
}

func (f *Fleet) connections() int {
	sum := 0
	for _, member := range f.List() {
		sum += member.Status().Connections
	}
	return sum
}
