package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestManyConnectionsOneStart(t *testing.T) {
	f := &fake{delay: make(chan struct{})}
	e, path := serve(t, f, time.Hour)
	var conns []net.Conn
	for range 200 {
		conns = append(conns, dial(t, path))
	}
	eventually(t, "200 waiting", func() bool { return e.Status().Connections == 200 })
	if got := e.Status(); got.State != Starting || got.PID != 0 || got.StartedAt.IsZero() {
		t.Errorf("while starting: %+v", got)
	}
	close(f.delay)
	for _, conn := range conns {
		echo(t, conn)
	}
	if got := e.Status(); got.State != Running || got.PID != 101 || got.Connections != 200 || got.Start <= 0 {
		t.Errorf("while running: %+v", got)
	}
	if n := f.starts.Load(); n != 1 {
		t.Errorf("%d starts", n)
	}
}

func TestFailedStartClosesItsConnections(t *testing.T) {
	f := &fake{fail: errors.New("no such flag")}
	e, path := serve(t, f, time.Hour)
	if _, err := dial(t, path).Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
	if got := e.Status(); got.State != Stopped || got.LastError != "no such flag" {
		t.Errorf("got %+v", got)
	}
	f.mu.Lock()
	f.fail = nil
	f.mu.Unlock()
	echo(t, dial(t, path))
	if got := e.Status(); got.LastError != "" || f.starts.Load() != 2 {
		t.Errorf("after a good start: %+v", got)
	}
}

func TestIdleStop(t *testing.T) {
	f := &fake{}
	e, path := serve(t, f, 60*time.Millisecond)
	first, second := dial(t, path), dial(t, path)
	echo(t, first)
	echo(t, second)
	first.Close()
	time.Sleep(150 * time.Millisecond)
	if got := e.Status(); got.State != Running {
		t.Fatalf("stopped in spite of a connection: %+v", got)
	}
	second.Close()
	eventually(t, "idle stop", func() bool { return e.Status().State == Stopped })
	if got := e.Status(); got.PID != 0 || got.LastError != "" || f.stops.Load() != 1 {
		t.Errorf("after an idle stop: %+v, %d stops", got, f.stops.Load())
	}
	echo(t, dial(t, path))
	if f.starts.Load() != 2 {
		t.Error("not started afresh")
	}
}

func TestConnectionWhileStoppingWaitsAndStartsAfresh(t *testing.T) {
	f := &fake{stopLag: 100 * time.Millisecond}
	e, path := serve(t, f, time.Hour)
	old := dial(t, path)
	echo(t, old)
	stopped := make(chan error, 1)
	go func() { stopped <- e.Stop(context.Background()) }()
	eventually(t, "stopping", func() bool { return e.Status().State == Stopping })
	fresh := dial(t, path)
	echo(t, fresh)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := old.Read(make([]byte, 1)); err == nil {
		t.Error("the old connection is still there")
	}
	if f.starts.Load() != 2 || f.stops.Load() != 1 {
		t.Errorf("%d starts, %d stops", f.starts.Load(), f.stops.Load())
	}
}

func TestDeathEndsConnectionsAndCleans(t *testing.T) {
	f := &fake{}
	e, path := serve(t, f, time.Hour)
	conn := dial(t, path)
	echo(t, conn)
	f.last.die()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlives the engine")
	}
	eventually(t, "cleaned", func() bool { return e.Status().State == Stopped })
	if got := e.Status(); !strings.Contains(got.LastError, "died") || !strings.Contains(got.LastError, "bye") || f.stops.Load() != 1 {
		t.Errorf("got %+v, %d stops", got, f.stops.Load())
	}
	echo(t, dial(t, path))
}

func TestStopGivesUpAStart(t *testing.T) {
	f := &fake{delay: make(chan struct{})}
	e, path := serve(t, f, time.Hour)
	conn := dial(t, path)
	eventually(t, "starting", func() bool { return e.Status().State == Starting })
	if err := e.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
}

func TestCloseAndRetire(t *testing.T) {
	f := &fake{}
	e, path := serve(t, f, time.Hour)
	echo(t, dial(t, path))
	if e.Retire() {
		t.Error("a running engine was retired")
	}
	if err := e.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, path).Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("got %v, want EOF", err)
	}
	if f.starts.Load() != 1 {
		t.Error("started after Close")
	}
}

func TestChurnLeaksNothing(t *testing.T) {
	f := &fake{stopLag: time.Millisecond}
	before := runtime.NumGoroutine()
	e, path := serve(t, f, time.Millisecond)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 25 {
				conn, err := net.Dial("unix", path)
				if err != nil {
					t.Error(err)
					return
				}
				conn.SetDeadline(time.Now().Add(20 * time.Second))
				conn.Write([]byte("x"))
				io.ReadFull(conn, make([]byte, 1)) // may end early: engines die here
				conn.Close()
				if i == 0 && j%5 == 0 {
					f.mu.Lock()
					f.last.die()
					f.mu.Unlock()
				}
				time.Sleep(time.Duration(i) * 300 * time.Microsecond)
			}
		})
	}
	all.Wait()
	eventually(t, "all quiet", func() bool {
		got := e.Status()
		return got.State == Stopped && got.Connections == 0
	})
	if f.starts.Load() != f.stops.Load() {
		t.Errorf("%d starts, %d stops: each start is stopped once", f.starts.Load(), f.stops.Load())
	}
	eventually(t, "goroutines gone", func() bool { return runtime.NumGoroutine() <= before+2 })
}

func TestLogsCarryDurations(t *testing.T) {
	var out bytes.Buffer
	f := &fake{t: t, dir: t.TempDir()}
	e := New(Options{Starter: f, IdleTimeout: time.Hour, Log: slog.New(slog.NewJSONHandler(&out, nil))})
	if _, err := e.ready(nil); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"msg":"engine ready"`, `"msg":"engine stopped"`, `"tookMs":`} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("no %s in %s", part, out.String())
		}
	}
}
