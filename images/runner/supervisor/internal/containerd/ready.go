package containerd

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/containerd/containerd/v2/client"
)

const (
	readyTimeout = 60 * time.Second
	readyPoll    = 2 * time.Millisecond
)

// awaitAnswer polls the socket, then asks for the version.
func (d *Daemon) awaitAnswer(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	began := time.Now()
	d.mu.Lock()
	exited, pid := d.exited, d.pid
	d.mu.Unlock()
	for {
		conn, err := net.Dial("unix", d.at.ContainerdSocket)
		if err == nil {
			conn.Close()
			break
		}
		select {
		case <-exited:
			return fmt.Errorf("containerd ended before it was ready; its log is %s", d.logFile())
		case <-ctx.Done():
			return fmt.Errorf("containerd is not ready after %s (%w); its log is %s", readyTimeout, ctx.Err(), d.logFile())
		case <-time.After(readyPoll):
		}
	}
	connection, err := d.connect()
	if err != nil {
		return err
	}
	answer, err := connection.Version(ctx)
	if err != nil {
		return fmt.Errorf("containerd does not tell its version: %w; its log is %s", err, d.logFile())
	}
	d.mu.Lock()
	d.version = answer.Version
	if d.pid == pid {
		close(d.ready)
	}
	d.mu.Unlock()
	d.log.Info("containerd ready", "pid", pid, "version", answer.Version, "tookMs", time.Since(began).Milliseconds())
	return nil
}

// connect makes the client, or, after a restart, its connection anew: grpc's own would first sit out its backoff.
func (d *Daemon) connect() (*client.Client, error) {
	if existing := d.Client(); existing != nil {
		return existing, existing.Reconnect()
	}
	made, err := client.New(d.at.ContainerdSocket)
	if err != nil {
		return nil, fmt.Errorf("containerd's client: %w", err)
	}
	d.mu.Lock()
	d.client = made
	d.mu.Unlock()
	return made, nil
}
