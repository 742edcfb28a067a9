package engine

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// grpcStarter starts a real gRPC server after a delay, or fails after it.
type grpcStarter struct {
	dir   string
	delay time.Duration
	fail  error
}

type grpcProcess struct {
	server *grpc.Server
	path   string
	exited chan struct{}
}

func (s *grpcStarter) Start(context.Context, bool) (Process, error) {
	time.Sleep(s.delay)
	if s.fail != nil {
		return nil, s.fail
	}
	p := &grpcProcess{server: grpc.NewServer(), path: filepath.Join(s.dir, "engine.sock"), exited: make(chan struct{})}
	listener, err := net.Listen("unix", p.path)
	if err != nil {
		return nil, err
	}
	grpc_health_v1.RegisterHealthServer(p.server, health.NewServer())
	go p.server.Serve(listener)
	return p, nil
}

func (p *grpcProcess) PID() int                { return 1 }
func (p *grpcProcess) Socket() string          { return p.path }
func (p *grpcProcess) Exited() <-chan struct{} { return p.exited }
func (p *grpcProcess) Stop() (Ending, error) {
	p.server.Stop()
	close(p.exited)
	return Ending{Status: "exit status 0"}, nil
}

func grpcEngine(t *testing.T, starter *grpcStarter) (*Engine, grpc_health_v1.HealthClient) {
	t.Helper()
	starter.dir = t.TempDir()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(starter.dir, "front.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	e := New(Options{Name: "fake/1.2.3", Starter: starter, GRPC: true, IdleTimeout: time.Hour, Log: slog.New(slog.DiscardHandler)})
	go e.Serve(listener)
	client, err := grpc.NewClient("unix:"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); listener.Close(); e.Close(context.Background()) })
	return e, grpc_health_v1.NewHealthClient(client)
}

func TestGRPCClientWaitsForTheStart(t *testing.T) {
	e, client := grpcEngine(t, &grpcStarter{delay: 500 * time.Millisecond})
	for range 20 {
		if _, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := e.Status(); got.State != Running || got.Connections != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestGRPCClientIsToldWhyItWaitedInVain(t *testing.T) {
	_, client := grpcEngine(t, &grpcStarter{delay: 100 * time.Millisecond, fail: errors.New("exit status 1; its last lines: no such flag")})
	_, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	const want = "bedplate: engine fake/1.2.3: exit status 1; its last lines: no such flag"
	if status.Code(err) != codes.Unavailable || status.Convert(err).Message() != want {
		t.Errorf("got %v", err)
	}
}

// Also one that is held and never asked anything is gone when its client is.
func TestGRPCClientThatLeavesIsNotCounted(t *testing.T) {
	starter := &grpcStarter{delay: time.Second}
	e, _ := grpcEngine(t, starter)
	conn := dial(t, filepath.Join(starter.dir, "front.sock"))
	eventually(t, "it waits", func() bool { return e.Status().Connections == 1 })
	conn.Close()
	eventually(t, "it is gone", func() bool { return e.Status().Connections == 0 })
	if got := e.Status(); got.State != Starting {
		t.Errorf("the start was given up: %+v", got)
	}
}
