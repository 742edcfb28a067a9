package main

import (
	"encoding/json"
	"errors"
	"flag"
	"time"

	"github.com/containerd/log"

	"bedplate.dev/images/layer/tool/internal/unpack"
)

// runApply unpacks an image and prints an unpack.Result; with --progress also unpack.Progress lines on standard error.
func runApply(std streams, args []string) error {
	flags := flag.NewFlagSet("apply", flag.ContinueOnError)
	layout := flags.String("layout", "", "folder of an OCI image layout")
	manifest := flags.String("manifest", "", "digest of the image manifest")
	dest := flags.String("dest", "", "folder to make")
	progress := flags.Bool("progress", false, "say on standard error how far it is")
	if err := parse(std, flags, args); err != nil {
		return err
	}
	if *layout == "" || *manifest == "" || *dest == "" {
		return usageError{errors.New("--layout, --manifest and --dest are needed; give all three")}
	}
	o := unpack.Options{Layout: *layout, Manifest: *manifest, Dest: *dest, Now: time.Now}
	if *progress {
		lines := json.NewEncoder(std.err)
		o.Progress = func(p unpack.Progress) { lines.Encode(p) }
	}
	// What containerd warns of goes to standard error too; as JSON, it mixes with progress lines.
	if err := log.SetFormat(log.JSONFormat); err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	res, err := unpack.Unpack(ctx, o)
	if err != nil {
		return err
	}
	return json.NewEncoder(std.out).Encode(res)
}
