package sibling

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"bedplate.dev/runner/supervisor/internal/cgroup"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/containerd/v2/pkg/namespaces"
)

const (
	// orphanAge is how long an engine has to delete a task that ended while containerd was away.
	orphanAge   = 5 * time.Second
	workTimeout = 5 * time.Second
)

// add and forget keep the list of the engines that run.
func (h *Host) add(p *process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.active == nil {
		h.active = map[*process]bool{}
	}
	h.active[p] = true
}

func (h *Host) forget(p *process) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.active, p)
}

func (h *Host) running() []*process {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []*process
	for p := range h.active {
		list = append(list, p)
	}
	return list
}

// KillWork ends what the engines run, not the engines. It is for when containerd has died: an engine that waits for a task's end has
// lost it, yet goes on reading the task's output until its last process has gone (seen with BuildKit's executor, which hung for good).
// Killed, the build fails at once and by name. BuildKit before 0.15 puts its work into a cgroup of its own choice: so it is looked for
// in the bundles of the engine's namespace too.
func (h *Host) KillWork() {
	for _, p := range h.running() {
		bundles := filepath.Join(h.Paths.ContainerdState, taskBundles, p.at.namespace)
		err := errors.Join(
			killInits("/proc", bundles),
			cgroup.KillAndRemove(h.Paths.Cgroup, p.at.workCgroup, workTimeout),
		)
		if err != nil {
			h.Log.Warn("work not ended", "engine", p.starter.entry.Name(), "error", err.Error())
		}
	}
}

// ReapOrphans deletes the tasks that ended while containerd was away and that no engine has deleted since.
func (h *Host) ReapOrphans() {
	ctx, cancel := context.WithTimeout(context.Background(), clearTimeout)
	defer cancel()
	before := map[*process][]string{}
	for _, p := range h.running() {
		before[p] = h.ended(ctx, p)
	}
	time.Sleep(orphanAge)
	for p, ids := range before {
		for _, id := range h.ended(ctx, p) {
			if !slices.Contains(ids, id) {
				continue
			}
			if _, err := h.clearContainer(ctx, p.at.namespace, id); err != nil {
				h.Log.Warn("orphan not removed", "engine", p.starter.entry.Name(), "error", err.Error())
				continue
			}
			h.Log.Info("orphan removed", "engine", p.starter.entry.Name(), "task", id)
		}
	}
}

// ended lists the stopped tasks in an engine's namespace.
func (h *Host) ended(ctx context.Context, p *process) []string {
	ctx = namespaces.WithNamespace(ctx, p.at.namespace)
	found, err := h.Daemon.Client().TaskService().List(ctx, &tasksapi.ListTasksRequest{})
	if err != nil {
		h.Log.Warn("orphans not listed", "engine", p.starter.entry.Name(), "error", fmt.Sprint(err))
		return nil
	}
	var ids []string
	for _, t := range found.Tasks {
		if t.Status == task.Status_STOPPED {
			ids = append(ids, t.ID)
		}
	}
	return ids
}
