package etcd

import (
	"sync/atomic"

	"go.uber.org/zap/zapcore"
)

// forgiving makes of etcd's complaint that the version of its storage cannot be updated yet, and of its warning before that, lines for
// debugging, the first time in a start. A new database gets its version when there is a leader, but what that takes is written with
// the first batch, after a tenth of a second, and a single member leads sooner than that. It is tried again after four seconds
// (etcdserver.monitorStorageVersion); what is still wrong then is told.
type forgiving struct {
	zapcore.Core
	seen *[2]atomic.Bool // of the messages
}

var forgiven = [2]string{"Failed to detect schema version", "failed to update storage version"}

func forgive(core zapcore.Core) zapcore.Core { return forgiving{core, new([2]atomic.Bool)} }

func (f forgiving) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	for i, message := range forgiven {
		if e.Message == message && !f.seen[i].Swap(true) {
			e.Level = zapcore.DebugLevel
		}
	}
	return f.Core.Check(e, checked)
}

func (f forgiving) With(fields []zapcore.Field) zapcore.Core {
	return forgiving{f.Core.With(fields), f.seen}
}
