package main

import (
	"log/slog"

	"bedplate.dev/runner/supervisor/internal/fleet"
	"bedplate.dev/runner/supervisor/internal/paths"
	"bedplate.dev/runner/supervisor/internal/settings"
	"bedplate.dev/runner/supervisor/internal/tlsfront"
)

// tlsPort is the network port of a runner whose owner wants one; else it does nothing.
type tlsPort struct{ front *tlsfront.Front }

// openTLS finds out, before anything is started, whether the port can be had.
func openTLS(at paths.Paths, owner settings.Settings, log *slog.Logger) (tlsPort, error) {
	if owner.TLSListen == "" {
		return tlsPort{}, nil
	}
	front, err := tlsfront.Open(tlsfront.Options{Address: owner.TLSListen, Suffix: owner.TLSSuffix, Folder: at.TLS, Log: log})
	return tlsPort{front}, err
}

// Serve lets clients in to the engines that are known when they come.
func (p tlsPort) Serve(engines *fleet.Fleet) {
	if p.front == nil {
		return
	}
	p.front.Serve(func() []tlsfront.Engine {
		var known []tlsfront.Engine
		for _, member := range engines.List() {
			known = append(known, tlsfront.Engine{
				Kind: member.Kind, Version: member.Version, Default: member.Default, Handle: member.Handle,
			})
		}
		return known
	})
}

// Close lets nobody in any more.
func (p tlsPort) Close() error {
	if p.front == nil {
		return nil
	}
	return p.front.Close()
}
