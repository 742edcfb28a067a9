// bedplate-layer makes, unpacks and lists the layers of container images.
//
//	bedplate-layer pack --out BLOB [--threads N] < plan.json     plan → one deterministic layer
//	bedplate-layer apply --layout DIR --manifest DIGEST --dest NEWDIR [--progress]
//	                                                             image in an OCI layout → its root file system
//	bedplate-layer list BLOB                                     layer → its entries, as JSON lines
//	bedplate-layer --version
//
// It exits with 0 on success, 1 on failure, 2 when it was called wrongly. An error is one line on standard error. It
// reads no environment variables and no configuration. Killed by SIGTERM, SIGINT or SIGHUP it removes what it had
// begun; killed by SIGKILL, its next run does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// version is set by `-ldflags "-X main.version=…"`.
var version = "unversioned"

// usageError is the caller's mistake on the command line.
type usageError struct{ error }

// streams are the standard streams.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// commands by name. Each gets its arguments, without its name.
var commands = map[string]func(streams, []string) error{
	"pack":  runPack,
	"apply": runApply,
	"list":  runList,
}

const usage = `usage: bedplate-layer pack --out BLOB [--threads N] < plan.json
       bedplate-layer apply --layout DIR --manifest sha256:… --dest NEWDIR [--progress]
       bedplate-layer list BLOB
       bedplate-layer --version
`

func main() {
	err := run(streams{os.Stdin, os.Stdout, os.Stderr}, os.Args[1:])
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintf(os.Stderr, "bedplate-layer: %s\n", oneLine(err.Error()))
	var wrong usageError
	if errors.As(err, &wrong) {
		os.Exit(2)
	}
	os.Exit(1)
}

// run is the whole program but for the exit status.
func run(std streams, args []string) error {
	if len(args) == 0 {
		return usageError{errors.New("no command given; it is one of pack, apply, list (see --help)")}
	}
	switch args[0] {
	case "--version", "-version":
		_, err := fmt.Fprintln(std.out, version)
		return err
	case "--help", "-help", "-h":
		_, err := io.WriteString(std.out, usage)
		return err
	}
	command, ok := commands[args[0]]
	if !ok {
		return usageError{fmt.Errorf("unknown command %q; it is one of pack, apply, list (see --help)", args[0])}
	}
	if err := command(std, args[1:]); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}

// parse reads the flags of one command and checks that positional arguments are as many as names.
func parse(std streams, flags *flag.FlagSet, args []string, names ...string) error {
	flags.SetOutput(io.Discard)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		io.WriteString(std.out, usage)
		return err
	} else if err != nil {
		return usageError{fmt.Errorf("%w (see --help)", err)}
	}
	if flags.NArg() != len(names) {
		return usageError{fmt.Errorf("%d arguments besides flags, but %d are wanted %v (see --help)", flags.NArg(), len(names), names)}
	}
	return nil
}

// untilSignal is a context that ends at the first signal to stop. Later signals have no effect, so that cleaning up
// is not cut short; only SIGKILL is left for who cannot wait.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	go func() {
		cancel(fmt.Errorf("stopped by signal %v; nothing was written, run it again", <-signals))
	}()
	return ctx, func() { cancel(nil) }
}

// oneLine makes a message fit for one line of a log.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), " ")
}
