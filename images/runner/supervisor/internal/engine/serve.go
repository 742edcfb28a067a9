package engine

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"bedplate.dev/runner/supervisor/internal/http2wait"
	"bedplate.dev/runner/supervisor/internal/proxy"
)

const (
	dialPause   = 10 * time.Millisecond
	dialTimeout = 2 * time.Second
)

// Serve accepts until the listener is closed or its deadline has passed; it closes it then. Each connection starts the engine when it does not run, and is proxied to it.
func (e *Engine) Serve(listener *net.UnixListener) {
	for {
		conn, err := listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			listener.Close()
			return
		}
		if err != nil {
			// Out of file descriptors, as a rule: better in a moment.
			e.Log.Error("cannot accept", "error", err.Error())
			time.Sleep(50 * time.Millisecond)
			continue
		}
		go e.Handle(conn)
	}
}

// Handle serves one connection until it ends. It blocks.
func (e *Engine) Handle(client proxy.Conn) {
	e.mu.Lock()
	e.conns[client] = false
	running := e.state == Running
	e.disarmIdle()
	e.mu.Unlock()
	defer func() {
		client.Close()
		e.mu.Lock()
		delete(e.conns, client)
		e.armIdle()
		e.mu.Unlock()
	}()
	if e.GRPC && !running {
		e.holdAndJoin(client)
		return
	}
	backend, err := e.dial(client, nil)
	if err != nil {
		e.Log.Warn("connection refused", "error", err.Error())
		return
	}
	proxy.Join(client, client, backend)
}

// holdAndJoin keeps a gRPC client content while the engine starts, and tells it why when it does not.
func (e *Engine) holdAndJoin(client proxy.Conn) {
	hold := http2wait.Begin(client)
	backend, err := e.dial(client, hold.Gone())
	if err != nil {
		e.Log.Warn("connection refused", "error", err.Error())
		hold.Refuse(fmt.Sprintf("bedplate: engine %s: %s", e.Name, err))
		return
	}
	rest, err := hold.Release(backend)
	if err != nil {
		e.Log.Warn("connection lost", "error", err.Error())
		backend.Close()
		return
	}
	proxy.Join(client, rest, backend)
}

// dial connects to the engine, starting it if need be. An engine that has just died refuses before its end is known here;
// so a refusal is believed only when it lasts.
func (e *Engine) dial(client proxy.Conn, gone <-chan struct{}) (proxy.Conn, error) {
	if e.Settled != nil {
		select {
		case <-e.Settled():
		case <-gone:
			return nil, errGone
		}
	}
	for began := time.Now(); ; time.Sleep(dialPause) {
		process, err := e.ready(gone)
		if err != nil {
			return nil, err
		}
		backend, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: process.Socket(), Net: "unix"})
		if err == nil {
			if e.bind(client, process) {
				return backend, nil
			}
			backend.Close()
			continue // it has gone since: the next round starts it again
		}
		if time.Since(began) > dialTimeout {
			return nil, fmt.Errorf("connecting to the engine: %w", err)
		}
	}
}

// bind marks the client's connection as the process's own: it ends when the process does. False when the process has gone.
func (e *Engine) bind(client proxy.Conn, process Process) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.process != process {
		return false
	}
	e.conns[client] = true
	return true
}
