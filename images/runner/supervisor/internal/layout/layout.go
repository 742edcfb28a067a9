// Package layout reads images from an OCI image layout on disk, and believes no byte whose digest it has not checked.
package layout

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	dockerIndex    = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"

	largestDocumentBytes = 8 << 20
)

// Image is one platform's image in a layout. Its manifest and config were read and their digests are right;
// its layers were not looked at.
type Image struct {
	Name     string // the index's org.opencontainers.image.ref.name, else the manifest's digest
	Manifest ocispec.Descriptor
	Config   ocispec.Descriptor
	Layers   []ocispec.Descriptor
	Labels   map[string]string
	dir      string
}

// BlobPath is where the layout keeps the blob.
func (i Image) BlobPath(descriptor ocispec.Descriptor) string {
	return blobPath(i.dir, descriptor.Digest)
}

// Read lists the images for the platform that the layout in dir holds. A folder that is not there holds none.
// What cannot be read gives an error that names the file, and does not hide the other images.
func Read(dir, operatingSystem, architecture string) ([]Image, []error) {
	root, err := os.ReadFile(filepath.Join(dir, ocispec.ImageIndexFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, []error{err}
	}
	var index ocispec.Index
	if err := json.Unmarshal(root, &index); err != nil {
		return nil, []error{fmt.Errorf("%s: %w", filepath.Join(dir, ocispec.ImageIndexFile), err)}
	}
	reader := reader{dir: dir, os: operatingSystem, arch: architecture}
	var images []Image
	var problems []error
	for _, descriptor := range index.Manifests {
		image, err := reader.image(descriptor)
		if err != nil {
			problems = append(problems, fmt.Errorf("image %s: %w", nameOf(descriptor), err))
		} else if image != nil {
			images = append(images, *image)
		}
	}
	return images, problems
}

type reader struct{ dir, os, arch string }

// image gives nil for what is no image for this platform.
func (r reader) image(descriptor ocispec.Descriptor) (*Image, error) {
	name := nameOf(descriptor)
	if isIndex(descriptor) {
		var index ocispec.Index
		if err := r.document(descriptor, &index); err != nil {
			return nil, err
		}
		child := r.pick(index.Manifests)
		if child == nil {
			return nil, nil
		}
		descriptor = *child
	}
	if !isManifest(descriptor) || descriptor.ArtifactType != "" {
		return nil, nil
	}
	var manifest ocispec.Manifest
	if err := r.document(descriptor, &manifest); err != nil {
		return nil, err
	}
	if manifest.Config.MediaType != ocispec.MediaTypeImageConfig && manifest.Config.MediaType != dockerConfig {
		return nil, nil
	}
	var config ocispec.Image
	if err := r.document(manifest.Config, &config); err != nil {
		return nil, err
	}
	if config.OS != r.os || config.Architecture != r.arch {
		return nil, nil
	}
	return &Image{
		Name: name,
		// Without annotations and platform: what the store keeps should not depend on who listed it.
		Manifest: ocispec.Descriptor{MediaType: descriptor.MediaType, Digest: descriptor.Digest, Size: descriptor.Size},
		Config:   manifest.Config,
		Layers:   manifest.Layers,
		Labels:   config.Config.Labels,
		dir:      r.dir,
	}, nil
}

func (r reader) pick(manifests []ocispec.Descriptor) *ocispec.Descriptor {
	for _, manifest := range manifests {
		if p := manifest.Platform; p != nil && p.OS == r.os && p.Architecture == r.arch {
			return &manifest
		}
	}
	return nil
}

// document reads a JSON blob after checking its size and digest.
func (r reader) document(descriptor ocispec.Descriptor, into any) error {
	if err := descriptor.Digest.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", descriptor.Digest, err)
	}
	path := blobPath(r.dir, descriptor.Digest)
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, largestDocumentBytes+1))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if int64(len(data)) != descriptor.Size {
		return fmt.Errorf("%s: has %d bytes, its descriptor says %d", path, len(data), descriptor.Size)
	}
	if actual := descriptor.Digest.Algorithm().FromBytes(data); actual != descriptor.Digest {
		return fmt.Errorf("%s: its content has the digest %s", path, actual)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func blobPath(dir string, blob digest.Digest) string {
	return filepath.Join(dir, ocispec.ImageBlobsDir, blob.Algorithm().String(), blob.Encoded())
}

func isIndex(d ocispec.Descriptor) bool {
	return d.MediaType == ocispec.MediaTypeImageIndex || d.MediaType == dockerIndex
}

func isManifest(d ocispec.Descriptor) bool {
	return d.MediaType == ocispec.MediaTypeImageManifest || d.MediaType == dockerManifest
}

func nameOf(descriptor ocispec.Descriptor) string {
	if name := descriptor.Annotations[ocispec.AnnotationRefName]; name != "" {
		return name
	}
	return descriptor.Digest.String()
}
