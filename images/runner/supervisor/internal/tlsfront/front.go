// Package tlsfront lets clients of the network in: mutual TLS on one port, the engine chosen by the TLS server name.
// docs/spec/runner.md, "TLS".
package tlsfront

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"bedplate.dev/runner/supervisor/internal/proxy"
)

const (
	handshakeTimeout = 10 * time.Second
	acceptPause      = 50 * time.Millisecond
	// A refused client gets this long, and this many bytes to say, to read the alert: closing with unread data would discard it.
	lingerTime  = time.Second
	lingerBytes = 64 << 10
)

// Engine is one known engine.
type Engine struct {
	Kind, Version string
	Default       bool
	// Handle serves one connection until it ends.
	Handle func(proxy.Conn)
}

// Options are what a Front needs.
type Options struct {
	Address string // host:port; the host may be empty
	Suffix  string // of the server names that mean an engine, lower-case, without a dot at either end
	Folder  string // of ca.crt, server.crt and server.key
	Log     *slog.Logger
}

// Front is safe for concurrent use.
type Front struct {
	options      Options
	certificates *certificates
	listener     net.Listener

	mu       sync.Mutex
	closed   bool
	greeting map[net.Conn]bool // in their handshake
	all      sync.WaitGroup    // the accept loop and handshakes
}

// Open reads the certificates and listens. Clients wait until Serve.
func Open(options Options) (*Front, error) {
	certificates, err := openCertificates(options.Folder, options.Log)
	if err != nil {
		return nil, fmt.Errorf("tlsListen is set, but its certificates cannot be used: %w; make a set with `bedplate certs` and start with "+
			"`bedplate up --tls-listen %s --tls-certs <folder>`, or take tlsListen out of bedplated.json", err, options.Address)
	}
	listener, err := net.Listen("tcp", options.Address)
	if err != nil {
		return nil, fmt.Errorf("tlsListen: %w; choose an address of this host and a port that is free", err)
	}
	return &Front{options: options, certificates: certificates, listener: listener, greeting: map[net.Conn]bool{}}, nil
}

// Address is where it listens.
func (f *Front) Address() string { return f.listener.Addr().String() }

// Serve begins to let clients in. engines gives those that are known at the time.
func (f *Front) Serve(engines func() []Engine) {
	f.options.Log.Info("TLS port open", "address", f.Address(), "suffix", f.options.Suffix)
	f.all.Go(func() { f.accept(engines) })
}

// Close lets nobody in any more. Clients that are in already are their engines' own.
func (f *Front) Close() error {
	f.mu.Lock()
	var err error
	if !f.closed {
		f.closed = true
		err = f.listener.Close()
		for conn := range f.greeting {
			conn.Close()
		}
	}
	f.mu.Unlock()
	f.all.Wait()
	return err
}

func (f *Front) accept(engines func() []Engine) {
	for {
		conn, err := f.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of file descriptors, as a rule: better in a moment.
			f.options.Log.Error("cannot accept", "error", err.Error())
			time.Sleep(acceptPause)
			continue
		}
		f.mu.Lock()
		if f.closed {
			conn.Close()
		} else {
			f.greeting[conn] = true
			f.all.Go(func() { f.greet(conn.(*net.TCPConn), engines) })
		}
		f.mu.Unlock()
	}
}

// greet does the handshake, and gives the client to its engine.
func (f *Front) greet(conn *net.TCPConn, engines func() []Engine) {
	engine, secure, err := f.handshake(conn, engines)
	if err != nil {
		f.options.Log.Warn("TLS client refused", "remote", conn.RemoteAddr().String(), "reason", err.Error())
		linger(conn)
	}
	f.mu.Lock()
	closed := f.closed
	delete(f.greeting, conn)
	f.mu.Unlock()
	if err != nil || closed {
		conn.Close()
		return
	}
	go engine.Handle(&client{secure})
}

func (f *Front) handshake(conn *net.TCPConn, engines func() []Engine) (chosen Engine, secure *tls.Conn, err error) {
	var unknown error
	secure = tls.Server(conn, &tls.Config{
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			config := f.certificates.current()
			if chosen, unknown = choose(engines(), f.options.Suffix, hello.ServerName); unknown != nil {
				// Without a certificate crypto/tls answers with the alert for this, unrecognized_name; an error here would be internal_error.
				config = config.Clone()
				config.Certificates = nil
			}
			return config, nil
		},
	})
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	err = secure.HandshakeContext(ctx)
	switch {
	case unknown != nil:
		err = unknown
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("no handshake within %s", handshakeTimeout)
	}
	return chosen, secure, err
}

func linger(conn *net.TCPConn) {
	if conn.CloseWrite() != nil || conn.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, conn, lingerBytes)
}

// client is a connection that is in.
type client struct{ *tls.Conn }

// Close does not wait. An engine closes its connections under its lock, and tls.Conn's takes up to 5 s for its goodbye when the client does
// not read.
func (c *client) Close() error {
	go func() { _ = c.Conn.Close() }()
	return nil
}
