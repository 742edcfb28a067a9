package main

import (
	"encoding/json"
	"errors"
	"flag"
	"runtime"

	"bedplate.dev/images/layer/tool/internal/pack"
	"bedplate.dev/images/layer/tool/internal/plan"
)

// maxDefaultThreads keeps memory below 200 MiB on large machines, with frames of 4 MiB and all but the slowest zstd
// level. More would bring little: one thread hashes the tar stream.
const maxDefaultThreads = 8

// runPack reads a plan from standard input, packs it, and prints a pack.Result.
func runPack(std streams, args []string) error {
	flags := flag.NewFlagSet("pack", flag.ContinueOnError)
	out := flags.String("out", "", "file to write the layer to")
	threads := flags.Int("threads", min(runtime.GOMAXPROCS(0), maxDefaultThreads), "frames compressed at a time")
	if err := parse(std, flags, args); err != nil {
		return err
	}
	if *out == "" {
		return usageError{errors.New("--out is missing; name the file to write")}
	}
	if *threads < 1 || *threads > 1024 {
		return usageError{errors.New("--threads goes from 1 to 1024")}
	}
	// The plan is read before signals are caught: nothing was made yet, and a read cannot be stopped.
	p, err := plan.Decode(std.in)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	res, err := pack.ToFile(ctx, p, *out, *threads)
	if err != nil {
		return err
	}
	return json.NewEncoder(std.out).Encode(res)
}
