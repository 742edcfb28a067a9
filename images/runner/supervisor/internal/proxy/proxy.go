// Package proxy joins two connections.
package proxy

import (
	"io"
	"net"
)

// Conn is a connection whose sending half can be closed alone: unix, TCP and TLS.
type Conn interface {
	net.Conn
	CloseWrite() error
}

// Join copies both ways until both have ended, then closes both. The end of one direction is passed on alone (half-close),
// so a client that has said everything still gets its answer. A failed write ends both directions.
// What the client says is read from said: the client itself, or what stands before it.
// Between two unix sockets the kernel moves the bytes.
func Join(client Conn, said io.Reader, backend Conn) {
	defer client.Close()
	defer backend.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pass(backend, said, client)
	}()
	pass(client, backend, backend)
	<-done
}

// pass copies what source says, which is from or stands before it.
func pass(to Conn, source io.Reader, from Conn) {
	if _, err := Copy(to, source); err != nil {
		// One side is gone: no direction has a meaning any more.
		to.Close()
		from.Close()
		return
	}
	// An error says that the other direction has closed the connection already.
	_ = to.CloseWrite()
}
