package pack

import (
	"bytes"
	"fmt"
	"math/bits"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"bedplate.dev/images/layer/tool/internal/plan"
)

// codec compresses one frame after the other, each independently of every other: what encode returns depends on src
// alone. It belongs to one worker.
type codec interface {
	// encode appends the compressed form of src to dst[:0].
	encode(dst, src []byte) ([]byte, error)
}

// newCodec makes the codec that p asks for. For plan.None there is none: it returns nil.
func newCodec(p *plan.Plan) (codec, error) {
	switch p.Compression {
	case plan.Zstd:
		return newZstd(p.Level, p.FrameBytes)
	case plan.Gzip:
		return newGzip(p.Level)
	case plan.None:
		return nil, nil
	}
	return nil, fmt.Errorf("compression %q is unknown", p.Compression)
}

// zstdCodec makes one frame each (RFC 8878, section 3.1.1) with content size and checksum. Decoders read
// concatenated frames as one stream (section 3.1).
type zstdCodec struct {
	enc        *zstd.Encoder
	frameBytes int
}

func newZstd(level, frameBytes int) (codec, error) {
	levels := [...]zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault, zstd.SpeedBetterCompression, zstd.SpeedBestCompression}
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(levels[level-1]),
		// The window spans the frame: matches reach everywhere in it, and no memory is kept for more. Every
		// option is given, so that a default of the library that changes does not change the bytes.
		zstd.WithWindowSize(1<<bits.Len(uint(frameBytes-1))),
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(true),
		zstd.WithAllLitEntropyCompression(level > 2),
		zstd.WithLowerEncoderMem(true), // of history no more than a window
	)
	if err != nil {
		return nil, fmt.Errorf("zstd: %w", err)
	}
	return zstdCodec{enc, frameBytes}, nil
}

func (c zstdCodec) encode(dst, src []byte) ([]byte, error) {
	if dst == nil { // once, so that it never grows
		dst = make([]byte, 0, c.enc.MaxEncodedSize(c.frameBytes))
	}
	return c.enc.EncodeAll(src, dst[:0]), nil
}

// gzipCodec makes one member each (RFC 1952, section 2.2), without name, comment or time, from an unknown operating
// system. Decoders read concatenated members as one stream.
type gzipCodec struct{ zw *gzip.Writer }

func newGzip(level int) (codec, error) {
	zw, err := gzip.NewWriterLevel(nil, level)
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return &gzipCodec{zw}, nil
}

func (c *gzipCodec) encode(dst, src []byte) ([]byte, error) {
	out := bytes.NewBuffer(dst[:0])
	c.zw.Reset(out)
	c.zw.Header = gzip.Header{OS: 255}
	if _, err := c.zw.Write(src); err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	if err := c.zw.Close(); err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	return out.Bytes(), nil
}
