// Package engine keeps one engine version: started by the first connection, stopped when idle, cleaned up after.
// It knows nothing of containers; a Starter does that.
package engine

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// Starter starts the engine's process.
type Starter interface {
	// Start returns when the engine's socket accepts. After an error nothing of the attempt is left.
	Start(ctx context.Context) (Process, error)
}

// Process is a started engine.
type Process interface {
	// PID is its process id in the runner's PID namespace.
	PID() int
	// Socket is where it listens.
	Socket() string
	// Exited is closed when the process has ended, for whatever reason.
	Exited() <-chan struct{}
	// Stop asks it to end, kills it when it does not, and removes everything of it: container, work, mounts, cgroups.
	// It has to be called once, also after the process has ended by itself.
	Stop() (Ending, error)
}

// Ending is how a process ended, for people.
type Ending struct {
	Status string // "exit status 1"
	Output string // the last lines it wrote
}

// String is one line.
func (e Ending) String() string {
	if e.Output == "" {
		return e.Status
	}
	return e.Status + "; its last lines: " + e.Output
}

// State is where an engine is in its life: docs/spec/runner.md, "Control API".
type State string

// The states, in the order they are passed.
const (
	Stopped  State = "stopped"
	Starting State = "starting"
	Running  State = "running"
	Stopping State = "stopping"
)

// Status is a snapshot of an engine.
type Status struct {
	State       State
	Connections int           // clients' open connections, those that wait for the start too
	PID         int           // 0 when not running
	StartedAt   time.Time     // of the last start, zero before the first
	Start       time.Duration // from the first connection until ready, of the last start
	LastError   string
}

var errClosed = errors.New("the runner is shutting down")

// attempt is one start; its fields are set before done is closed.
type attempt struct {
	done   chan struct{}
	cancel context.CancelFunc
	err    error
}

// Engine is safe for concurrent use.
type Engine struct {
	starter     Starter
	idleTimeout time.Duration
	log         *slog.Logger

	mu      sync.Mutex
	state   State
	closed  bool
	current *attempt               // while starting
	process Process                // while running
	stopped chan struct{}          // while stopping: closed at its end
	conns   map[*net.UnixConn]bool // true: joined to the process
	idle    *time.Timer            // while running without connections
	status  Status
}

// New makes a stopped engine.
func New(starter Starter, idleTimeout time.Duration, log *slog.Logger) *Engine {
	return &Engine{starter: starter, idleTimeout: idleTimeout, log: log, state: Stopped, conns: map[*net.UnixConn]bool{}}
}

// Status tells how the engine is now.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	status := e.status
	status.State = e.state
	status.Connections = len(e.conns)
	if e.process != nil {
		status.PID = e.process.PID()
	}
	return status
}

// ready gives the running process, after starting it or waiting for whoever does. Many callers make one start, and all of
// them get its error. While the engine stops they wait, then start it afresh.
func (e *Engine) ready() (Process, error) {
	for {
		e.mu.Lock()
		var wait <-chan struct{}
		var joined *attempt
		switch {
		case e.closed:
			e.mu.Unlock()
			return nil, errClosed
		case e.state == Running:
			process := e.process
			e.mu.Unlock()
			return process, nil
		case e.state == Stopping:
			wait = e.stopped
		case e.state == Stopped:
			e.begin()
			fallthrough
		default:
			joined = e.current
			wait = joined.done
		}
		e.mu.Unlock()
		<-wait
		if joined != nil && joined.err != nil {
			return nil, joined.err
		}
	}
}

// begin needs the lock.
func (e *Engine) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	e.current = &attempt{done: make(chan struct{}), cancel: cancel}
	e.state = Starting
	e.status.StartedAt = time.Now()
	go e.start(ctx, e.current)
}

func (e *Engine) start(ctx context.Context, current *attempt) {
	defer current.cancel()
	began := time.Now()
	e.log.Info("engine starting")
	process, err := e.starter.Start(ctx)
	took := time.Since(began)

	if err != nil {
		e.log.Error("engine failed to start", "error", err.Error(), "tookMs", took.Milliseconds())
	} else {
		e.log.Info("engine ready", "pid", process.PID(), "tookMs", took.Milliseconds())
		defer func() { go e.watch(process) }()
	}

	e.mu.Lock()
	e.current = nil
	current.err = err
	if err != nil {
		e.state = Stopped
		e.status.LastError = err.Error()
	} else {
		e.state = Running
		e.process = process
		e.status.Start = took
		e.status.LastError = ""
		e.armIdle()
	}
	close(current.done)
	e.mu.Unlock()
}

// watch ends connections at once when the process dies by itself, and clears what it left.
func (e *Engine) watch(process Process) {
	<-process.Exited()
	e.mu.Lock()
	if e.process != process {
		e.mu.Unlock()
		return // stopped by us
	}
	e.log.Error("engine died", "pid", process.PID(), "connections", len(e.conns))
	e.closeConns()
	e.stop("died: ")
}
