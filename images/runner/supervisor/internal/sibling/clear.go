package sibling

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"golang.org/x/sys/unix"
)

const taskTimeout = 15 * time.Second

// clearNamespace removes every container and task of the namespace; its images and snapshots stay.
func (h *Host) clearNamespace(ctx context.Context, namespace string) error {
	ctx = namespaces.WithNamespace(ctx, namespace)
	ids := map[string]bool{}
	containers, err := h.Daemon.Client().ContainerService().List(ctx)
	if err != nil {
		return fmt.Errorf("namespace %s: listing containers: %w", namespace, err)
	}
	for _, container := range containers {
		ids[container.ID] = true
	}
	// A task can be without its container: killed between two steps of its owner.
	tasks, err := h.Daemon.Client().TaskService().List(ctx, &tasksapi.ListTasksRequest{})
	if err != nil {
		return fmt.Errorf("namespace %s: listing tasks: %w", namespace, errgrpc.ToNative(err))
	}
	for _, task := range tasks.Tasks {
		ids[task.ID] = true
	}
	var failed []error
	for id := range ids {
		_, err := h.clearContainer(ctx, namespace, id)
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// clearContainer kills and deletes the task if there is one, then deletes the container and, when it is an engine's, its
// snapshot. What is not there is no error.
func (h *Host) clearContainer(ctx context.Context, namespace, id string) (exit *uint32, err error) {
	ctx, cancel := context.WithTimeout(namespaces.WithNamespace(ctx, namespace), taskTimeout)
	defer cancel()
	exit, err = h.clearTask(ctx, id)
	if err != nil {
		return exit, fmt.Errorf("namespace %s: task %s: %w", namespace, id, err)
	}
	container, err := h.Daemon.Client().LoadContainer(ctx, id)
	if err == nil {
		var options []client.DeleteOpts
		if namespace == Namespace {
			options = append(options, client.WithSnapshotCleanup)
		}
		err = container.Delete(ctx, options...)
	}
	if err != nil && !errdefs.IsNotFound(err) {
		return exit, fmt.Errorf("namespace %s: container %s: %w", namespace, id, err)
	}
	return exit, nil
}

func (h *Host) clearTask(ctx context.Context, id string) (exit *uint32, err error) {
	service := h.Daemon.Client().TaskService()
	found, err := service.Get(ctx, &tasksapi.GetRequest{ContainerID: id})
	if err != nil {
		return nil, ignoreNotFound(err)
	}
	if found.Process.Status != task.Status_STOPPED {
		_, err := service.Kill(ctx, &tasksapi.KillRequest{ContainerID: id, Signal: uint32(unix.SIGKILL), All: true})
		if err := ignoreNotFound(err); err != nil {
			return nil, err
		}
		if _, err := service.Wait(ctx, &tasksapi.WaitRequest{ContainerID: id}); ignoreNotFound(err) != nil {
			return nil, ignoreNotFound(err)
		}
	}
	deleted, err := service.Delete(ctx, &tasksapi.DeleteTaskRequest{ContainerID: id})
	if err == nil {
		exit = &deleted.ExitStatus
	}
	if err := ignoreNotFound(err); err != nil {
		return nil, err
	}
	return exit, h.removeFIFOs(found.Process)
}

// removeFIFOs removes the folder of FIFOs that a killed client (an engine) could no longer remove.
func (h *Host) removeFIFOs(process *task.Process) error {
	for _, stream := range []string{process.Stdin, process.Stdout, process.Stderr} {
		if folder := filepath.Dir(stream); filepath.Dir(folder) == h.Paths.ContainerdFIFOs {
			return os.RemoveAll(folder)
		}
	}
	return nil
}

func ignoreNotFound(err error) error {
	if err = errgrpc.ToNative(err); errdefs.IsNotFound(err) {
		return nil
	}
	return err
}
