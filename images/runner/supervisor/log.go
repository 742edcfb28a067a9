package main

import (
	"context"
	"io"
	"log/slog"
	"time"
)

// processStart is as near to the process's start as Go code comes.
var processStart = time.Now()

// newLog writes one JSON object a line; "ms" counts from the process's start.
func newLog(out io.Writer) *slog.Logger {
	return slog.New(sinceStart{slog.NewJSONHandler(out, nil)})
}

type sinceStart struct{ slog.Handler }

// Handle implements slog.Handler.
func (s sinceStart) Handle(ctx context.Context, record slog.Record) error {
	record.AddAttrs(slog.Int64("ms", record.Time.Sub(processStart).Milliseconds()))
	return s.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (s sinceStart) WithAttrs(attrs []slog.Attr) slog.Handler {
	return sinceStart{s.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (s sinceStart) WithGroup(name string) slog.Handler {
	return sinceStart{s.Handler.WithGroup(name)}
}
