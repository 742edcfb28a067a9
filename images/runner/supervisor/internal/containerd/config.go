// Package containerd runs containerd as a child: configured, watched, started again when it dies.
package containerd

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"bedplate.dev/runner/supervisor/internal/paths"
)

// disabled are plugins the runner has no use for; each costs time at start, memory, or a folder or socket somewhere.
var disabled = []string{
	"io.containerd.cri.v1.images",
	"io.containerd.cri.v1.runtime",
	"io.containerd.grpc.v1.cri",
	"io.containerd.podsandbox.controller.v1.podsandbox",
	"io.containerd.nri.v1.nri",
	"io.containerd.tracing.processor.v1.otlp",
	"io.containerd.internal.v1.tracing",
	"io.containerd.internal.v1.opt",
	"io.containerd.image-verifier.v1.bindir",
	"io.containerd.monitor.container.v1.restart",
	"io.containerd.monitor.task.v1.cgroups",
	"io.containerd.metrics.v1.grpc-prometheus",
	"io.containerd.metrics.v1.grpc-otel",
	"io.containerd.snapshotter.v1.blockfile",
	"io.containerd.snapshotter.v1.btrfs",
	"io.containerd.snapshotter.v1.devmapper",
	"io.containerd.snapshotter.v1.erofs",
	"io.containerd.snapshotter.v1.zfs",
	"io.containerd.differ.v1.erofs",
	"io.containerd.mount-handler.v1.erofs",
}

// writeConfig writes containerd's config.toml. Version 3 is read by every containerd 2.
func writeConfig(at paths.Paths) error {
	var plugins strings.Builder
	for _, plugin := range disabled {
		fmt.Fprintf(&plugins, "  %s,\n", strconv.Quote(plugin))
	}
	config := fmt.Sprintf(`# Written by bedplated at each start.
version = 3
root = %q
state = %q
imports = []
disabled_plugins = [
%s]

[grpc]
  address = %q
`, at.ContainerdRoot, at.ContainerdState, plugins.String(), at.ContainerdSocket)
	if err := os.WriteFile(at.ContainerdConfig, []byte(config), 0o644); err != nil {
		return fmt.Errorf("containerd's configuration: %w", err)
	}
	return nil
}
