// Package paths says where everything in the runner is: docs/spec/runner.md, "In the image" and "In the running container".
package paths

import "path/filepath"

// Paths holds every fixed path of the runner. All are absolute.
type Paths struct {
	Bin         string // containerd, shim, runc
	CNI         string // plugins for engines with a bridge
	RunnerFile  string // what the image says of itself
	Engines     string // baked engines, <kind>/<version>/
	Settings    string // bedplated.json, optional
	OwnerConfig string // pieces of engines' own configuration, <kind>/, optional
	TLS         string // certificates of the network port, optional
	Sockets     string // what the host sees
	Control     string // the control API's socket
	State       string // the volume
	Lock        string
	ID          string // of the runner: its bridges have it in their names
	Reserve     string // a file that takes space for when the disk is full
	Local       string // OCI layout of engine images
	Logs        string
	EngineState string // each engine's ${state}, <kind>/<version>/
	EngineRun   string // each engine's ${run}, <kind>/<version>/
	Cgroup      string // where cgroup hierarchies are mounted

	ContainerdRoot   string
	ContainerdState  string
	ContainerdSocket string
	ContainerdConfig string
	ContainerdFIFOs  string // where containerd's clients put the FIFOs of their tasks
}

// At gives the runner's paths below root: "/" but in tests.
func At(root string) Paths {
	at := func(path string) string { return filepath.Join(root, path) }
	return Paths{
		Bin:         at("/opt/bedplate/runner/bin"),
		CNI:         at("/opt/bedplate/runner/cni"),
		RunnerFile:  at("/opt/bedplate/runner/runner.json"),
		Engines:     at("/opt/bedplate/engines"),
		Settings:    at("/etc/bedplate/bedplated.json"),
		OwnerConfig: at("/etc/bedplate/engines"),
		TLS:         at("/etc/bedplate/tls"),
		Sockets:     at("/run/bedplate"),
		Control:     at("/run/bedplate/control.sock"),
		State:       at("/var/lib/bedplate"),
		Lock:        at("/var/lib/bedplate/lock"),
		ID:          at("/var/lib/bedplate/id"),
		Reserve:     at("/var/lib/bedplate/reserve"),
		Local:       at("/var/lib/bedplate/local"),
		Logs:        at("/var/lib/bedplate/log"),
		EngineState: at("/var/lib/bedplate/engines"),
		EngineRun:   at("/run/engines"),
		Cgroup:      at("/sys/fs/cgroup"),

		ContainerdRoot:   at("/var/lib/bedplate/containerd"),
		ContainerdState:  at("/run/containerd"),
		ContainerdSocket: at("/run/containerd/containerd.sock"),
		ContainerdConfig: at("/run/containerd/config.toml"),
		ContainerdFIFOs:  at("/run/containerd/fifo"),
	}
}
