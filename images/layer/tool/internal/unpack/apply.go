package unpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/opencontainers/go-digest"

	"bedplate.dev/images/layer/tool/internal/blob"
)

// progressBytes is how much of a blob is read between two reports.
const progressBytes = 16 << 20

// apply unpacks one layer over what is in root and returns the bytes of its files' contents. Blob and tar stream are
// hashed while containerd reads them, and read to their ends, so that trailing bytes count too.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#applying-changesets
func (l layout) apply(ctx context.Context, of layer, root string, report func(int64)) (int64, error) {
	path := l.blob(of.digest)
	f, err := openBlob(path, of.size)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	raw := &meter{r: f, digester: digest.SHA256.Digester(), every: progressBytes, report: report}
	stream, err := blob.Decompress(raw)
	if err != nil {
		return 0, fmt.Errorf("%s: %w; fetch or build it again", path, err)
	}
	if found := stream.GetCompression(); found != of.compression {
		stream.Close()
		return 0, fmt.Errorf("%s is compressed by %s, expected %s by its media type; build the image again",
			path, blob.Name(found), blob.Name(of.compression))
	}
	tar := &meter{r: stream, digester: digest.SHA256.Digester()}
	n, err := archive.Apply(ctx, root, tar, archive.WithFilter(guard{root}.check))
	if err == nil {
		_, err = io.Copy(io.Discard, tar)
	}
	stream.Close()
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if err != nil {
		return 0, explain(err, path, of)
	}
	if found := raw.digester.Digest(); found != of.digest || raw.n != of.size {
		return 0, fmt.Errorf("%s has the digest %s, expected %s; fetch or build it again", path, found, of.digest)
	}
	if found := tar.digester.Digest(); found != of.diffID {
		return 0, fmt.Errorf("%s has the diffID %s, expected %s by the config; build the image again", path, found, of.diffID)
	}
	report(raw.n)
	return n, nil
}

// explain names the blob in an error of unpacking, and says so when the reason is that its bytes are not those that
// the manifest speaks of. It reads the blob anew: a zstd decoder may go on reading for a moment after Close.
func explain(err error, path string, of layer) error {
	var refused refusal
	if errors.As(err, &refused) {
		return fmt.Errorf("%s: %w; do not use this image", path, err)
	}
	if f, open := os.Open(path); open == nil {
		defer f.Close()
		if found, read := digest.FromReader(f); read == nil && found != of.digest {
			return fmt.Errorf("%s has the digest %s, expected %s (%w); fetch or build it again", path, found, of.digest, err)
		}
	}
	return fmt.Errorf("%s: %w; its digest is the expected one: look at the disk, or build the image again", path, err)
}

// meter counts and hashes what is read through it.
type meter struct {
	r        io.Reader
	digester digest.Digester
	n, said  int64
	every    int64       // bytes between two reports
	report   func(int64) // may be nil
}

func (m *meter) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	m.digester.Hash().Write(b[:n])
	m.n += int64(n)
	if m.report != nil && m.n-m.said >= m.every {
		m.said = m.n
		m.report(m.n)
	}
	return n, err
}
