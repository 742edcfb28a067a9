package sibling

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"bedplate.dev/runner/supervisor/internal/catalog"
	"bedplate.dev/runner/supervisor/internal/contract"
	"bedplate.dev/runner/supervisor/internal/fleet"
	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const snapshotter = "overlayfs"

const imagePrefix = "bedplate.local/"

func imageName(kind, version string) string { return imagePrefix + kind + ":" + version }

// Images lists the unpacked engine images. A start brings its image's time up to date; a layer that two have counts for both.
func (h *Host) Images(ctx context.Context) ([]fleet.Image, error) {
	ctx = namespaces.WithNamespace(ctx, Namespace)
	daemon := h.Daemon.Client()
	records, err := daemon.ImageService().List(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing images: %w", err)
	}
	list := []fleet.Image{}
	for _, record := range records {
		kind, version, found := strings.Cut(strings.TrimPrefix(record.Name, imagePrefix), ":")
		if !found || !strings.HasPrefix(record.Name, imagePrefix) {
			continue
		}
		bytes, err := client.NewImage(daemon, record).Usage(ctx, client.WithSnapshotUsage())
		if err != nil && !errdefs.IsNotFound(err) {
			return nil, fmt.Errorf("image %s: %w", record.Name, err)
		}
		list = append(list, fleet.Image{Kind: kind, Version: version, Bytes: bytes, LastUsed: record.UpdatedAt})
	}
	slices.SortFunc(list, func(a, b fleet.Image) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Version, b.Version))
	})
	return list, nil
}

// RemoveImage removes an engine's image with its blobs and snapshots, unless the engine has a container.
func (h *Host) RemoveImage(ctx context.Context, kind, version string) (used bool, err error) {
	h.unpacking.Lock()
	defer h.unpacking.Unlock()
	ctx = namespaces.WithNamespace(ctx, Namespace)
	daemon := h.Daemon.Client()
	_, err = daemon.ContainerService().Get(ctx, contract.Contract{Kind: kind, Version: version}.ID())
	if err == nil {
		return true, nil
	}
	if !errdefs.IsNotFound(err) {
		return false, err
	}
	err = daemon.ImageService().Delete(ctx, imageName(kind, version), images.SynchronousDelete())
	if errdefs.IsNotFound(err) {
		err = nil
	}
	return false, err
}

// importImage brings a local engine's image into containerd and unpacks it; what is there already is not done again.
// A blob that is not what its descriptor says gives an error that names the file.
func (h *Host) importImage(ctx context.Context, entry catalog.Entry) (client.Image, error) {
	daemon := h.Daemon.Client()
	// Without a lease the garbage collector would take the blobs before the image refers to them.
	ctx, release, err := daemon.WithLease(ctx)
	if err != nil {
		return nil, fmt.Errorf("containerd lease: %w", err)
	}
	defer func() { _ = release(context.WithoutCancel(ctx)) }() // it expires by itself after a day

	image := entry.Image
	for _, blob := range append([]ocispec.Descriptor{image.Config}, image.Layers...) {
		if err := importBlob(ctx, daemon.ContentStore(), image.BlobPath(blob), blob); err != nil {
			return nil, err
		}
	}
	if err := importBlob(ctx, daemon.ContentStore(), image.BlobPath(image.Manifest), image.Manifest); err != nil {
		return nil, err
	}
	if err := referTo(ctx, daemon.ContentStore(), image.Manifest, image.Config, image.Layers); err != nil {
		return nil, err
	}
	record := images.Image{Name: imageName(entry.Kind, entry.Version), Target: image.Manifest}
	stored, err := daemon.ImageService().Create(ctx, record)
	if errdefs.IsAlreadyExists(err) {
		stored, err = daemon.ImageService().Update(ctx, record)
	}
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", record.Name, err)
	}
	usable := client.NewImage(daemon, stored)
	unpacked, err := usable.IsUnpacked(ctx, snapshotter)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", record.Name, err)
	}
	if !unpacked {
		if err := usable.Unpack(ctx, snapshotter); err != nil {
			return nil, fmt.Errorf("unpacking the image %s: %w", record.Name, err)
		}
	}
	return usable, nil
}

func importBlob(ctx context.Context, store content.Store, path string, blob ocispec.Descriptor) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("local image: %w", err)
	}
	defer file.Close()
	ref := "bedplate-import-" + blob.Digest.String()
	if err := content.WriteBlob(ctx, store, ref, file, blob); err != nil {
		_ = store.Abort(ctx, ref) // else a mended file would be taken for the rest of the bad one
		return fmt.Errorf("local image: blob %s: %w", path, err)
	}
	return nil
}

// referTo makes the manifest keep its blobs from the garbage collector.
func referTo(ctx context.Context, store content.Store, manifest, config ocispec.Descriptor, layers []ocispec.Descriptor) error {
	labels := map[string]string{"containerd.io/gc.ref.content.config": config.Digest.String()}
	for i, layer := range layers {
		labels[fmt.Sprintf("containerd.io/gc.ref.content.l.%d", i)] = layer.Digest.String()
	}
	var fields []string
	for label := range labels {
		fields = append(fields, "labels."+label)
	}
	if _, err := store.Update(ctx, content.Info{Digest: manifest.Digest, Labels: labels}, fields...); err != nil {
		return fmt.Errorf("local image: manifest %s: %w", manifest.Digest, err)
	}
	return nil
}
