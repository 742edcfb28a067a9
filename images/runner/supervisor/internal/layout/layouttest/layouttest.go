// Package layouttest writes small OCI image layouts for tests.
package layouttest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Layout is a layout in Dir; Write writes its index.json.
type Layout struct {
	t     testing.TB
	Dir   string
	Index ocispec.Index
}

// New makes an empty one.
func New(t testing.TB) *Layout {
	return &Layout{t: t, Dir: t.TempDir(), Index: ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}}}
}

// Path is where the blob is.
func (l *Layout) Path(d ocispec.Descriptor) string {
	return filepath.Join(l.Dir, "blobs", d.Digest.Algorithm().String(), d.Digest.Encoded())
}

// Blob writes a blob.
func (l *Layout) Blob(mediaType string, content []byte) ocispec.Descriptor {
	l.t.Helper()
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
	l.file(l.Path(d), content)
	return d
}

// JSON writes a value as a blob.
func (l *Layout) JSON(mediaType string, value any) ocispec.Descriptor {
	l.t.Helper()
	content, err := json.Marshal(value)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.Blob(mediaType, content)
}

// Image writes an image of one layer and gives its manifest's descriptor.
func (l *Layout) Image(architecture string, labels map[string]string) ocispec.Descriptor {
	l.t.Helper()
	config := l.JSON(ocispec.MediaTypeImageConfig, ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: architecture},
		Config:   ocispec.ImageConfig{Labels: labels},
	})
	layer := l.Blob(ocispec.MediaTypeImageLayer, []byte("layer for "+architecture))
	manifest := l.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{layer},
	})
	manifest.Platform = &ocispec.Platform{OS: "linux", Architecture: architecture}
	return manifest
}

// Tag names a descriptor in the index.
func (l *Layout) Tag(d ocispec.Descriptor, name string) {
	d.Annotations = map[string]string{ocispec.AnnotationRefName: name}
	l.Index.Manifests = append(l.Index.Manifests, d)
}

// Write writes index.json.
func (l *Layout) Write() {
	l.t.Helper()
	content, err := json.Marshal(l.Index)
	if err != nil {
		l.t.Fatal(err)
	}
	l.file(filepath.Join(l.Dir, "index.json"), content)
}

func (l *Layout) file(path string, content []byte) {
	l.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		l.t.Fatal(err)
	}
}
