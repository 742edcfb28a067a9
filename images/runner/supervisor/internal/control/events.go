package control

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

const keepAlive = 15 * time.Second

// events streams bedplated's log from now on as server-sent events (HTML standard, section 9.2): each event's data is one JSON line.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	lines, stop := s.Events.Subscribe()
	defer stop()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := http.NewResponseController(w)
	tick := time.NewTicker(keepAlive)
	defer tick.Stop()
	for first := true; ; first = false {
		var err error
		if first {
			_, err = fmt.Fprint(w, ": connected\n\n")
		} else {
			select {
			case line, open := <-lines:
				if !open {
					return
				}
				_, err = fmt.Fprintf(w, "data: %s\n\n", bytes.TrimSpace(line))
			case <-tick.C:
				_, err = fmt.Fprint(w, ": still here\n\n")
			case <-r.Context().Done():
				return
			}
		}
		if err != nil || out.Flush() != nil {
			return
		}
	}
}
