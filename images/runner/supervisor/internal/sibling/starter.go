package sibling

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"bedplate.dev/runner/supervisor/internal/catalog"
	"bedplate.dev/runner/supervisor/internal/engine"
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
func (s *starter) Start(ctx context.Context) (engine.Process, error) {
	if _, err := s.host.clear(ctx, s.entry); err != nil {
		return nil, fmt.Errorf("clearing what an earlier one left: %w", err)
	}
	process, err := s.launch(ctx)
	if err != nil {
		return nil, s.abandon(err)
	}
	if err := process.awaitSocket(ctx); err != nil {
		ending, stopErr := process.kill()
		return nil, errors.Join(fmt.Errorf("%w: %s", err, ending), stopErr)
	}
	return process, nil
}

func (s *starter) abandon(cause error) error {
	_, err := s.host.clear(context.Background(), s.entry)
	return errors.Join(cause, err)
}

// launch makes folders, container and task, and starts the task.
func (s *starter) launch(ctx context.Context) (*process, error) {
	at := s.host.place(s.entry.Contract)
	if err := prepareFolders(at); err != nil {
		return nil, err
	}
	daemon := s.host.Daemon.Client()
	if err := daemon.NamespaceService().Create(ctx, s.entry.ID(), nil); err != nil && !errdefs.IsAlreadyExists(err) {
		return nil, fmt.Errorf("containerd namespace %s: %w", s.entry.ID(), err)
	}
	ctx = namespaces.WithNamespace(ctx, Namespace)
	spec, err := s.host.spec(s.entry)
	if err != nil {
		return nil, err
	}
	containerOptions := []client.NewContainerOpts{client.WithRuntime("io.containerd.runc.v2", nil)}
	var taskOptions []client.NewTaskOpts
	if s.entry.Image != nil {
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
	before := logSize(at.log)
	task, err := container.NewTask(ctx, cio.LogFile(at.log), taskOptions...)
	if err != nil {
		return nil, fmt.Errorf("creating the task: %w", err)
	}
	process, err := watch(s, int(task.Pid()), deadline, before)
	if err != nil {
		return nil, err
	}
	if err := task.Start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the task: %w", err), process.forget())
	}
	return process, nil
}

// awaitSocket returns when the engine accepts, or why it does not.
func (p *process) awaitSocket(ctx context.Context) error {
	ctx, cancel := context.WithDeadline(ctx, p.deadline)
	defer cancel()
	for {
		conn, err := net.Dial("unix", p.at.socket)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-p.exited:
			return errors.New("the engine ended before it was ready")
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return errors.New("the start was given up")
			}
			return fmt.Errorf("the engine does not accept on %s %d ms after its start", p.at.socket, p.starter.entry.StartTimeoutMs)
		case <-time.After(socketPoll):
		}
	}
}
