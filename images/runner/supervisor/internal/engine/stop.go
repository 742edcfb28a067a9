package engine

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Stop stops the engine and returns when it has stopped, or with ctx's error (it goes on stopping then). A start that is
// under way is given up. Clients' connections end first: an engine that waits for its builds gives them up then. A stopped engine is no error, and one that a new
// connection starts afterwards is left alone.
func (e *Engine) Stop(ctx context.Context) error {
	for {
		e.mu.Lock()
		var wait <-chan struct{}
		var given *attempt
		switch e.state {
		case Stopped:
			e.mu.Unlock()
			return nil
		case Starting:
			given = e.current
			given.cancel()
			wait = given.done
			e.mu.Unlock()
		case Running:
			e.Log.Info("engine stopping", "reason", "asked to", "connections", len(e.conns))
			wait = e.stop("")
		case Stopping:
			wait = e.stopped
			e.mu.Unlock()
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return fmt.Errorf("still stopping: %w", ctx.Err())
		}
		if given == nil || given.err != nil {
			return nil
		}
		// The start was ready before it heard that it was not wanted.
	}
}

// StopIfIdle stops an engine that runs without connections, and does not wait for its end.
func (e *Engine) StopIfIdle(reason string) {
	e.mu.Lock()
	if e.state != Running || len(e.conns) > 0 {
		e.mu.Unlock()
		return
	}
	e.Log.Info("engine stopping", "reason", reason)
	e.stop("")
}

// Close stops the engine for good: connections are refused from now on.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	e.mu.Unlock()
	return e.Stop(ctx)
}

// Retire closes the engine for good if it is stopped without connections, and tells whether it did.
func (e *Engine) Retire() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state != Stopped || len(e.conns) > 0 {
		return false
	}
	e.closed = true
	return true
}

// stop needs the lock and a running engine, and gives the lock back. The result is closed when the engine has stopped.
// died is "" for a stop that was wanted; else it begins the error that status shows.
func (e *Engine) stop(died string) <-chan struct{} {
	process := e.process
	done := make(chan struct{})
	e.state, e.process, e.stopped = Stopping, nil, done
	e.closeConns()
	e.disarmIdle()
	e.mu.Unlock()

	go func() {
		began := time.Now()
		ending, err := process.Stop()

		level, text := slog.LevelInfo, ending.Status
		if died != "" {
			level, text = slog.LevelError, died+ending.String()
		}
		e.Log.Log(context.Background(), level, "engine stopped", "ending", text, "tookMs", time.Since(began).Milliseconds())
		e.giveBack()
		if err != nil {
			e.Log.Error("engine not cleaned up", "error", err.Error())
		}

		e.mu.Lock()
		e.state, e.stopped = Stopped, nil
		if died == "" {
			e.backoff = backoff{}
		}
		if died != "" {
			e.status.LastError = died + ending.String()
		}
		if err != nil {
			e.status.LastError = died + ending.Status + "; cleaning up: " + err.Error()
		}
		close(done)
		e.mu.Unlock()
	}()
	return done
}

// armIdle needs the lock; it starts the idle time if the engine runs without connections.
func (e *Engine) armIdle() {
	if e.state != Running || len(e.conns) > 0 {
		return
	}
	process, wait, reason := e.process, e.IdleTimeout, "idle"
	if e.holds && e.Line.Contested() {
		wait, reason = 0, "its state line is wanted"
	}
	e.disarmIdle()
	e.idle = time.AfterFunc(wait, func() {
		e.mu.Lock()
		// A connection may have come, or the engine gone and come again, while this waited for the lock.
		if e.process != process || len(e.conns) > 0 || e.idle == nil {
			e.mu.Unlock()
			return
		}
		e.Log.Info("engine stopping", "reason", reason, "idleMs", wait.Milliseconds())
		e.stop("")
	})
}

// disarmIdle needs the lock.
func (e *Engine) disarmIdle() {
	if e.idle != nil {
		e.idle.Stop()
		e.idle = nil
	}
}

// closeConns needs the lock. It ends the connections that are joined to the process; those that wait for the next one stay.
func (e *Engine) closeConns() {
	for conn, proxied := range e.conns {
		if proxied {
			conn.Close()
		}
	}
}
