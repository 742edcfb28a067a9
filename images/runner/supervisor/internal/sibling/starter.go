package sibling

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"bedplate.dev/runner/supervisor/internal/catalog"
	"bedplate.dev/runner/supervisor/internal/cgroup"
	"bedplate.dev/runner/supervisor/internal/engine"
	"bedplate.dev/runner/supervisor/internal/http2wait"
	"bedplate.dev/runner/supervisor/internal/ownerconfig"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
)

const socketPoll = 2 * time.Millisecond

// Starter starts the entry's engine as a container.
func (h *Host) Starter(entry catalog.Entry) engine.Starter { return &starter{host: h, entry: entry} }

type starter struct {
	host  *Host
	entry catalog.Entry
}

// Start implements engine.Starter.
func (s *starter) Start(ctx context.Context, temporary bool) (engine.Process, error) {
	at := s.host.place(s.entry.Contract, temporary)
	if _, err := s.host.clear(ctx, s.entry, at); err != nil {
		return nil, fmt.Errorf("clearing what an earlier one left: %w", err)
	}
	process, err := s.launch(ctx, at)
	if err != nil {
		_, clearErr := s.host.clear(context.Background(), s.entry, at)
		return nil, errors.Join(err, clearErr)
	}
	if err := process.awaitReady(ctx); err != nil {
		ending, stopErr := process.kill()
		return nil, errors.Join(fmt.Errorf("%w: %s", err, ending), stopErr)
	}
	s.host.add(process)
	return process, nil
}

// launch makes folders, container and task, and starts the task.
func (s *starter) launch(ctx context.Context, at place) (*process, error) {
	command, err := s.host.command(s.entry, at)
	if err != nil {
		return nil, err
	}
	own, err := ownerconfig.Merge(command.Files, command.Network)
	if err != nil {
		return nil, err
	}
	files, err := ownerconfig.Apply(s.host.Paths.OwnerConfig, s.entry.Kind, s.entry.Version, own, command.Defaults)
	if err != nil {
		return nil, err
	}
	if err := prepareFolders(at, files); err != nil {
		return nil, err
	}
	if err := s.host.makeNetwork(s.entry, at); err != nil {
		return nil, err
	}
	names, err := s.host.writeNames(at)
	if err != nil {
		return nil, err
	}
	owner := s.host.Owner.Engine(s.entry.Kind, s.entry.Version)
	limits := cgroup.Limits{CPUs: owner.CPUs, MemoryBytes: owner.MemoryBytes, PIDs: owner.PIDs}
	if err := cgroup.Limit(s.host.Paths.Cgroup, at.cgroup, limits); err != nil {
		return nil, err
	}
	daemon := s.host.Daemon.Client()
	if err := daemon.NamespaceService().Create(ctx, at.namespace, nil); err != nil && !errdefs.IsAlreadyExists(err) {
		return nil, fmt.Errorf("containerd namespace %s: %w", at.namespace, err)
	}
	ctx = namespaces.WithNamespace(ctx, Namespace)
	spec, err := s.host.spec(s.entry, at, command, names)
	if err != nil {
		return nil, err
	}
	containerOptions := []client.NewContainerOpts{client.WithRuntime("io.containerd.runc.v2", nil)}
	var taskOptions []client.NewTaskOpts
	if s.entry.Image != nil {
		s.host.unpacking.RLock()
		defer s.host.unpacking.RUnlock()
		image, err := s.host.importImage(ctx, s.entry)
		if err != nil {
			return nil, err
		}
		containerOptions = append(containerOptions,
			client.WithImage(image), client.WithSnapshotter(snapshotter), client.WithNewSnapshot(s.entry.ID(), image))
	} else {
		if err := prepareRoot(at.rootfs, s.host.BasePaths); err != nil {
			return nil, err
		}
		taskOptions = append(taskOptions, client.WithRootFS([]mount.Mount{
			{Type: "bind", Source: at.rootfs, Options: []string{"rbind", "rw"}}, // runc makes mount points in it, then makes it read-only
		}))
	}
	deadline := time.Now().Add(s.entry.StartTimeout())
	container, err := daemon.NewContainer(ctx, s.entry.ID(), append(containerOptions, client.WithSpec(spec))...)
	if err != nil {
		return nil, fmt.Errorf("creating the container: %w", err)
	}
	output, err := newOutput(at.log)
	if err != nil {
		return nil, err
	}
	before := logSize(at.log)
	task, err := newTask(ctx, container, output, taskOptions)
	if err != nil {
		return nil, fmt.Errorf("creating the task: %w", err)
	}
	process, err := watch(s, at, int(task.Pid()), deadline, before)
	if err != nil {
		return nil, err
	}
	if err := task.Start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the task: %w", err), process.unwatch())
	}
	return process, nil
}

// newTask makes the container's task. When an earlier one's shim was killed, containerd lists the task as gone while it still
// cleans up after it, and refuses another of its name: that is waited for.
func newTask(ctx context.Context, container client.Container, output cio.IO, options []client.NewTaskOpts) (client.Task, error) {
	for began := time.Now(); ; time.Sleep(retryPause) {
		task, err := container.NewTask(ctx, func(string) (cio.IO, error) { return output, nil }, options...)
		if !errdefs.IsAlreadyExists(err) || time.Since(began) > taskTimeout || ctx.Err() != nil {
			return task, err
		}
	}
}

// awaitReady returns when the engine serves, or why it does not.
func (p *process) awaitReady(parent context.Context) error {
	entry := p.starter.entry
	late := fmt.Errorf("the engine does not answer on %s %d ms after its start", p.at.socket, entry.StartTimeoutMs)
	ctx, cancel := context.WithDeadlineCause(parent, p.deadline, late)
	defer cancel()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() {
		select {
		case <-p.exited:
			end(errors.New("the engine ended before it was ready"))
		case <-ctx.Done():
		}
	}()
	for ctx.Err() == nil {
		if answers(ctx, p.at.socket, entry.Protocol) {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(socketPoll):
		}
	}
	if parent.Err() != nil {
		return errors.New("the start was given up")
	}
	return context.Cause(ctx)
}

// answers tells whether the engine serves: it accepts and, for gRPC, has sent its SETTINGS. Some engines listen long before that.
func answers(ctx context.Context, socket, protocol string) bool {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return false
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	return protocol != "grpc" || http2wait.Greet(conn) == nil
}
