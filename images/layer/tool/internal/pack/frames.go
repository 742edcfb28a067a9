package pack

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"bedplate.dev/images/layer/tool/internal/plan"
)

// noneFrameBytes is the unit of work when nothing is compressed; it has no effect on the bytes.
const noneFrameBytes = 1 << 20

// frame is frameBytes of the tar stream on their way through the pipeline. Frames are reused.
type frame struct {
	tar  []byte // the piece of the tar stream; only the last one is shorter than frameBytes
	blob []byte // its compressed form
	err  error
	done chan struct{} // gets one token when blob or err is there
}

// pipeline cuts the tar stream that is written to it into frames, compresses these side by side, and writes them in
// order:
//
//	Write ─► todo ─► workers (as many as threads): compress
//	   └───► line ─► one goroutine: sha256 of the tar stream, wait for the frame, sha256 of the blob, write
//
// There is a fixed number of frames, so memory does not grow with the layer, and the bytes do not depend on the
// number of workers, since a frame is all that a worker sees.
type pipeline struct {
	ctx        context.Context
	stop       context.CancelCauseFunc
	frameBytes int
	current    *frame
	free       chan *frame
	todo       chan *frame
	line       chan *frame
	workers    sync.WaitGroup
	writer     chan struct{} // closed when the last frame is written
	tar, blob  hash.Hash     // the same one when nothing is compressed
	tarBytes   int64
	blobBytes  int64
}

// errDone ends the pipeline's context when everything went well.
var errDone = errors.New("done")

// newPipeline starts a pipeline that writes to out. Either finish or abort ends it.
func newPipeline(ctx context.Context, p *plan.Plan, out io.Writer, threads int) (*pipeline, error) {
	codecs := make([]codec, threads)
	for i := range codecs {
		c, err := newCodec(p)
		if err != nil {
			return nil, err
		}
		codecs[i] = c
	}
	// One frame for each worker, one being filled, one being written.
	frames := threads + 2
	pl := &pipeline{
		frameBytes: p.FrameBytes,
		free:       make(chan *frame, frames),
		todo:       make(chan *frame, frames),
		line:       make(chan *frame, frames),
		writer:     make(chan struct{}),
		tar:        sha256.New(),
		blob:       sha256.New(),
	}
	if p.Compression == plan.None {
		pl.frameBytes, pl.blob = noneFrameBytes, pl.tar
	}
	pl.ctx, pl.stop = context.WithCancelCause(ctx)
	for range frames {
		pl.free <- &frame{done: make(chan struct{}, 1)}
	}
	for _, c := range codecs {
		pl.workers.Go(func() { pl.compress(c) })
	}
	go pl.emit(out)
	return pl, nil
}

// Write takes the next bytes of the tar stream. Its error is the first of the whole pipeline.
func (pl *pipeline) Write(b []byte) (n int, err error) {
	for len(b) > 0 {
		if pl.current == nil {
			select {
			case pl.current = <-pl.free:
			case <-pl.ctx.Done():
				return n, context.Cause(pl.ctx)
			}
			if pl.current.tar == nil {
				pl.current.tar = make([]byte, 0, pl.frameBytes)
			}
			pl.current.tar = pl.current.tar[:0]
		}
		take := min(len(b), pl.frameBytes-len(pl.current.tar))
		pl.current.tar = append(pl.current.tar, b[:take]...)
		b, n = b[take:], n+take
		if len(pl.current.tar) == pl.frameBytes {
			pl.send()
		}
	}
	return n, nil
}

// send hands the current frame on. The channels have room for every frame there is.
func (pl *pipeline) send() {
	pl.todo <- pl.current
	pl.line <- pl.current
	pl.current = nil
}

// compress is one worker.
func (pl *pipeline) compress(c codec) {
	for f := range pl.todo {
		if c != nil && pl.ctx.Err() == nil {
			f.blob, f.err = c.encode(f.blob, f.tar)
		}
		f.done <- struct{}{}
	}
}

// emit hashes and writes the frames in order. After an error it goes on without effect, so that nobody waits for it.
func (pl *pipeline) emit(out io.Writer) {
	defer close(pl.writer)
	for f := range pl.line {
		pl.tar.Write(f.tar)
		pl.tarBytes += int64(len(f.tar))
		<-f.done
		bytes := f.blob
		if pl.blob == pl.tar {
			bytes = f.tar
		} else {
			pl.blob.Write(bytes)
		}
		pl.blobBytes += int64(len(bytes))
		if pl.ctx.Err() == nil {
			err := f.err
			if err == nil {
				if _, err = out.Write(bytes); err != nil {
					err = fmt.Errorf("cannot be written: %w; check the disk", err)
				}
			}
			if err != nil {
				pl.stop(err)
			}
		}
		pl.free <- f
	}
}

// finish ends the tar stream and waits until the last frame is written.
func (pl *pipeline) finish() error {
	if pl.current != nil {
		pl.send()
	}
	pl.end()
	if pl.ctx.Err() != nil {
		return context.Cause(pl.ctx)
	}
	pl.stop(errDone)
	return nil
}

// abort ends everything without waiting for more than the frames that are being compressed.
func (pl *pipeline) abort(why error) {
	pl.stop(why)
	pl.end()
}

func (pl *pipeline) end() {
	close(pl.todo)
	close(pl.line)
	pl.workers.Wait()
	<-pl.writer
}
