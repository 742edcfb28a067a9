package main

import (
	"bufio"
	"flag"

	"bedplate.dev/images/layer/tool/internal/list"
)

// runList prints the entries of a layer, one list.Entry a line.
func runList(std streams, args []string) error {
	flags := flag.NewFlagSet("list", flag.ContinueOnError)
	if err := parse(std, flags, args, "BLOB"); err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	out := bufio.NewWriter(std.out)
	if err := list.File(ctx, flags.Arg(0), out); err != nil {
		return err
	}
	return out.Flush()
}
