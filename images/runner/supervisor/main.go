// Command bedplated is the supervisor and PID 1 of the runner image. It starts containerd and keeps it, opens a socket for
// each engine it knows, starts an engine when someone connects, stops it when it is idle, and serves the control API.
//
// Its contract with the image, the container it runs in and its clients is docs/spec/runner.md; with engines,
// docs/spec/engine.md. In short:
//
//   - It reads no environment variable. PATH given to containerd is the runner's own.
//   - /opt/bedplate/runner/runner.json says what the image is, /etc/bedplate/bedplated.json (optional) what its owner wants.
//   - It has to be privileged: it makes / rshared, and gives engines all capabilities and devices that it has itself.
//   - /var/lib/bedplate has to be a volume or a real disk, /run a tmpfs, /run/bedplate a folder that the host sees.
//   - Standard error is its log, kept to 10 MiB when it is a file opened for appending, one JSON object a line; "ms" is milliseconds since the process's start.
//   - SIGTERM and SIGINT let what is connected finish, for drainMs or until the second of them, then stop the engines in order, then
//     containerd; exit status 0 when all of it went well, else 1, and
//     the last line of the log says what did not. Other signals are not passed on to anyone.
//
// Usage: bedplated [--version]
//
//	bedplated stand-in <socket>…    on the host, while a runner is replaced: package standin
//	bedplated clear-bridges <file>    on the host, after a runner was killed: what it left, by the id in its state
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"

	"bedplate.dev/runner/supervisor/internal/events"
	"bedplate.dev/runner/supervisor/internal/logs"
	"bedplate.dev/runner/supervisor/internal/network"
	"bedplate.dev/runner/supervisor/internal/paths"
	"bedplate.dev/runner/supervisor/internal/settings"
	"bedplate.dev/runner/supervisor/internal/standin"
	containerdlog "github.com/containerd/log"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/grpclog"
)

// version is set by -ldflags "-X main.version=…".
var version = "dev"

func main() {
	hub := &events.Hub{}
	log := newLog(io.MultiWriter(logs.NewBounded(os.Stderr, logs.MostBytes), hub))
	if err := run(os.Args[1:], hub, log); err != nil {
		log.Error("bedplated failed", "error", err.Error())
		os.Exit(1)
	}
}

func run(args []string, hub *events.Hub, log *slog.Logger) error {
	if len(args) == 1 && args[0] == "--version" {
		fmt.Println("bedplated", version)
		return nil
	}
	if len(args) > 1 && args[0] == "stand-in" {
		ctx, _, stop := untilSignal(log)
		defer stop()
		return standin.Run(ctx, args[1:], log, func() { log.Info("standing in", "sockets", len(args)-1) })
	}
	if len(args) == 2 && args[0] == "clear-bridges" {
		bridges, err := network.Open(args[1], nil)
		if err != nil {
			return err
		}
		return bridges.RemoveAll()
	}
	if len(args) > 0 {
		return fmt.Errorf("unknown argument %q; usage: bedplated [--version | stand-in <socket>… | clear-bridges <id file>]", args[0])
	}
	if os.Getpid() != 1 {
		return errors.New("bedplated is the first process of a runner's container (PID 1), and this process is not")
	}
	ctx, hurry, stop := untilSignal(log)
	defer stop()
	reap()
	at := paths.At("/")
	log.Info("bedplated starting", "version", version)
	// The client libraries' own lines would not be JSON; what matters of them comes back as errors.
	if err := containerdlog.SetLevel("panic"); err != nil {
		return err
	}
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard))
	owner, err := settings.Load(at.Settings)
	if err != nil {
		return err
	}
	image, err := settings.LoadRunner(at.RunnerFile)
	if err != nil {
		return err
	}
	if err := prepare(at); err != nil {
		return err
	}
	if err := serve(ctx, at, owner, image, hub, hurry, log); err != nil {
		return err
	}
	log.Info("bedplated stopped")
	return nil
}

// untilSignal gives a context that ends, with its cause, at the first SIGTERM or SIGINT, and one that ends at the second: who sends it
// does not want to wait for what is connected. Later ones are logged.
func untilSignal(log *slog.Logger) (first, second context.Context, stop func()) {
	first, cancelFirst := context.WithCancelCause(context.Background())
	second, cancelSecond := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT)
	go func() {
		for received := range signals {
			switch {
			case first.Err() == nil:
				cancelFirst(fmt.Errorf("signal: %s", received))
			case second.Err() == nil:
				cancelSecond(fmt.Errorf("second signal: %s", received))
			default:
				log.Warn("signal ignored: stopping already", "signal", received.String())
			}
		}
	}()
	return first, second, func() { signal.Stop(signals); cancelFirst(nil); cancelSecond(nil) }
}
