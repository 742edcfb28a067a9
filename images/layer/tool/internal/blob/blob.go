// Package blob reads layer blobs, whatever they are compressed by.
package blob

import (
	"fmt"
	"io"
	"os"

	"github.com/containerd/containerd/v2/pkg/archive/compression"
)

// containerd's package starts igzip or unpigz when it finds one. This program starts no others, so that what it
// does is the same on every machine.
func init() {
	os.Setenv("CONTAINERD_DISABLE_IGZIP", "1")
	os.Setenv("CONTAINERD_DISABLE_PIGZ", "1")
}

// Stream is the tar stream of a layer blob.
type Stream struct {
	compression.DecompressReadCloser
}

// Decompress recognises gzip and zstd by their first bytes; all else is taken for a plain tar stream. The caller
// closes the stream; until that is at its end, r belongs to it, even after Close.
func Decompress(r io.Reader) (Stream, error) {
	s, err := compression.DecompressStream(r)
	if err != nil {
		return Stream{}, fmt.Errorf("cannot be decompressed: %w", err)
	}
	return Stream{s}, nil
}

// Name is how plans and messages call a compression.
func Name(c compression.Compression) string {
	switch c {
	case compression.Gzip:
		return "gzip"
	case compression.Zstd:
		return "zstd"
	case compression.Uncompressed:
		return "none"
	}
	return "something unknown"
}
