package standin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bedplate.dev/runner/supervisor/internal/settings"
	"bedplate.dev/runner/supervisor/internal/socket"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// runner serves gRPC at path until its stop is called, which lets calls finish.
func runner(t *testing.T, path string) (stop func()) {
	t.Helper()
	listener, err := socket.Opener{Root: filepath.Dir(path), Settings: settings.Settings{SocketMode: 0o640}}.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(listener)
	return func() {
		listener.Remove()
		time.Sleep(100 * time.Millisecond) // who stands in its queue is accepted
		server.GracefulStop()
	}
}

func check(ctx context.Context, path string) error {
	client, err := grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer client.Close()
	_, err = grpc_health_v1.NewHealthClient(client).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	return err
}

func TestNoClientNoticesThatARunnerIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "1.0.0.sock")
	stop := runner(t, path)
	ctx, done := context.WithCancel(t.Context())
	failed := make(chan error)
	for range 10 {
		go func() {
			var err error
			for ctx.Err() == nil && err == nil {
				err = check(t.Context(), path)
			}
			failed <- err
		}()
	}
	held, ended := make(chan struct{}), make(chan error)
	go func() {
		ended <- Run(t.Context(), []string{path}, slog.New(slog.DiscardHandler), func() { close(held) })
	}()
	<-held
	stop()
	time.Sleep(300 * time.Millisecond)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the socket in between: %v, %v", info, err)
	}
	stopNew := runner(t, path)
	time.Sleep(200 * time.Millisecond)
	done()
	for range 10 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the new runner's socket has gone: %v", err)
	}
	stopNew()
}

func TestNoRunnerComes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "1.0.0.sock")
	stop := runner(t, path)
	ctx, cancel := context.WithCancelCause(t.Context())
	held, ended := make(chan struct{}), make(chan error)
	go func() { ended <- Run(ctx, []string{path}, slog.New(slog.DiscardHandler), func() { close(held) }) }()
	<-held
	stop()
	answer := make(chan error)
	go func() { answer <- check(t.Context(), path) }()
	time.Sleep(100 * time.Millisecond)
	cancel(errors.New("it did not come up"))
	if err := <-answer; status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "it did not come up") {
		t.Errorf("got %v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("unix", path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its socket is still there: %v", err)
	}
}

func TestMissingSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.sock")
	if err := Run(t.Context(), []string{path}, slog.New(slog.DiscardHandler), func() {}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}
