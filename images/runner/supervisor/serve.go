package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"bedplate.dev/runner/supervisor/internal/catalog"
	"bedplate.dev/runner/supervisor/internal/containerd"
	"bedplate.dev/runner/supervisor/internal/control"
	"bedplate.dev/runner/supervisor/internal/disk"
	"bedplate.dev/runner/supervisor/internal/events"
	"bedplate.dev/runner/supervisor/internal/fleet"
	"bedplate.dev/runner/supervisor/internal/gc"
	"bedplate.dev/runner/supervisor/internal/logs"
	"bedplate.dev/runner/supervisor/internal/metrics"
	"bedplate.dev/runner/supervisor/internal/network"
	"bedplate.dev/runner/supervisor/internal/paths"
	"bedplate.dev/runner/supervisor/internal/settings"
	"bedplate.dev/runner/supervisor/internal/sibling"
	"bedplate.dev/runner/supervisor/internal/socket"
)

const (
	clearTimeout = 2 * time.Minute
	logsLooked   = 30 * time.Second
)

// runner is what has been started so far, for the control API.
type runner struct {
	mu     sync.Mutex
	daemon *containerd.Daemon
	fleet  *fleet.Fleet
	reason string // why it is not ready
}

func (r *runner) state() (*fleet.Fleet, control.Containerd, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fleet, r.daemon, r.reason
}

func (r *runner) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// serve starts everything in order, waits until ctx is done, and stops everything in reverse. It returns nil when all of
// that went well.
func serve(ctx context.Context, at paths.Paths, owner settings.Settings, image settings.Runner, hub *events.Hub, hurry context.Context, log *slog.Logger) (err error) {
	counted := metrics.New()
	state := &runner{reason: "containerd is starting"}
	controlListener, err := socket.Opener{Root: at.Sockets, Settings: owner}.Open(at.Control)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: (&control.Server{
			RunnerVersion: image.Version, StartedAt: processStart, Runner: state.state, Metrics: counted, Events: hub,
		}).Handler(),
		ReadHeaderTimeout: 10 * time.Second,
	}
	go func() {
		if err := server.Serve(controlListener); !errors.Is(err, http.ErrServerClosed) {
			log.Error("control API ended", "error", err.Error())
		}
	}()
	defer func() { err = errors.Join(err, server.Close(), controlListener.Remove()) }()

	front, err := openTLS(at, owner, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, front.Close()) }()

	keeping, stopKeeping := context.WithCancel(context.Background())
	defer stopKeeping()
	account := &gc.Account{Path: at.State, Limits: owner.Disk}
	reserve := disk.Reserve{Path: at.Reserve}
	if err := makeRoom(account, reserve, log); err != nil {
		return err
	}
	go logs.Keep(keeping, at.Logs, logs.MostBytes, logsLooked, log)

	daemon, err := containerd.Start(ctx, at, log)
	if err != nil {
		return unlessStopped(ctx, err)
	}
	defer func() { err = errors.Join(err, daemon.Stop()) }()
	bridges, err := network.Open(at.ID, owner.BridgePools)
	if err != nil {
		return err
	}
	host := &sibling.Host{Paths: at, Daemon: daemon, BasePaths: image.BasePaths, Owner: owner, Account: account, Bridges: bridges, Log: log}
	daemon.Notify(containerd.Hooks{Died: host.KillWork, Back: host.ReapOrphans})
	if err := clear(ctx, host, daemon); err != nil {
		return unlessStopped(ctx, fmt.Errorf("clearing an earlier life's containers: %w", err))
	}

	engines, err := fleet.Open(fleet.Options{
		Paths: at, Settings: owner, Default: image.Default, Starter: host.Starter, Disk: host, Account: account, Reserve: reserve,
		Started: func(entry catalog.Entry, took time.Duration, err error) {
			counted.Started(entry.Kind, entry.Version, took, err)
		},
		Removed: func(thing gc.Thing) { counted.Removed(string(thing.Sort), thing.Bytes) },
		Settled: daemon.Settled, Log: log,
	})
	if err != nil {
		return err
	}
	state.set(func() { state.daemon, state.fleet, state.reason = daemon, engines, "" })
	front.Serve(engines)
	go engines.Keep(keeping)
	log.Info("runner ready", "version", image.Version, "engines", len(engines.List()))

	<-ctx.Done()
	log.Info("runner stopping", "reason", context.Cause(ctx).Error())
	state.set(func() { state.reason = "the runner finishes what is connected, and stops" })
	frontErr := front.Close()
	drain(hurry, engines, owner.Drain, log)
	state.set(func() { state.fleet, state.reason = nil, "the runner is shutting down" })
	return errors.Join(frontErr, engines.Close(context.Background()), clear(context.Background(), host, daemon))
}

// makeRoom lets containerd start on a full disk.
func makeRoom(account *gc.Account, reserve disk.Reserve, log *slog.Logger) error {
	summary, err := account.Summary()
	if err != nil {
		return err
	}
	given, err := reserve.Keep(summary.Space, summary.FloorBytes)
	if given {
		log.Warn("disk full: the reserve is given up", "freeBytes", summary.Free)
	}
	return err
}

// drain lets connections finish, for so long or until hurry ends. What is cut off then is no failure of the runner's.
func drain(hurry context.Context, engines *fleet.Fleet, limit time.Duration, log *slog.Logger) {
	ctx, cancel := context.WithTimeoutCause(hurry, limit, fmt.Errorf("not finished within %s", limit))
	defer cancel()
	if err := engines.Drain(ctx); err != nil {
		log.Warn("not drained", "error", err.Error())
	}
}

// clear waits for containerd, which may be on its way back.
func clear(ctx context.Context, host *sibling.Host, daemon *containerd.Daemon) error {
	ctx, cancel := context.WithTimeout(ctx, clearTimeout)
	defer cancel()
	if err := daemon.WaitReady(ctx); err != nil {
		return err
	}
	return host.ClearAll(ctx)
}

// unlessStopped is nil when the failure comes of a signal while starting: that was wanted.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
