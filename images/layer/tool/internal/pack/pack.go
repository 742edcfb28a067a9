// Package pack makes one deterministic layer blob out of a plan: the same plan and the same sources give the same
// bytes, on every machine and with any number of threads.
package pack

import (
	"context"
	"io"

	"github.com/opencontainers/go-digest"

	"bedplate.dev/images/layer/tool/internal/plan"
	"bedplate.dev/images/layer/tool/internal/staging"
)

// Result describes a packed layer, as `bedplate-layer pack` prints it.
type Result struct {
	DiffID    string `json:"diffId"`    // digest of the uncompressed tar stream
	Digest    string `json:"digest"`    // digest of the blob
	SizeBytes int64  `json:"sizeBytes"` // of the blob
	TarBytes  int64  `json:"tarBytes"`  // of the uncompressed tar stream
}

// ToFile packs p into the file out, with threads (1 or more) frames compressed at a time. On an error, and when ctx
// ends, neither out nor a temporary file is left (an older file out stays as it was).
func ToFile(ctx context.Context, p *plan.Plan, out string, threads int) (Result, error) {
	f, err := staging.NewFile(out)
	if err != nil {
		return Result{}, err
	}
	res, err := Pack(ctx, p, f, threads)
	if err != nil {
		f.Discard()
		return Result{}, err
	}
	return res, f.Commit()
}

// Pack writes the layer to w. Memory is about 10 MiB + (threads + 1) × 3 × frameBytes, and 5 MiB for each thread at
// zstd levels 1 to 3 or 36 MiB at level 4, whatever the sizes of the sources.
func Pack(ctx context.Context, p *plan.Plan, w io.Writer, threads int) (Result, error) {
	pl, err := newPipeline(ctx, p, w, threads)
	if err != nil {
		return Result{}, err
	}
	if err := writeTar(pl.ctx, pl, p); err != nil {
		pl.abort(err)
		return Result{}, context.Cause(pl.ctx) // the first error, if this one only followed from it
	}
	if err := pl.finish(); err != nil {
		return Result{}, err
	}
	return Result{string(digest.NewDigest(digest.SHA256, pl.tar)), string(digest.NewDigest(digest.SHA256, pl.blob)), pl.blobBytes, pl.tarBytes}, nil
}
