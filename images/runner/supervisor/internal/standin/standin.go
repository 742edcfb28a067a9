// Package standin holds a runner's sockets while the runner is replaced, so that no client notices: it takes the place of each socket,
// greets whoever comes, and hands them to the new runner when that has put its own socket there. docs/spec/runner.md, "Replacing a runner".
package standin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"bedplate.dev/runner/supervisor/internal/http2wait"
	"bedplate.dev/runner/supervisor/internal/proxy"
	"bedplate.dev/runner/supervisor/internal/settings"
	"bedplate.dev/runner/supervisor/internal/socket"
)

const (
	poll = 20 * time.Millisecond
	// A new runner's socket refuses nobody; this is for one that is replaced again in that moment.
	dialTime = 10 * time.Second
)

// Run takes the place of the sockets (of engines that speak gRPC), calls held, and returns when each has been taken over and every
// client that was handed over has left. When ctx ends before that, those that wait are told that no runner came.
func Run(ctx context.Context, paths []string, log *slog.Logger, held func()) error {
	var all sync.WaitGroup
	var listeners []*socket.Listener
	for _, path := range paths {
		listener, err := takeOver(path)
		if err != nil {
			for _, l := range listeners {
				l.Remove()
				l.Close()
			}
			return err
		}
		listeners = append(listeners, listener)
	}
	held()
	for i, listener := range listeners {
		all.Go(func() { hold(ctx, paths[i], listener, &all, log) })
	}
	all.Wait()
	return nil
}

// takeOver opens a socket in the place of the one at path, with its owner and mode.
func takeOver(path string) (*socket.Listener, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, fmt.Errorf("standing in for a socket: %w", err)
	}
	opener := socket.Opener{Root: filepath.Dir(path), Settings: settings.Settings{
		SocketGID: int(info.Sys().(*syscall.Stat_t).Gid), SocketMode: info.Mode().Perm(),
	}}
	return opener.Open(path)
}

// hold accepts until another socket is at the path and nobody is left in the queue of this one.
func hold(ctx context.Context, path string, listener *socket.Listener, all *sync.WaitGroup, log *slog.Logger) {
	replaced := make(chan struct{})
	defer listener.Close()
	for {
		_ = listener.SetDeadline(time.Now().Add(poll)) // an open socket's can be set
		conn, err := listener.AcceptUnix()
		if err == nil {
			all.Go(func() { serve(ctx, path, conn, replaced, log) })
			continue
		}
		gone := !listener.Mine()
		switch {
		case gone && errors.Is(err, os.ErrDeadlineExceeded):
			close(replaced)
			return
		case ctx.Err() != nil:
			_ = listener.Remove() // nobody serves here any more
			return
		case !errors.Is(err, os.ErrDeadlineExceeded):
			log.Error("cannot accept", "socket", path, "error", err.Error())
			time.Sleep(poll)
		}
	}
}

// serve keeps one client until the new runner is there, then joins it to that.
func serve(ctx context.Context, path string, client *net.UnixConn, replaced <-chan struct{}, log *slog.Logger) {
	waiting := http2wait.Begin(client)
	select {
	case <-replaced:
	case <-waiting.Gone():
		client.Close()
		return
	case <-ctx.Done():
		waiting.Refuse(fmt.Sprintf("bedplate: the runner is down: %s", context.Cause(ctx)))
		return
	}
	backend, err := dial(path)
	if err != nil {
		log.Warn("client not handed over", "socket", path, "error", err.Error())
		waiting.Refuse("bedplate: " + err.Error())
		return
	}
	rest, err := waiting.Release(backend)
	if err != nil {
		client.Close()
		backend.Close()
		return
	}
	proxy.Join(client, rest, backend)
}

func dial(path string) (*net.UnixConn, error) {
	for began := time.Now(); ; time.Sleep(poll) {
		conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
		if err == nil || time.Since(began) > dialTime {
			return conn, err
		}
	}
}
