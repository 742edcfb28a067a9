// Package events hands bedplated's log lines to whoever listens: docs/spec/runner.md, "Events".
package events

import "sync"

const backlog = 256

// Hub is an io.Writer of whole lines; each subscriber gets every line from its subscription on. The zero Hub is ready.
type Hub struct {
	mu          sync.Mutex
	subscribers map[chan []byte]bool
}

// Write never fails and never waits: a subscriber that does not keep up is cut off, by closing its channel.
func (h *Hub) Write(line []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var own []byte
	for subscriber := range h.subscribers {
		if own == nil {
			own = append([]byte(nil), line...) // the logger uses its buffer again
		}
		select {
		case subscriber <- own:
		default:
			delete(h.subscribers, subscriber)
			close(subscriber)
		}
	}
	return len(line), nil
}

// Subscribe gives the lines to come, until stop is called.
func (h *Hub) Subscribe() (lines <-chan []byte, stop func()) {
	subscriber := make(chan []byte, backlog)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subscribers == nil {
		h.subscribers = map[chan []byte]bool{}
	}
	h.subscribers[subscriber] = true
	return subscriber, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.subscribers[subscriber] {
			delete(h.subscribers, subscriber)
			close(subscriber)
		}
	}
}
