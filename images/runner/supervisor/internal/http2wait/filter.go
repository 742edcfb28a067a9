// Package http2wait keeps an HTTP/2 client waiting for a server that is not there yet. grpc clients give a connection up when no
// SETTINGS frame comes within 20 s, so the client gets an empty one at once; what it says is kept, and replayed to the server.
// When there will be no server, the client's calls are answered with gRPC's Unavailable and a reason in words.
// Frames: RFC 9113, section 4.1. gRPC over them: the grpc project's PROTOCOL-HTTP2.md.
package http2wait

import (
	"bytes"
	"encoding/binary"
	"errors"

	"golang.org/x/net/http2"
)

const headerBytes = 9

// errNotHTTP2 says that the client's first bytes are not HTTP/2's connection preface.
var errNotHTTP2 = errors.New("the client does not speak HTTP/2")

// filter passes a client's bytes on, but for what belongs between the client and whoever holds it: its acknowledgement of
// the holder's SETTINGS and, while it is held, its PINGs. Bytes may come in pieces of any size.
type filter struct {
	hold     bool // the client is held: PINGs are the holder's
	greeted  bool // the preface was seen
	acked    bool // the acknowledgement was dropped: nothing more to do once hold is false
	header   []byte
	rest     int64  // of the present frame's payload
	drop     bool   // the present frame is not passed on
	ping     []byte // the present PING's payload so far; nil in any other frame
	onPing   func(payload [8]byte)
	onStream func(id uint32)
}

// pass gives the bytes of data that go on, in a slice of its own.
func (f *filter) pass(data []byte) ([]byte, error) {
	out := make([]byte, 0, len(data)+len(f.header))
	for len(data) > 0 {
		var err error
		switch {
		case !f.greeted:
			data, out, err = f.preface(data, out)
		case f.rest > 0 || f.ping != nil:
			data, out = f.payload(data, out)
		default:
			data, out = f.frame(data, out)
		}
		if err != nil {
			return out, err
		}
	}
	return out, nil
}

// release ends the holding: PINGs are the server's from now on. It gives what of a PING that is under way has not been passed on.
func (f *filter) release() []byte {
	f.hold = false
	if f.ping == nil {
		return nil
	}
	begun := append(pingHeader(0), f.ping...)
	f.ping, f.drop = nil, false
	return begun
}

// done tells whether every later byte goes on as it is.
func (f *filter) done() bool {
	return !f.hold && f.acked && f.rest == 0 && len(f.header) == 0
}

func (f *filter) preface(data, out []byte) ([]byte, []byte, error) {
	missing := len(http2.ClientPreface) - len(f.header)
	n := min(missing, len(data))
	f.header = append(f.header, data[:n]...)
	if !bytes.HasPrefix([]byte(http2.ClientPreface), f.header) {
		return nil, append(out, data...), errNotHTTP2
	}
	if len(f.header) == len(http2.ClientPreface) {
		f.greeted, f.header = true, f.header[:0]
	}
	return data[n:], append(out, data[:n]...), nil
}

// frame collects a frame's header and decides on it.
func (f *filter) frame(data, out []byte) ([]byte, []byte) {
	n := min(headerBytes-len(f.header), len(data))
	f.header = append(f.header, data[:n]...)
	data = data[n:]
	if len(f.header) < headerBytes {
		return data, out
	}
	head := f.header
	f.header = nil
	length := int64(head[0])<<16 | int64(head[1])<<8 | int64(head[2])
	kind, flags := http2.FrameType(head[3]), http2.Flags(head[4])
	stream := binary.BigEndian.Uint32(head[5:]) & (1<<31 - 1)
	f.rest, f.drop = length, false
	switch {
	case kind == http2.FrameSettings && flags.Has(http2.FlagSettingsAck) && !f.acked:
		f.acked, f.drop = true, true
	case f.hold && kind == http2.FramePing && !flags.Has(http2.FlagPingAck) && length == 8:
		f.ping, f.drop = make([]byte, 0, 8), true
	case kind == http2.FrameHeaders && f.onStream != nil:
		f.onStream(stream)
	}
	if !f.drop {
		out = append(out, head...)
	}
	return data, out
}

func (f *filter) payload(data, out []byte) ([]byte, []byte) {
	n := min(f.rest, int64(len(data)))
	f.rest -= n
	if !f.drop {
		out = append(out, data[:n]...)
	}
	if f.ping != nil {
		f.ping = append(f.ping, data[:n]...)
		if f.rest == 0 {
			f.onPing([8]byte(f.ping))
			f.ping = nil
		}
	}
	return data[n:], out
}
