package engine

import (
	"errors"
	"fmt"
	"net"
	"time"

	"bedplate.dev/runner/supervisor/internal/proxy"
)

const (
	dialPause   = 10 * time.Millisecond
	dialTimeout = 2 * time.Second
)

// Serve accepts until the listener is closed. Each connection starts the engine when it does not run, and is proxied to it.
func (e *Engine) Serve(listener *net.UnixListener) {
	for {
		conn, err := listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of file descriptors, as a rule: better in a moment.
			e.log.Error("cannot accept", "error", err.Error())
			time.Sleep(50 * time.Millisecond)
			continue
		}
		go e.handle(conn)
	}
}

func (e *Engine) handle(client *net.UnixConn) {
	e.mu.Lock()
	e.conns[client] = false
	e.disarmIdle()
	e.mu.Unlock()
	defer func() {
		client.Close()
		e.mu.Lock()
		delete(e.conns, client)
		e.armIdle()
		e.mu.Unlock()
	}()

	backend, err := e.dial(client)
	if err != nil {
		e.log.Warn("connection refused", "error", err.Error())
		return
	}
	proxy.Join(client, backend)
}

// dial connects to the engine, starting it if need be. An engine that has just died refuses before its end is known here;
// so a refusal is believed only when it lasts.
func (e *Engine) dial(client *net.UnixConn) (*net.UnixConn, error) {
	for began := time.Now(); ; time.Sleep(dialPause) {
		process, err := e.ready()
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
func (e *Engine) bind(client *net.UnixConn, process Process) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.process != process {
		return false
	}
	e.conns[client] = true
	return true
}
