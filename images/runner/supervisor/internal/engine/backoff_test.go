package engine

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

func TestBackoffDoublesFromTheSecondFailureOn(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var b backoff
	for i, want := range []time.Duration{0, 1, 2, 4, 8, 16, 32, 60, 60} {
		b.failed(now)
		if got := max(0, b.until.Sub(now)); got != want*time.Second {
			t.Errorf("after %d failures: %s, want %d s", i+1, got, want)
		}
	}
	if err := b.refuses(now.Add(time.Minute), ""); err != nil {
		t.Errorf("after the pause: %v", err)
	}
	err := b.refuses(now.Add(58*time.Second), "exit status 1")
	if err == nil || err.Error() != "failed 9 times in a row, next try in 2s: exit status 1" {
		t.Errorf("got %v", err)
	}
}

func TestEngineThatFailsAgainAndAgainIsNotStartedEachTime(t *testing.T) {
	f := &fake{fail: errors.New("no such flag")}
	e, path := serve(t, f, time.Hour)
	for range 5 {
		if _, err := dial(t, path).Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("got %v, want EOF", err)
		}
	}
	if n := f.starts.Load(); n != 2 {
		t.Errorf("%d starts, want 2", n)
	}
	if got := e.Status(); got.Failures != 2 || got.LastError != "no such flag" {
		t.Errorf("got %+v", got)
	}
	f.mu.Lock()
	f.fail = nil
	f.mu.Unlock()
	eventually(t, "the pause ends", func() bool { e.mu.Lock(); defer e.mu.Unlock(); return e.backoff.refuses(time.Now(), "") == nil })
	echo(t, dial(t, path))
}

func TestEngineThatDiesAtOnceCountsAsFailed(t *testing.T) {
	f := &fake{}
	e, path := serve(t, f, time.Hour)
	for range 2 {
		echo(t, dial(t, path))
		f.mu.Lock()
		last := f.last
		f.mu.Unlock()
		last.die()
		eventually(t, "stopped", func() bool { return e.Status().State == Stopped })
	}
	if _, err := dial(t, path).Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
	if got := e.Status(); got.Failures != 2 || !strings.Contains(got.LastError, "died") || f.starts.Load() != 2 {
		t.Errorf("got %+v after %d starts", got, f.starts.Load())
	}
}
