package process

import (
	"context"
	"log"
	"log/slog"
	"slices"

	"github.com/seed-200a7251/km/logging"
)

// WrapSlog puts a handler in front of slog's default one. It belongs before the first server's start.
func WrapSlog(wrap func(slog.Handler) slog.Handler) {
	flags, out := log.Flags(), log.Writer()
	slog.SetDefault(slog.New(wrap(slog.Default().Handler())))
	// It has the log package write to slog now; that has a bridge of its own.
	log.SetFlags(flags)
	log.SetOutput(out)
}

// placed is a handler for a program around the servers: their lines go to their logs, and all others to where the
// program's went.
type placed struct {
	slog.Handler
	with []func(slog.Handler) slog.Handler // what has been added to it
}

func (h placed) handler() slog.Handler {
	l := logging.Owner()
	if l == nil {
		return h.Handler
	}
	server := l.Slog().Handler()
	for _, add := range h.with {
		server = add(server)
	}
	return server
}

func (h placed) Enabled(ctx context.Context, level slog.Level) bool {
	if l := logging.Owner(); l != nil {
		return l.Slog().Enabled(ctx, level)
	}
	return h.Handler.Enabled(ctx, level)
}

func (h placed) Handle(ctx context.Context, r slog.Record) error { return h.handler().Handle(ctx, r) }

func (h placed) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.add(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

func (h placed) WithGroup(name string) slog.Handler {
	return h.add(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (h placed) add(f func(slog.Handler) slog.Handler) slog.Handler {
	return placed{f(h.Handler), append(slices.Clip(h.with), f)}
}
