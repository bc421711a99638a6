package simulated

import (
	"context"
	"log/slog"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/seed-200a7251/km/servers/process"
)

// forgiving makes of a complaint of kwok's that tells of no trouble a line for debugging: what was to be deleted, or
// changed, is gone. kwok may play a stage twice, if an object changes while it does
// (pkg/kwok/controllers/pod_controller.go, addStageJob).
type forgiving struct{ slog.Handler }

// forgive has slog's default logger be forgiving, which is once for a process.
var forgive = sync.OnceFunc(func() {
	process.WrapSlog(func(h slog.Handler) slog.Handler { return forgiving{h} })
})

func (h forgiving) Handle(ctx context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok && apierrors.IsNotFound(err) {
			r.Level = min(r.Level, slog.LevelDebug)
		}
		return true
	})
	if !h.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h forgiving) WithAttrs(attrs []slog.Attr) slog.Handler {
	return forgiving{h.Handler.WithAttrs(attrs)}
}
func (h forgiving) WithGroup(name string) slog.Handler { return forgiving{h.Handler.WithGroup(name)} }
