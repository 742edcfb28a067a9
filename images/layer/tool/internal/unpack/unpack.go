// Package unpack makes the root file system of an image in an OCI image layout.
//
// Nothing of the layout is believed: manifest, config, blobs and tar streams are checked against their digests
// while they are read. The unpacking itself is containerd's.
package unpack

import (
	"context"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"bedplate.dev/images/layer/tool/internal/staging"
)

// Options say what to unpack, and where.
type Options struct {
	Layout   string           // folder of the OCI image layout
	Manifest string           // digest of the image manifest
	Dest     string           // folder to make; must not exist
	Progress func(Progress)   // called now and then; may be nil
	Now      func() time.Time // the clock
}

// Progress says how far a layer is.
type Progress struct {
	Layer      int    `json:"layer"`      // from 1
	Layers     int    `json:"layers"`     // how many there are
	Digest     string `json:"digest"`     // of the layer's blob
	Bytes      int64  `json:"bytes"`      // of the blob, read so far
	TotalBytes int64  `json:"totalBytes"` // of the blob
}

// Result describes an unpacked image, as `bedplate-layer apply` prints it.
type Result struct {
	Layers  int     `json:"layers"`
	Bytes   int64   `json:"bytes"`   // of the contents of all files in all layers
	Seconds float64 `json:"seconds"` // from start to end
}

// Unpack applies the layers of the image in order to a new folder, which gets its name when everything was
// verified. On an error, and when ctx ends, nothing is left.
func Unpack(ctx context.Context, o Options) (Result, error) {
	start := o.Now()
	l := layout{o.Layout}
	if err := l.check(); err != nil {
		return Result{}, err
	}
	layers, err := l.layers(digest.Digest(o.Manifest))
	if err != nil {
		return Result{}, err
	}
	dir, err := staging.NewDir(o.Dest)
	if err != nil {
		return Result{}, err
	}
	var bytes int64
	for i, layer := range layers {
		report := func(read int64) {
			if o.Progress != nil {
				o.Progress(Progress{i + 1, len(layers), string(layer.digest), read, layer.size})
			}
		}
		n, err := l.apply(ctx, layer, dir.Path, report)
		if err != nil {
			if left := dir.Discard(); left != nil {
				err = fmt.Errorf("%w; and %w", err, left)
			}
			return Result{}, fmt.Errorf("layer %d of %d: %w", i+1, len(layers), err)
		}
		bytes += n
	}
	if err := dir.Commit(); err != nil {
		return Result{}, err
	}
	return Result{len(layers), bytes, o.Now().Sub(start).Seconds()}, nil
}
