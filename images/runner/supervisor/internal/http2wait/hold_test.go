package http2wait

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

func listen(t *testing.T, name string) net.Listener {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener
}

// servers are a grpc server by grpc's own HTTP/2, and one by Go's, which ends a connection on an acknowledgement too many.
func servers(t *testing.T) map[string]net.Listener {
	t.Helper()
	own, std := listen(t, "grpc.sock"), listen(t, "http.sock")
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(own)
	t.Cleanup(server.Stop)
	overHTTP := &http.Server{Handler: h2c.NewHandler(server, &http2.Server{})}
	go overHTTP.Serve(std)
	t.Cleanup(func() { overHTTP.Close() })
	return map[string]net.Listener{"grpc": own, "net/http": std}
}

// front accepts clients and hands each to handle as one that is held.
func front(t *testing.T, handle func(*Hold, net.Conn)) *grpc.ClientConn {
	t.Helper()
	listener := listen(t, "front.sock")
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go handle(Begin(conn), conn)
		}
	}()
	client, err := grpc.NewClient("unix:"+listener.Addr().String(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func join(t *testing.T, hold *Hold, client net.Conn, server net.Listener) {
	backend, err := net.Dial("unix", server.Addr().String())
	if err != nil {
		t.Error(err)
		return
	}
	defer backend.Close()
	rest, err := hold.Release(backend)
	if err != nil {
		t.Error(err)
		return
	}
	go io.Copy(client, backend)
	_, _ = io.Copy(backend, rest)
}

func TestReleasedClientsCallIsServed(t *testing.T) {
	for name, server := range servers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var held atomic.Int32
			client := front(t, func(hold *Hold, conn net.Conn) {
				held.Add(1)
				time.Sleep(300 * time.Millisecond)
				join(t, hold, conn, server)
			})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			for range 50 {
				answer, err := grpc_health_v1.NewHealthClient(client).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
				if err != nil || answer.Status != grpc_health_v1.HealthCheckResponse_SERVING {
					t.Fatalf("got %v, %v", answer, err)
				}
			}
			if held.Load() != 1 {
				t.Errorf("%d connections, want the first to last", held.Load())
			}
		})
	}
}

func TestRefusedCallsSayWhy(t *testing.T) {
	const reason = "engine buildkit/9.9.9: exit status 1; 100 % „Grund“\nlast line"
	client := front(t, func(hold *Hold, _ net.Conn) {
		time.Sleep(100 * time.Millisecond)
		hold.Refuse(reason)
	})
	for range 3 {
		_, err := grpc_health_v1.NewHealthClient(client).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
		if status.Code(err) != codes.Unavailable || status.Convert(err).Message() != reason {
			t.Errorf("got %v", err)
		}
	}
}

func TestClientThatLeavesIsNoticed(t *testing.T) {
	for name, bytes := range map[string]string{"HTTP/2": http2.ClientPreface, "HTTP/1": "GET / HTTP/1.1\r\n\r\n", "nothing": ""} {
		client, server := net.Pipe()
		hold := Begin(server)
		go func() {
			_, _ = client.Write([]byte(bytes))
			if strings.HasPrefix(name, "HTTP/1") {
				return // it stays, and is none that can be held
			}
			client.Close()
		}()
		select {
		case <-hold.Gone():
		case <-time.After(5 * time.Second):
			t.Errorf("%s: not noticed", name)
		}
	}
}

// A client that says more than is kept waits with the rest, and loses nothing.
func TestMoreThanIsKept(t *testing.T) {
	listener := listen(t, "big.sock")
	const frames = 200
	payload := make([]byte, 16<<10)
	go func() {
		conn, err := net.Dial("unix", listener.Addr().String())
		if err != nil {
			return
		}
		defer conn.Close()
		go io.Copy(io.Discard, conn)
		_, _ = io.WriteString(conn, http2.ClientPreface)
		framer := http2.NewFramer(conn, nil)
		for range frames {
			if err := framer.WriteData(1, false, payload); err != nil {
				return
			}
		}
	}()
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	hold := Begin(conn)
	time.Sleep(200 * time.Millisecond)
	hold.mu.Lock()
	kept := len(hold.kept)
	hold.mu.Unlock()
	if kept > mostKept+readBytes {
		t.Errorf("%d bytes are kept", kept)
	}
	counted := &counter{}
	rest, err := hold.Release(counted)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(counted, rest); err != nil {
		t.Fatal(err)
	}
	if want := len(http2.ClientPreface) + frames*(headerBytes+len(payload)); counted.n != want {
		t.Errorf("%d bytes came through, want %d", counted.n, want)
	}
}

type counter struct{ n int }

func (c *counter) Write(p []byte) (int, error) { c.n += len(p); return len(p), nil }
