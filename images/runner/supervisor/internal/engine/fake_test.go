package engine

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fake starts processes that echo on a real socket.
type fake struct {
	t         *testing.T
	dir       string
	delay     chan struct{} // when set, a start waits for it, or for its context's end
	fail      error
	stopLag   time.Duration
	starts    atomic.Int32
	temporary atomic.Int32
	stops     atomic.Int32

	mu   sync.Mutex
	last *fakeProcess
}

type fakeProcess struct {
	fake     *fake
	pid      int
	listener *net.UnixListener
	exited   chan struct{}
	end      sync.Once

	mu    sync.Mutex
	conns []net.Conn
}

func (f *fake) Start(ctx context.Context, temporary bool) (Process, error) {
	number := int(f.starts.Add(1))
	if temporary {
		f.temporary.Add(1)
	}
	if f.delay != nil {
		select {
		case <-f.delay:
		case <-ctx.Done():
			return nil, errors.New("given up")
		}
	}
	f.mu.Lock()
	fail := f.fail
	f.mu.Unlock()
	if fail != nil {
		return nil, fail
	}
	path := filepath.Join(f.dir, "engine.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	p := &fakeProcess{fake: f, pid: 100 + number, listener: listener, exited: make(chan struct{})}
	go func() {
		for {
			conn, err := listener.AcceptUnix()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns = append(p.conns, conn)
			p.mu.Unlock()
			go func() { io.Copy(conn, conn); conn.CloseWrite() }()
		}
	}()
	f.mu.Lock()
	f.last = p
	f.mu.Unlock()
	return p, nil
}

func (p *fakeProcess) PID() int                { return p.pid }
func (p *fakeProcess) Socket() string          { return filepath.Join(p.fake.dir, "engine.sock") }
func (p *fakeProcess) Exited() <-chan struct{} { return p.exited }

// die is what SIGKILL does.
func (p *fakeProcess) die() {
	p.end.Do(func() {
		p.listener.Close()
		p.mu.Lock()
		for _, conn := range p.conns {
			conn.Close()
		}
		p.mu.Unlock()
		close(p.exited)
	})
}

func (p *fakeProcess) Stop() (Ending, error) {
	time.Sleep(p.fake.stopLag)
	p.die()
	p.fake.stops.Add(1)
	return Ending{Status: "exit status 0", Output: "bye"}, nil
}

// serve gives an engine with an open socket.
func serve(t *testing.T, f *fake, idle time.Duration) (*Engine, string) {
	t.Helper()
	f.t, f.dir = t, t.TempDir()
	path := filepath.Join(f.dir, "front.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	e := New(Options{Name: "fake/1.2.3", Starter: f, IdleTimeout: idle, Log: slog.New(slog.DiscardHandler)})
	go e.Serve(listener)
	t.Cleanup(func() { listener.Close(); e.Close(context.Background()) })
	return e, path
}

func dial(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// echo proves that the connection reaches a running engine.
func echo(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Error(err)
		return
	}
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Errorf("no echo: %v", err)
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 5000 {
		if is() {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}
