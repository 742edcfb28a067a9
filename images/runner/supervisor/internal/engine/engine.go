// Package engine keeps one engine version: started by the first connection, stopped when idle, cleaned up after.
// It knows nothing of containers; a Starter does that.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"bedplate.dev/runner/supervisor/internal/line"
	"bedplate.dev/runner/supervisor/internal/proxy"
)

// Starter starts the engine's process.
type Starter interface {
	// Start returns when the engine serves. After an error nothing of the attempt is left. A temporary one gets a state of its own,
	// which ends with it.
	Start(ctx context.Context, temporary bool) (Process, error)
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
	Failures    int    // failed starts and early deaths in a row
	WaitingFor  string // while starting: the engine that holds the state line
	Temporary   bool   // its state ends with it
}

var (
	errClosed = errors.New("the runner is shutting down")
	errGone   = errors.New("the client has gone")
)

// Options are what an Engine needs.
type Options struct {
	Name        string // for clients: "buildkit/0.34.2"
	Starter     Starter
	GRPC        bool // its clients speak gRPC: one that waits is greeted, one that waits in vain is told why
	IdleTimeout time.Duration
	Line        *line.Line                          // what it has on disk; nil when nobody shares it
	LineWait    time.Duration                       // how long it waits for the line
	Ephemeral   bool                                // it does not wait: it gets a temporary state
	Started     func(took time.Duration, err error) // told of each start; nil for nobody
	Settled     func() <-chan struct{}              // closed while what engines depend on is there; nil when that is always
	Log         *slog.Logger
}

// attempt is one start; its fields are set before done is closed.
type attempt struct {
	done   chan struct{}
	cancel context.CancelFunc
	err    error
}

// Engine is safe for concurrent use.
type Engine struct {
	Options

	mu      sync.Mutex
	state   State
	closed  bool
	current *attempt            // while starting
	process Process             // while running
	holds   bool                // the line, from before a start until after the stop
	stopped chan struct{}       // while stopping: closed at its end
	conns   map[proxy.Conn]bool // true: joined to the process
	idle    *time.Timer         // while running without connections
	readyAt time.Time           // of the present or last process
	backoff backoff
	status  Status
}

// New makes a stopped engine.
func New(options Options) *Engine {
	return &Engine{Options: options, state: Stopped, conns: map[proxy.Conn]bool{}}
}

// Status tells how the engine is now.
func (e *Engine) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	status := e.status
	status.State = e.state
	status.Connections = len(e.conns)
	status.Failures = e.backoff.failures
	if e.state == Starting && e.Line != nil && !e.holds {
		status.WaitingFor, _ = e.Line.Status()
	}
	if e.process != nil {
		status.PID = e.process.PID()
	}
	return status
}

// ready gives the running process, after starting it or waiting for whoever does. Many callers make one start, and all of
// them get its error. While the engine stops they wait, then start it afresh. It gives up when gone is closed; the start goes on.
func (e *Engine) ready(gone <-chan struct{}) (Process, error) {
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
			if err := e.backoff.refuses(time.Now(), e.status.LastError); err != nil {
				e.mu.Unlock()
				return nil, err
			}
			e.begin()
			fallthrough
		default:
			joined = e.current
			wait = joined.done
		}
		e.mu.Unlock()
		select {
		case <-wait:
		case <-gone:
			return nil, errGone
		}
		if joined != nil && joined.err != nil {
			return nil, joined.err
		}
	}
}

// Start starts the engine if it does not run, and returns when it does, with why it did not, or with ctx's error (the start goes on then).
func (e *Engine) Start(ctx context.Context) error {
	if _, err := e.ready(ctx.Done()); !errors.Is(err, errGone) {
		return err
	}
	return fmt.Errorf("still starting: %w", context.Cause(ctx))
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
	e.Log.Info("engine starting")
	temporary, err := e.claim(ctx)
	claimed := err == nil
	var process Process
	if claimed {
		process, err = e.Starter.Start(ctx, temporary)
	}
	if err != nil {
		e.giveBack()
	}
	took := time.Since(began)

	if err != nil {
		e.Log.Error("engine failed to start", "error", err.Error(), "tookMs", took.Milliseconds())
	} else {
		e.Log.Info("engine ready", "pid", process.PID(), "tookMs", took.Milliseconds())
		defer func() { go e.watch(process) }()
	}

	if e.Started != nil {
		e.Started(took, err)
	}
	e.mu.Lock()
	e.current = nil
	current.err = err
	if err != nil {
		e.state = Stopped
		e.status.LastError = err.Error()
		if ctx.Err() == nil && claimed {
			e.backoff.failed(time.Now())
		}
	} else {
		e.state = Running
		e.process = process
		e.readyAt = time.Now()
		e.status.Start = took
		e.status.LastError = ""
		e.status.Temporary = temporary
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
	e.Log.Error("engine died", "pid", process.PID(), "connections", len(e.conns))
	if time.Since(e.readyAt) < soundLife {
		e.backoff.failed(time.Now())
	} else {
		e.backoff = backoff{}
	}
	e.stop("died: ")
}
