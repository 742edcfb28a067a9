package proxy

import (
	"bytes"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// pair gives both ends of a unix connection.
func pair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	a, err = net.DialUnix("unix", nil, listener.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	b, err = listener.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	for _, conn := range []*net.UnixConn{a, b} {
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		t.Cleanup(func() { conn.Close() })
	}
	return a, b
}

// joined gives a client's and a server's end with Join between, and a channel that is closed when Join returns.
func joined(t testing.TB) (client, server *net.UnixConn, done chan struct{}) {
	client, front := pair(t)
	back, server := pair(t)
	done = make(chan struct{})
	go func() { defer close(done); Join(front, front, back) }()
	return client, server, done
}

func TestHalfClose(t *testing.T) {
	client, server, done := joined(t)
	go func() {
		asked, _ := io.ReadAll(server) // returns only when the client's end of writing gets through
		server.Write(append([]byte("answer to "), asked...))
		server.Close()
	}()
	client.Write([]byte("question"))
	client.CloseWrite()
	got, err := io.ReadAll(client)
	if err != nil || string(got) != "answer to question" {
		t.Errorf("got %q, %v", got, err)
	}
	<-done
}

func TestAbruptEnd(t *testing.T) {
	client, server, done := joined(t)
	server.Close()
	if n, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read %d, %v, want EOF", n, err)
	}
	// The client notices when it writes, and Join does not outlive it.
	for range 1000 {
		if _, err := client.Write([]byte("more")); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("Join hangs after the server has gone")
	}
}

func TestManyConnections(t *testing.T) {
	const connections, size = 200, 2 * bulkBytes
	var all sync.WaitGroup
	for i := range connections {
		client, server, done := joined(t)
		sent := bytes.Repeat([]byte{byte(i)}, size)
		all.Go(func() { io.Copy(server, server); server.CloseWrite() })
		all.Go(func() { client.Write(sent); client.CloseWrite() })
		all.Go(func() {
			got, err := io.ReadAll(client)
			if err != nil || !bytes.Equal(got, sent) {
				t.Errorf("connection %d: %d bytes, %v", i, len(got), err)
			}
			<-done
		})
	}
	all.Wait()
}
