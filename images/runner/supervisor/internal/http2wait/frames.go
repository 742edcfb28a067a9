package http2wait

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	codeUnavailable = "14" // gRPC's
	longestMessage  = 4096
)

// emptySettings is the server's part of the connection preface: every setting at its default.
var emptySettings = []byte{0, 0, 0, byte(http2.FrameSettings), 0, 0, 0, 0, 0}

func pingHeader(flags http2.Flags) []byte {
	return []byte{0, 0, 8, byte(http2.FramePing), byte(flags), 0, 0, 0, 0}
}

// refuser writes answers to calls; one for a connection, since header compression has a state.
type refuser struct {
	buffer  bytes.Buffer
	fields  bytes.Buffer
	encoder *hpack.Encoder
	framer  *http2.Framer
	message string
	last    uint32
}

func newRefuser(message string) *refuser {
	r := &refuser{message: percentEncode(message)}
	r.encoder = hpack.NewEncoder(&r.fields)
	r.framer = http2.NewFramer(&r.buffer, nil)
	return r
}

// answer gives the frame that ends the call on a stream with Unavailable: "Trailers-Only" of PROTOCOL-HTTP2.md.
func (r *refuser) answer(stream uint32) []byte {
	r.buffer.Reset()
	r.fields.Reset()
	r.last = max(r.last, stream)
	for _, field := range []hpack.HeaderField{
		{Name: ":status", Value: "200"},
		{Name: "content-type", Value: "application/grpc"},
		{Name: "grpc-status", Value: codeUnavailable},
		{Name: "grpc-message", Value: r.message},
	} {
		_ = r.encoder.WriteField(field) // a bytes.Buffer does not fail
	}
	_ = r.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: r.fields.Bytes(), EndStream: true, EndHeaders: true,
	})
	return r.buffer.Bytes()
}

func (r *refuser) goAway() []byte {
	r.buffer.Reset()
	_ = r.framer.WriteGoAway(r.last, http2.ErrCodeNo, nil)
	return r.buffer.Bytes()
}

// percentEncode is PROTOCOL-HTTP2.md's Percent-Encoded, cut to a length that every client's header limit lets through.
func percentEncode(message string) string {
	var encoded strings.Builder
	for _, b := range []byte(message) {
		piece := string(rune(b))
		if b < 0x20 || b > 0x7e || b == '%' {
			piece = fmt.Sprintf("%%%02X", b)
		}
		if encoded.Len()+len(piece) > longestMessage {
			break
		}
		encoded.WriteString(piece)
	}
	return encoded.String()
}
