// Package sibling runs engines as containers of the runner's containerd: docs/spec/engine.md.
package sibling

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"bedplate.dev/runner/supervisor/internal/catalog"
	"bedplate.dev/runner/supervisor/internal/cgroup"
	"bedplate.dev/runner/supervisor/internal/containerd"
	"bedplate.dev/runner/supervisor/internal/contract"
	"bedplate.dev/runner/supervisor/internal/gc"
	"bedplate.dev/runner/supervisor/internal/mounts"
	"bedplate.dev/runner/supervisor/internal/network"
	"bedplate.dev/runner/supervisor/internal/paths"
	"bedplate.dev/runner/supervisor/internal/settings"
	"github.com/containerd/errdefs"
)

const (
	// Namespace holds the engines' containers; their work is in namespaces of their own.
	Namespace = "bedplate"

	cgroupTimeout = 5 * time.Second
	clearTimeout  = time.Minute
	retryPause    = 50 * time.Millisecond
)

// Host is what engines run on.
type Host struct {
	Paths     paths.Paths
	Daemon    *containerd.Daemon
	Owner     settings.Settings
	Account   *gc.Account
	Bridges   *network.Bridges
	BasePaths []string // runner.json's: what a baked engine sees of the runner's root
	Log       *slog.Logger

	mu     sync.Mutex
	active map[*process]bool

	unpacking sync.RWMutex // images are removed while no engine is on its way from image to container
}

// place is where one engine's things are.
type place struct {
	state, tmp, run, rootfs, socket, log string
	networkConfig                        string
	namespace                            string // containerd's, of what the engine runs: its state line's
	temporary                            bool   // state and namespace end with the engine
	cgroup                               string // of the engine with what it runs
	engineCgroup, workCgroup             string // of each
}

// temporaryMark is in the name of every temporary line and, since no contract's line has a dash, in no other's.
const temporaryMark = "-tmp-"

func (h *Host) place(c contract.Contract, temporary bool) place {
	line := c.StateLine
	if temporary {
		line += temporaryMark + c.Version
	}
	state := filepath.Join(h.Paths.EngineState, c.Kind, line)
	run := filepath.Join(h.Paths.EngineRun, c.Kind, c.Version)
	group := "/bedplate-engines/" + c.ID()
	return place{
		state:     state,
		namespace: c.Kind + "-" + line,
		temporary: temporary,
		tmp:       filepath.Join(state, "tmp"),
		run:       run,
		rootfs:    filepath.Join(run, "rootfs"),
		socket:    filepath.Join(run, "engine.sock"),
		log:       filepath.Join(h.Paths.Logs, c.ID()+".log"),

		networkConfig: filepath.Join(run, contract.NetworkFile),

		cgroup: group, engineCgroup: group + "/engine", workCgroup: group + "/work",
	}
}

// ClearAll removes the containers, tasks, bridges and temporary lines of an earlier life.
func (h *Host) ClearAll(ctx context.Context) error {
	names, err := h.Daemon.Client().NamespaceService().List(ctx)
	if err != nil {
		return fmt.Errorf("listing containerd's namespaces: %w", err)
	}
	var failed []error
	for _, name := range names {
		failed = append(failed, h.clearNamespace(ctx, name))
	}
	return errors.Join(append(failed, h.Bridges.RemoveAll(), h.removeTemporaryLines(ctx))...)
}

// clear removes everything of an engine that does not run any more, or is not to: its container, the tasks and containers
// it left in its namespace, their processes, cgroups, mounts and bridge, ${run} and what is in TMPDIR. Its ${state} and its images
// and snapshots stay, unless they are temporary. It needs the state line. It waits for containerd when that is away. exit is the engine's exit status if there was a task.
func (h *Host) clear(ctx context.Context, entry catalog.Entry, at place) (exit *uint32, err error) {
	ctx, cancel := context.WithTimeout(ctx, clearTimeout)
	defer cancel()
	for {
		exit, err = h.clearContainers(ctx, entry, at)
		if err == nil || !errdefs.IsUnavailable(err) || ctx.Err() != nil {
			break
		}
		time.Sleep(retryPause) // containerd has gone meanwhile
	}
	err = errors.Join(
		err,
		cgroup.KillAndRemove(h.Paths.Cgroup, at.cgroup, cgroupTimeout),
		mounts.DetachBelow(at.state),
		mounts.EmptyBelow(at.tmp),
		mounts.EmptyBelow(at.run),
		h.Bridges.Remove(entry.ID()),
	)
	if at.temporary {
		err = errors.Join(err, h.removeLine(ctx, at.namespace, at.state))
	}
	return exit, err
}

func (h *Host) clearContainers(ctx context.Context, entry catalog.Entry, at place) (*uint32, error) {
	if err := h.Daemon.WaitReady(ctx); err != nil {
		return nil, err
	}
	exit, err := h.clearContainer(ctx, Namespace, entry.ID())
	return exit, errors.Join(err, h.clearNamespace(ctx, at.namespace))
}
