package sibling

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"bedplate.dev/runner/supervisor/internal/engine"
	"golang.org/x/sys/unix"
)

// process is a running engine, watched and signalled by a pidfd: that works while containerd is away.
type process struct {
	starter   *starter
	at        place
	pid       int
	pidfd     *os.File
	exited    chan struct{}
	deadline  time.Time // for its socket
	logOffset int64     // where its lines begin in the log
}

// watch has to be called before the task is started: until then nobody reaps it, and the pid is surely its own.
func watch(s *starter, at place, pid int, deadline time.Time, logOffset int64) (*process, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("pidfd of the engine %d: %w", pid, err)
	}
	p := &process{
		starter: s, at: at, pid: pid, deadline: deadline, logOffset: logOffset,
		pidfd: os.NewFile(uintptr(fd), "pidfd"), exited: make(chan struct{}),
	}
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		p.pidfd.Close()
		return nil, fmt.Errorf("pidfd of the engine %d: %w", pid, err)
	}
	go func() {
		defer close(p.exited)
		// A pidfd is readable when its process has ended: the runtime's poller waits, no thread does.
		_ = raw.Read(func(fd uintptr) bool {
			list := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
			n, err := unix.Poll(list, 0)
			return err == nil && n > 0
		})
	}()
	return p, nil
}

func (p *process) PID() int                { return p.pid }
func (p *process) Socket() string          { return p.at.socket }
func (p *process) Exited() <-chan struct{} { return p.exited }

// Stop implements engine.Process.
func (p *process) Stop() (engine.Ending, error) {
	p.signal(p.starter.entry.Signal())
	select {
	case <-p.exited:
	case <-time.After(p.starter.entry.StopTimeout()):
	}
	return p.kill()
}

// kill ends the engine now and removes what is left.
func (p *process) kill() (engine.Ending, error) {
	p.starter.host.forget(p)
	select {
	case <-p.exited:
	default:
		p.signal(unix.SIGKILL) // the first of its PID namespace: all others end with it
		<-p.exited
	}
	closed := p.pidfd.Close()
	touch(p.at.state)
	exit, err := p.starter.host.clear(context.Background(), p.starter.entry, p.at)
	ending := engine.Ending{Status: "exit status unknown", Output: lastLines(p.at.log, p.logOffset)}
	if exit != nil {
		ending.Status = fmt.Sprintf("exit status %d", *exit)
	}
	return ending, errors.Join(closed, err)
}

// unwatch gives up watching a task that was never started.
func (p *process) unwatch() error {
	err := p.pidfd.Close()
	<-p.exited
	return err
}

func (p *process) signal(signal unix.Signal) {
	raw, err := p.pidfd.SyscallConn()
	if err != nil {
		return // closed: it has ended
	}
	// Not File.Fd, which would make the descriptor a blocking one.
	_ = raw.Control(func(fd uintptr) {
		_ = unix.PidfdSendSignal(int(fd), signal, nil, 0) // it may have ended
	})
}
