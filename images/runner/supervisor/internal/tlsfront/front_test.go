package tlsfront

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"bedplate.dev/runner/supervisor/internal/proxy"
)

// port is an open Front before engines that say their version and repeat what they are told.
type port struct {
	*Front
	t      testing.TB
	folder string
	ca     *authority
	log    safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *safeBuffer) count(part string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.String(), part)
}

func openPort(t testing.TB, address string) *port {
	t.Helper()
	p := &port{t: t, folder: t.TempDir(), ca: newAuthority(t, "one")}
	p.ca.writeTo(p.folder)
	front, err := Open(Options{Address: address, Suffix: "bedplate", Folder: p.folder, Log: slog.New(slog.NewTextHandler(&p.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	p.Front = front
	var engines []Engine
	for _, engine := range known {
		engine.Handle = func(client proxy.Conn) {
			defer client.Close()
			_, _ = io.WriteString(client, engine.Version+" ")
			_, _ = io.Copy(client, client)
			_ = client.CloseWrite()
		}
		engines = append(engines, engine)
	}
	front.Serve(func() []Engine { return engines })
	t.Cleanup(func() {
		if err := front.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// say connects, says hello, and gives the whole answer.
func (p *port) say(config *tls.Config) (string, error) {
	p.t.Helper()
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	conn, err := tls.DialWithDialer(dialer, "tcp", p.Address(), config)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, "hello"); err != nil {
		return "", err
	}
	if err := conn.CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

func (p *port) config(ca *authority, cert *tls.Certificate) *tls.Config {
	config := &tls.Config{ServerName: "localhost", RootCAs: ca.pool(), NextProtos: []string{"h2"}}
	if cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}
	return config
}

func TestClientsAreRefused(t *testing.T) {
	p := openPort(t, "127.0.0.1:0")
	foreign := newAuthority(t, "foreign")
	for name, c := range map[string]struct {
		cert        *tls.Certificate
		change      func(*tls.Config)
		alert, line string
	}{
		"no certificate":       {nil, nil, "certificate required", "client didn't provide a certificate"},
		"foreign authority":    {foreign.client(x509.ExtKeyUsageClientAuth, time.Time{}), nil, "unknown certificate authority", "unknown authority"},
		"server's certificate": {p.ca.client(x509.ExtKeyUsageServerAuth, time.Time{}), nil, "bad certificate", "incompatible key usage"},
		"expired":              {p.ca.client(x509.ExtKeyUsageClientAuth, time.Now().Add(-time.Minute)), nil, "expired certificate", "has expired"},
		"unknown engine": {p.ca.client(x509.ExtKeyUsageClientAuth, time.Time{}),
			func(c *tls.Config) { c.ServerName = "9-9-9.buildkit.bedplate" }, "unrecognized name", "9-9-9.buildkit.bedplate"},
		"TLS 1.2": {p.ca.client(x509.ExtKeyUsageClientAuth, time.Time{}),
			func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, "protocol version not supported", "unsupported versions"},
	} {
		t.Run(name, func(t *testing.T) {
			config := p.config(p.ca, c.cert)
			if c.cert != nil {
				// A client whose certificate does not fit what the server asks for sends none, unless it is told to.
				config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.cert, nil }
			}
			if c.change != nil {
				c.change(config)
			}
			answer, err := p.say(config)
			if err == nil || !strings.Contains(err.Error(), c.alert) || answer != "" {
				t.Errorf("got %q, %v, want the alert %q", answer, err, c.alert)
			}
			eventually(t, func() bool { return p.log.count(c.line) > 0 })
		})
	}
	// The accept loop goes on.
	if _, err := p.say(p.config(p.ca, p.ca.client(x509.ExtKeyUsageClientAuth, time.Time{}))); err != nil {
		t.Error(err)
	}
}

func TestTheNameChooses(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		probe, err := net.Listen("tcp", address)
		if err != nil {
			t.Log("not on this machine:", err)
			continue
		}
		probe.Close()
		p := openPort(t, address)
		for name, version := range map[string]string{
			"localhost": "0.34.2", "0-29-0.buildkit.bedplate": "0.29.0", "buildkit.bedplate": "0.34.2", "0-35-0-rc-1.buildkit.bedplate": "0.35.0-rc.1",
		} {
			config := p.config(p.ca, p.ca.client(x509.ExtKeyUsageClientAuth, time.Time{}))
			config.ServerName = name
			// The whole of it has to come back: the end of what the client says is passed on, and does not end the answer.
			if answer, err := p.say(config); err != nil || answer != version+" hello" {
				t.Errorf("%s: %q, %v, want %s", name, answer, err, version)
			}
		}
	}
}

func TestReload(t *testing.T) {
	p := openPort(t, "127.0.0.1:0")
	old := p.config(p.ca, p.ca.client(x509.ExtKeyUsageClientAuth, time.Time{}))
	old.ClientSessionCache = tls.NewLRUClientSessionCache(8) // no ticket may let it in later
	works := func(config *tls.Config) {
		t.Helper()
		if answer, err := p.say(config); err != nil || answer != "0.34.2 hello" {
			t.Errorf("%q, %v", answer, err)
		}
	}
	works(old)

	// Broken in each way: the old set stays, and each is logged once.
	key, err := os.ReadFile(filepath.Join(p.folder, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	for i, breakIt := range []func() error{
		func() error { return os.Remove(filepath.Join(p.folder, keyFile)) },
		func() error { return os.WriteFile(filepath.Join(p.folder, keyFile), key[:len(key)/2], 0o600) },
	} {
		if err := breakIt(); err != nil {
			t.Fatal(err)
		}
		works(old)
		works(old)
		if logged := p.log.count("the last good ones stay"); logged != i+1 {
			t.Errorf("broken in way %d: %d lines", i, logged)
		}
	}

	other := newAuthority(t, "two")
	other.writeTo(p.folder)
	fresh := p.config(other, other.client(x509.ExtKeyUsageClientAuth, time.Time{}))
	works(fresh)
	if _, err := p.say(old); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("the old server certificate is served: %v", err)
	}
	old.RootCAs = other.pool()
	if answer, err := p.say(old); err == nil {
		t.Errorf("the old authority's client is in: %q", answer)
	}
}

func TestOpenNamesTheFile(t *testing.T) {
	ca, other := newAuthority(t, "one"), newAuthority(t, "two")
	for name, c := range map[string]struct{ file, content string }{
		"no ca.crt":          {caFile, ""},
		"no server.crt":      {certFile, ""},
		"no server.key":      {keyFile, ""},
		"nothing in ca.crt":  {caFile, "not PEM"},
		"a broken one in it": {caFile, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"},
		"a key in it":        {caFile, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"},
		"broken server.crt":  {certFile, "not PEM"},
		"another's key":      {keyFile, "other"},
	} {
		t.Run(name, func(t *testing.T) {
			folder, theirs := t.TempDir(), t.TempDir()
			ca.writeTo(folder)
			path := filepath.Join(folder, c.file)
			switch c.content {
			case "":
				os.Remove(path)
			case "other":
				other.writeTo(theirs)
				if err := os.Rename(filepath.Join(theirs, keyFile), path); err != nil {
					t.Fatal(err)
				}
			default:
				if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Open(Options{Address: "127.0.0.1:0", Suffix: "bedplate", Folder: folder, Log: slog.New(slog.DiscardHandler)})
			if err == nil || !strings.Contains(err.Error(), c.file) || !strings.Contains(err.Error(), "bedplate certs") {
				t.Errorf("got %v, want an error with %s and the way out", err, c.file)
			}
		})
	}
}

func TestCloseEndsHandshakes(t *testing.T) {
	p := openPort(t, "127.0.0.1:0")
	silent, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	eventually(t, func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.greeting) == 1 })
	began := time.Now()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("closing took %s", took)
	}
	silent.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.ReadAll(silent); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the silent client's connection is open")
	}
	if _, err := net.Dial("tcp", p.Address()); err == nil {
		t.Error("the port is open")
	}
}

func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for range 500 {
		if is() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("not within 5 s")
}

// FuzzFront holds that no bytes of somebody without a certificate reach an engine, and that the port goes on.
func FuzzFront(f *testing.F) {
	p := openPort(f, "127.0.0.1:0")
	hello := []byte("\x16\x03\x01\x00\x2f\x01\x00\x00\x2b\x03\x03")
	for _, seed := range [][]byte{nil, []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), []byte("GET / HTTP/1.1\r\n\r\n"), hello, append(hello, make([]byte, 64)...)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		conn, err := net.DialTimeout("tcp", p.Address(), 5*time.Second)
		if err != nil {
			t.Fatalf("the port is gone: %v", err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = conn.Write(said)
		_ = conn.(*net.TCPConn).CloseWrite()
		answer, _ := io.ReadAll(conn)
		for _, engine := range known {
			if bytes.Contains(answer, []byte(engine.Version)) {
				t.Errorf("%q was answered by %s", said, engine.Version)
			}
		}
	})
}
