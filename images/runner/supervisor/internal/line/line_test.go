package line

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

type engine struct {
	name   string
	wanted atomic.Int32
}

func (e *engine) String() string { return e.name }
func (e *engine) Wanted()        { e.wanted.Add(1) }

func TestLineGoesRoundInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Line
		a, b, c := &engine{name: "k/1"}, &engine{name: "k/2"}, &engine{name: "k/3"}
		if !l.TryAcquire(a) || l.TryAcquire(b) {
			t.Fatal("a free line is not given once")
		}
		order := make(chan string, 2)
		for _, e := range []*engine{b, c} {
			go func() {
				if err := l.Acquire(t.Context(), e, time.Minute); err != nil {
					t.Error(err)
				}
				order <- e.name
			}()
			synctest.Wait()
		}
		if holder, waiting := l.Status(); holder != "k/1" || !slices.Equal(waiting, []string{"k/2", "k/3"}) || !l.Contested() {
			t.Errorf("held by %q, waiting %q", holder, waiting)
		}
		if a.wanted.Load() != 2 {
			t.Errorf("the holder was told %d times", a.wanted.Load())
		}
		l.Release()
		if got := <-order; got != "k/2" {
			t.Errorf("%s came first", got)
		}
		synctest.Wait()
		if b.wanted.Load() != 1 {
			t.Error("the next holder was not told that another one waits")
		}
		l.Release()
		<-order
		l.Release()
		if holder, waiting := l.Status(); holder != "" || waiting != nil || l.Contested() {
			t.Errorf("held by %q, waiting %q", holder, waiting)
		}
	})
}

func TestWaitingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Line
		a, b := &engine{name: "k/1"}, &engine{name: "k/2"}
		l.TryAcquire(a)
		err := l.Acquire(t.Context(), b, 3*time.Second)
		if err == nil || err.Error() != "its state is in use by k/1: waited 3s" {
			t.Errorf("got %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Acquire(ctx, b, time.Hour); err == nil || !strings.Contains(err.Error(), "k/1") {
			t.Errorf("got %v", err)
		}
		if _, waiting := l.Status(); len(waiting) > 0 {
			t.Errorf("%q still wait", waiting)
		}
		l.Release()
		if !l.TryAcquire(b) {
			t.Error("it was not free afterwards")
		}
	})
}
