// Package proxy joins two unix connections.
package proxy

import (
	"io"
	"net"
)

// Join copies both ways until both have ended, then closes both. The end of one direction is passed on alone (half-close),
// so a client that has said everything still gets its answer. A failed write ends both directions.
// The kernel moves the bytes (splice).
func Join(client, backend *net.UnixConn) {
	defer client.Close()
	defer backend.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pass(backend, client)
	}()
	pass(client, backend)
	<-done
}

func pass(to, from *net.UnixConn) {
	if _, err := io.Copy(to, from); err != nil {
		// One side is gone: no direction has a meaning any more.
		to.Close()
		from.Close()
		return
	}
	// An error says that the other direction has closed the connection already.
	_ = to.CloseWrite()
}
