package containerd

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"bedplate.dev/runner/supervisor/internal/paths"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/sys/reaper"
	"golang.org/x/sys/unix"
)

const (
	stopTimeout  = 10 * time.Second
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 5 * time.Second
	soundLife    = 10 * time.Second // one that lived longer begins the backoff anew
)

// Hooks are called when containerd has died by itself, and when it answers again after that. They run beside the daemon's own work.
type Hooks struct {
	Died func()
	Back func()
}

// Daemon is containerd as a child of bedplated. It is safe for concurrent use.
type Daemon struct {
	at    paths.Paths
	log   *slog.Logger
	hooks Hooks

	mu       sync.Mutex
	client   *client.Client
	pid      int
	version  string
	restarts int
	ready    chan struct{} // closed while containerd answers
	settled  chan struct{} // closed while engines have their connections to it
	endedAt  time.Time     // of the last child
	stopping bool
	exited   chan struct{} // closed when the present child has ended
	finished chan struct{} // closed when no child will follow
	quit     chan struct{} // closed by Stop
}

// Start writes the configuration, starts containerd and returns when it answers. If it ends before, that is an error with
// the path of its log.
func Start(ctx context.Context, at paths.Paths, log *slog.Logger) (*Daemon, error) {
	if err := writeConfig(at); err != nil {
		return nil, err
	}
	d := &Daemon{at: at, log: log, ready: make(chan struct{}), settled: closed(), finished: make(chan struct{}), quit: make(chan struct{})}
	if err := d.launch(); err != nil {
		return nil, err
	}
	if err := d.awaitAnswer(ctx); err != nil {
		d.kill()
		return nil, err
	}
	go d.keep()
	return d, nil
}

// Notify sets the hooks.
func (d *Daemon) Notify(hooks Hooks) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hooks = hooks
}

// Settled is closed while containerd runs and engines have had the time to connect to it.
func (d *Daemon) Settled() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.settled
}

// settle closes the channel unless containerd has died again meanwhile: the next return will.
func (d *Daemon) settle(settled chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.ready:
	default:
		return
	}
	select {
	case <-settled:
	default:
		close(settled)
	}
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// Restarts is how often containerd was started again.
func (d *Daemon) Restarts() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.restarts
}

// Client is the connection to containerd; it outlives a restart of containerd.
func (d *Daemon) Client() *client.Client {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.client
}

// Info tells containerd's version and pid, and whether it answers.
func (d *Daemon) Info() (version string, pid int, ready bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.ready:
		return d.version, d.pid, true
	default:
		return d.version, d.pid, false
	}
}

// WaitReady returns when containerd answers, or with ctx's error.
func (d *Daemon) WaitReady(ctx context.Context) error {
	d.mu.Lock()
	ready := d.ready
	d.mu.Unlock()
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("containerd does not answer (see %s): %w", d.logFile(), ctx.Err())
	}
}

// Stop ends containerd: SIGTERM, then SIGKILL, which is an error.
func (d *Daemon) Stop() error {
	d.mu.Lock()
	d.stopping = true
	close(d.quit)
	d.mu.Unlock()
	limit := time.After(stopTimeout)
	for {
		d.signal(unix.SIGTERM) // again and again: a restart may have been under way
		select {
		case <-d.finished:
			return nil
		case <-limit:
			err := fmt.Errorf("containerd did not end within %s and was killed", stopTimeout)
			d.signal(unix.SIGKILL)
			<-d.finished
			return err
		case <-time.After(time.Second):
		}
	}
}

// signal does nothing while there is no child.
func (d *Daemon) signal(signal unix.Signal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pid > 0 {
		_ = unix.Kill(d.pid, signal) // the child is not reaped before pid is 0 again, or has just ended: nobody else's pid
	}
}

func (d *Daemon) logFile() string { return filepath.Join(d.at.Logs, "containerd.log") }

// launch starts a child and a goroutine that waits for its end.
func (d *Daemon) launch() error {
	output, err := os.OpenFile(d.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("containerd: %w", err)
	}
	defer output.Close()
	command := exec.Command(filepath.Join(d.at.Bin, "containerd"), "--config", d.at.ContainerdConfig)
	command.Env = append(os.Environ(), "PATH="+d.at.Bin+":/usr/sbin:/usr/bin:/sbin:/bin")
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &unix.SysProcAttr{Setpgid: true} // a terminal's ^C is for bedplated, which stops things in order
	exits, err := reaper.Default.Start(command)
	if err != nil {
		return fmt.Errorf("containerd: %w", err)
	}
	exited := make(chan struct{})
	d.mu.Lock()
	d.pid, d.exited = command.Process.Pid, exited
	d.mu.Unlock()
	go func() {
		status, err := reaper.Default.Wait(command, exits)
		d.mu.Lock()
		d.pid = 0
		select {
		case <-d.ready:
			d.ready = make(chan struct{})
		default:
		}
		select {
		case <-d.settled:
			d.settled = make(chan struct{})
			d.endedAt = time.Now()
		default:
		}
		wanted, died := d.stopping, d.hooks.Died
		d.mu.Unlock()
		if !wanted && died != nil {
			go died()
		}
		level := slog.LevelError
		if wanted {
			level = slog.LevelInfo
		}
		d.log.Log(context.Background(), level, "containerd ended", "status", status, "error", err)
		close(exited)
	}()
	return nil
}

// keep starts containerd again whenever it ends, until Stop.
func (d *Daemon) keep() {
	defer close(d.finished)
	backoff, began := firstBackoff, time.Now()
	for {
		d.mu.Lock()
		exited := d.exited
		d.mu.Unlock()
		<-exited
		if time.Since(began) > soundLife {
			backoff = firstBackoff
		}
		select {
		case <-d.quit:
			return
		case <-time.After(backoff):
		}
		backoff, began = min(2*backoff, lastBackoff), time.Now()
		if !d.relaunch() {
			return
		}
	}
}

// relaunch is false when Stop came meanwhile.
func (d *Daemon) relaunch() bool {
	d.mu.Lock()
	stopping := d.stopping
	d.mu.Unlock()
	if stopping {
		return false
	}
	if err := d.launch(); err != nil {
		d.log.Error("containerd cannot be started again", "error", err.Error())
		return true
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-d.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	if err := d.awaitAnswer(ctx); err != nil {
		d.log.Error("containerd does not come back", "error", err.Error())
		d.kill()
		return true
	}
	d.mu.Lock()
	d.restarts++
	back, settled, away := d.hooks.Back, d.settled, time.Since(d.endedAt)
	d.mu.Unlock()
	time.AfterFunc(reconnectTime(away), func() { d.settle(settled) })
	if back != nil {
		go back()
	}
	return true
}

func (d *Daemon) kill() {
	d.signal(unix.SIGKILL)
	d.mu.Lock()
	exited := d.exited
	d.mu.Unlock()
	<-exited
}
