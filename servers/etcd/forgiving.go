package etcd

import (
	"strings"
	"sync/atomic"

	"go.uber.org/zap/zapcore"
)

// forgiving makes lines for debugging of etcd's complaint that the version of its storage cannot be updated yet, the
// first time in a start, and of its warnings that this version is not known, which are many and say nothing that the
// complaint does not. A new database gets its version when there is a leader, but what that takes is written with the
// first batch, after a tenth of a second, and a single member leads sooner than that. It is tried again after four
// seconds (etcdserver.monitorStorageVersion); what is still wrong then is told.
//
// Raft's panic about entries that it cannot look through is one, too: see loneHook. Where it ends etcd, km says so.
type forgiving struct {
	zapcore.Core
	complained *atomic.Bool
}

const (
	versionUnknown    = "Failed to detect schema version"
	versionNotUpdated = "failed to update storage version"
)

func forgive(core zapcore.Core) zapcore.Core { return forgiving{core, new(atomic.Bool)} }

func (f forgiving) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if e.Message == versionUnknown || e.Message == versionNotUpdated && !f.complained.Swap(true) ||
		strings.HasPrefix(e.Message, unscanned) {
		e.Level = zapcore.DebugLevel
	}
	return f.Core.Check(e, checked)
}

func (f forgiving) With(fields []zapcore.Field) zapcore.Core {
	return forgiving{f.Core.With(fields), f.complained}
}
