package main

import (
	"os"
	"os/signal"

	"github.com/containerd/containerd/v2/pkg/sys/reaper"
	"golang.org/x/sys/unix"
)

// reap waits for every child, orphans (containerd's shims and what they leave) too, for as long as the process lives.
// Children of its own have to be started and waited for by reaper.Default, which hears of their ends from here.
func reap() {
	children := make(chan os.Signal, 32)
	signal.Notify(children, unix.SIGCHLD)
	go func() {
		for range children {
			_ = reaper.Reap() // its one error is EINTR: the next signal brings what this one missed
		}
	}()
}
