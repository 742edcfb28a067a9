package sibling

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/leases"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
)

// RemoveLine removes everything of a state line that nobody holds: its folder and its namespace. One that is not there is no error.
func (h *Host) RemoveLine(ctx context.Context, kind, line string) error {
	namespace := kind + "-" + line
	return errors.Join(h.clearNamespace(ctx, namespace), h.removeLine(ctx, namespace, filepath.Join(h.Paths.EngineState, kind, line)))
}

// removeTemporaryLines removes those that an earlier life left.
func (h *Host) removeTemporaryLines(ctx context.Context) error {
	folders, err := filepath.Glob(filepath.Join(h.Paths.EngineState, "*", "*"+temporaryMark+"*"))
	if err != nil {
		return err
	}
	var failed []error
	for _, folder := range folders {
		failed = append(failed, h.RemoveLine(ctx, filepath.Base(filepath.Dir(folder)), filepath.Base(folder)))
	}
	return errors.Join(failed...)
}

// removeLine removes a namespace without containers, and the folder.
func (h *Host) removeLine(ctx context.Context, namespace, folder string) error {
	if !strings.HasPrefix(folder, h.Paths.EngineState+"/") {
		return fmt.Errorf("%s is no state line's folder", folder)
	}
	names, err := h.namespacesOf(ctx, namespace)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := h.emptyNamespace(namespaces.WithNamespace(ctx, name)); err != nil {
			return fmt.Errorf("namespace %s: %w", name, err)
		}
		if err := h.Daemon.Client().NamespaceService().Delete(ctx, name); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("namespace %s: %w", name, err)
		}
	}
	return os.RemoveAll(folder)
}

// namespacesOf gives the line's namespace and those that its engines make beside it: BuildKit keeps its history in "<namespace>_history".
func (h *Host) namespacesOf(ctx context.Context, namespace string) ([]string, error) {
	names, err := h.Daemon.Client().NamespaceService().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing containerd's namespaces: %w", err)
	}
	return slices.DeleteFunc(names, func(name string) bool {
		return name != namespace && !strings.HasPrefix(name, namespace+"_")
	}), nil
}

// emptyNamespace removes images, leases, snapshots, content and begun writes. Blobs that another namespace has too stay there.
func (h *Host) emptyNamespace(ctx context.Context) error {
	daemon := h.Daemon.Client()
	found, err := daemon.ImageService().List(ctx)
	if err != nil {
		return err
	}
	for _, image := range found {
		if err := daemon.ImageService().Delete(ctx, image.Name, images.SynchronousDelete()); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	held, err := daemon.LeasesService().List(ctx)
	if err != nil {
		return err
	}
	for _, lease := range held {
		if err := daemon.LeasesService().Delete(ctx, lease, leases.SynchronousDelete); err != nil && !errdefs.IsNotFound(err) {
			return err
		}
	}
	if err := removeSnapshots(ctx, daemon.SnapshotService(snapshotter)); err != nil {
		return err
	}
	return removeContent(ctx, daemon.ContentStore())
}

// removeSnapshots removes children before their parents: round by round, what is nobody's parent.
func removeSnapshots(ctx context.Context, service snapshots.Snapshotter) error {
	for {
		var names []string
		parents := map[string]bool{}
		err := service.Walk(ctx, func(_ context.Context, info snapshots.Info) error {
			names = append(names, info.Name)
			parents[info.Parent] = true
			return nil
		})
		if err != nil {
			return err
		}
		removed := false
		for _, name := range names {
			if parents[name] {
				continue
			}
			if err := service.Remove(ctx, name); err != nil && !errdefs.IsNotFound(err) {
				return fmt.Errorf("snapshot %s: %w", name, err)
			}
			removed = true
		}
		if !removed {
			return nil
		}
	}
}

func removeContent(ctx context.Context, store content.Store) error {
	var blobs []content.Info
	if err := store.Walk(ctx, func(info content.Info) error { blobs = append(blobs, info); return nil }); err != nil {
		return err
	}
	for _, blob := range blobs {
		if err := store.Delete(ctx, blob.Digest); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("blob %s: %w", blob.Digest, err)
		}
	}
	begun, err := store.ListStatuses(ctx)
	if err != nil {
		return err
	}
	for _, write := range begun {
		if err := store.Abort(ctx, write.Ref); err != nil && !errdefs.IsNotFound(err) {
			return fmt.Errorf("write %s: %w", write.Ref, err)
		}
	}
	return nil
}

// TouchLine notes that a line is in use now: by its folder's time, as LineUse reads it.
func (h *Host) TouchLine(kind, line string) { touch(filepath.Join(h.Paths.EngineState, kind, line)) }

// touch is for what it takes: a folder that is not there is none's.
func touch(folder string) {
	now := time.Now()
	_ = os.Chtimes(folder, now, now)
}

// LineUse tells how many bytes a state line has on disk (its folder, its snapshots and blobs; a blob that two lines have counts for
// both) and when it was last held.
func (h *Host) LineUse(ctx context.Context, kind, line string) (bytes int64, lastUsed time.Time, err error) {
	folder := filepath.Join(h.Paths.EngineState, kind, line)
	info, err := os.Stat(folder)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // never started
		}
		return 0, time.Time{}, err
	}
	err = filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		if found, err := entry.Info(); err == nil {
			bytes += found.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	})
	if err != nil {
		return 0, time.Time{}, err
	}
	names, err := h.namespacesOf(ctx, kind+"-"+line)
	if err != nil {
		return 0, time.Time{}, err
	}
	for _, name := range names {
		held, err := h.namespaceBytes(namespaces.WithNamespace(ctx, name))
		if err != nil {
			return 0, time.Time{}, fmt.Errorf("namespace %s: %w", name, err)
		}
		bytes += held
	}
	return bytes, info.ModTime(), nil
}

func (h *Host) namespaceBytes(ctx context.Context) (int64, error) {
	var bytes int64
	service := h.Daemon.Client().SnapshotService(snapshotter)
	err := service.Walk(ctx, func(ctx context.Context, info snapshots.Info) error {
		usage, err := service.Usage(ctx, info.Name)
		if err != nil && !errdefs.IsNotFound(err) {
			return err
		}
		bytes += usage.Size
		return nil
	})
	if err != nil {
		return 0, err
	}
	err = h.Daemon.Client().ContentStore().Walk(ctx, func(info content.Info) error { bytes += info.Size; return nil })
	return bytes, err
}
