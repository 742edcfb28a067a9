package http2wait

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/net/http2"
)

// said is what a client says: the preface, SETTINGS, a call, a PING, its acknowledgements of two SETTINGS, data.
func said(t testing.TB) (all, passed []byte) {
	t.Helper()
	frame := func(write func(*http2.Framer) error) []byte {
		var buffer bytes.Buffer
		if err := write(http2.NewFramer(&buffer, nil)); err != nil {
			t.Fatal(err)
		}
		return buffer.Bytes()
	}
	ack := frame((*http2.Framer).WriteSettingsAck)
	ping := frame(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{1, 2, 3, 4, 5, 6, 7, 8}) })
	start := slices.Concat([]byte(http2.ClientPreface),
		frame(func(f *http2.Framer) error { return f.WriteSettings() }),
		frame(func(f *http2.Framer) error {
			return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte("abc"), EndHeaders: true})
		}))
	end := slices.Concat(ack, frame(func(f *http2.Framer) error { return f.WriteData(1, true, bytes.Repeat([]byte("x"), 3000)) }))
	return slices.Concat(start, ping, ack, end), slices.Concat(start, end)
}

func TestFilterDropsPingAndFirstAcknowledgement(t *testing.T) {
	all, want := said(t)
	for _, size := range []int{1, 2, 7, 9, 10, 17, 24, 100, len(all)} {
		var streams []uint32
		var pings int
		f := filter{hold: true, onPing: func(p [8]byte) {
			if p == [8]byte{1, 2, 3, 4, 5, 6, 7, 8} {
				pings++
			}
		}, onStream: func(id uint32) { streams = append(streams, id) }}
		var got []byte
		for piece := range slices.Chunk(all, size) {
			passed, err := f.pass(piece)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, passed...)
		}
		f.release()
		if !bytes.Equal(got, want) || pings != 1 || !slices.Equal(streams, []uint32{1}) || !f.done() {
			t.Errorf("in pieces of %d: %d bytes of %d passed, %d pings, streams %v, done %v", size, len(got), len(want), pings, streams, f.done())
		}
	}
}

// A holder that lets go in the middle of anything passes on all but the first acknowledgement, and whole PINGs before that.
func TestFilterReleasedAnywhere(t *testing.T) {
	all, _ := said(t)
	for at := range all {
		pings := 0
		f := filter{hold: true, onPing: func([8]byte) { pings++ }}
		before, err := f.pass(all[:at])
		if err != nil {
			t.Fatal(err)
		}
		begun := f.release()
		after, err := f.pass(all[at:])
		if err != nil {
			t.Fatal(err)
		}
		want := len(all) - headerBytes - pings*(headerBytes+8)
		if got := len(before) + len(begun) + len(after); got != want || !f.done() {
			t.Errorf("released after %d bytes: %d bytes passed, want %d; done %v", at, got, want, f.done())
		}
		framer := http2.NewFramer(nil, bytes.NewReader(slices.Concat(before, begun, after)[len(http2.ClientPreface):]))
		for i := range 5 - pings {
			if _, err := framer.ReadFrame(); err != nil {
				t.Fatalf("released after %d bytes: frame %d: %v", at, i, err)
			}
		}
	}
}

func TestFilterRefusesWhatIsNotHTTP2(t *testing.T) {
	f := filter{hold: true}
	if _, err := f.pass([]byte("PRI * HTTP/1.1\r\n")); err != errNotHTTP2 {
		t.Errorf("got %v", err)
	}
}

// FuzzFilter: how the bytes are cut into pieces changes nothing, and nothing grows beyond what came.
func FuzzFilter(f *testing.F) {
	all, _ := said(f)
	f.Add(all, uint16(5), uint16(40))
	f.Add([]byte(http2.ClientPreface+"\x00\x00\x00\x04\x01\x00\x00\x00\x00"), uint16(1), uint16(30))
	f.Fuzz(func(t *testing.T, data []byte, size, releaseAt uint16) {
		run := func(size int) ([]byte, error) {
			filter := filter{hold: true, onPing: func([8]byte) {}, onStream: func(uint32) {}}
			var out []byte
			at := min(int(releaseAt), len(data))
			for _, part := range [][]byte{data[:at], data[at:]} {
				for piece := range slices.Chunk(part, size) {
					passed, err := filter.pass(piece)
					out = append(out, passed...)
					if err != nil {
						return out, err
					}
				}
				out = append(out, filter.release()...)
			}
			return out, nil
		}
		whole, wholeErr := run(max(1, len(data)))
		pieces, piecesErr := run(int(size%512) + 1)
		if (wholeErr == nil) != (piecesErr == nil) || wholeErr == nil && !bytes.Equal(whole, pieces) {
			t.Errorf("whole: %d bytes, %v; in pieces: %d bytes, %v", len(whole), wholeErr, len(pieces), piecesErr)
		}
		if len(whole) > len(data) {
			t.Errorf("%d bytes of %d passed", len(whole), len(data))
		}
	})
}
