package http2wait

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"bedplate.dev/runner/supervisor/internal/proxy"
	"golang.org/x/net/http2"
)

const (
	readBytes = 32 << 10
	// mostKept bounds what one waiting client can have kept for it. Flow control lets it send 64 KiB of data and its calls' headers
	// before a server has said anything; one that sends more waits with the rest.
	mostKept = 1 << 20
	// lingerTime is for a client that was refused to read the answers, and to ask again on the same connection.
	lingerTime = 10 * time.Second
	silentTime = time.Second
)

// Hold is one client that waits. Begin it, then call either Release or Refuse, once.
type Hold struct {
	client  net.Conn
	gone    chan struct{} // closed when the client has gone
	ended   chan struct{} // closed when nobody reads from the client any more
	release chan struct{} // closed by Release and Refuse: a full store is no reason to wait any longer

	mu      sync.Mutex // of what follows, and of writing to the client
	filter  filter
	kept    []byte
	greeted bool
	streams []uint32
	refuser *refuser
}

// Begin greets the client as soon as it has shown that it speaks HTTP/2, and reads from it until it is released.
func Begin(client net.Conn) *Hold {
	h := &Hold{client: client, gone: make(chan struct{}), ended: make(chan struct{}), release: make(chan struct{})}
	h.filter = filter{hold: true, onPing: h.pong, onStream: h.stream}
	go h.read()
	return h
}

// Gone is closed when the client has closed its connection, or does not speak HTTP/2.
func (h *Hold) Gone() <-chan struct{} { return h.gone }

// read ends with the client, or with the read deadline that Release sets.
func (h *Hold) read() {
	defer close(h.ended)
	buffer := make([]byte, readBytes)
	for {
		n, err := h.client.Read(buffer)
		full, failed := h.take(buffer[:n])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil || failed != nil {
			close(h.gone)
			return
		}
		if full {
			<-h.release
		}
	}
}

// take keeps what the client said. One that does not speak HTTP/2 is an error.
func (h *Hold) take(data []byte) (full bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	passed, err := h.filter.pass(data)
	if err != nil {
		return false, err
	}
	if h.filter.greeted && !h.greeted {
		h.greeted = true
		if _, err := h.client.Write(emptySettings); err != nil {
			return false, err
		}
	}
	if h.refuser == nil {
		h.kept = append(h.kept, passed...)
	}
	return len(h.kept) > mostKept, nil
}

// pong and stream are called by the filter, under the lock. A client that cannot be written to is noticed when it is read from.
func (h *Hold) pong(payload [8]byte) {
	_, _ = h.client.Write(append(pingHeader(http2.FlagPingAck), payload[:]...))
}

func (h *Hold) stream(id uint32) {
	if h.refuser != nil {
		_, _ = h.client.Write(h.refuser.answer(id))
		return
	}
	h.streams = append(h.streams, id)
}

// Release sends what was kept to the server and gives the client's connection as it is to be read from then on.
func (h *Hold) Release(server io.Writer) (io.Reader, error) {
	close(h.release)
	if err := h.client.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return nil, err
	}
	<-h.ended
	if err := h.client.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	begun := h.filter.release()
	if _, err := server.Write(append(h.kept, begun...)); err != nil {
		return nil, err
	}
	h.kept = nil
	return &rest{hold: h}, nil
}

// Refuse answers every call of the client, also those that come within lingerTime, with Unavailable and the message; then it closes.
// A client that has not begun to speak HTTP/2 has no way to be told, and little time left to begin.
func (h *Hold) Refuse(message string) {
	h.mu.Lock()
	h.refuser = newRefuser(message)
	for _, id := range h.streams {
		_, _ = h.client.Write(h.refuser.answer(id))
	}
	h.kept = nil
	h.mu.Unlock()
	close(h.release)
	select {
	case <-h.ended:
	case <-time.After(silentTime):
		if h.speaks() {
			select {
			case <-h.ended:
			case <-time.After(lingerTime - silentTime):
			}
		}
	}
	if h.speaks() {
		h.mu.Lock()
		_, _ = h.client.Write(h.refuser.goAway())
		h.mu.Unlock()
	}
	h.client.Close()
	<-h.ended
}

func (h *Hold) speaks() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.greeted
}

// rest reads what a released client says: through the filter until it has acknowledged the holder's SETTINGS, then as it is.
type rest struct {
	hold *Hold
	left []byte
}

func (r *rest) Read(p []byte) (int, error) {
	for len(r.left) == 0 {
		if r.hold.filter.done() {
			return r.hold.client.Read(p)
		}
		buffer := make([]byte, readBytes)
		n, err := r.hold.client.Read(buffer)
		passed, _ := r.hold.filter.pass(buffer[:n]) // past the preface it does not fail
		r.left = passed
		if err != nil && len(passed) == 0 {
			return 0, err
		}
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}

// WriteTo lets the kernel move the bytes as soon as none of them has to be looked at.
func (r *rest) WriteTo(to io.Writer) (int64, error) {
	var total int64
	buffer := make([]byte, readBytes)
	for !r.hold.filter.done() || len(r.left) > 0 {
		n, err := r.Read(buffer)
		if n > 0 {
			written, err := to.Write(buffer[:n])
			total += int64(written)
			if err != nil {
				return total, err
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
	copied, err := proxy.Copy(to, r.hold.client)
	return total + copied, err
}
