package etcd

import (
	"slices"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// redacting leaves values of keys, Secrets among them, out of lines for debugging. Upstream does so where it logs what
// clients ask, but not where it logs what it applies (etcdserver/apply/apply.go).
type redacting struct{ zapcore.Core }

func redact(core zapcore.Core) zapcore.Core { return redacting{core} }

func (r redacting) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if r.Enabled(e.Level) {
		return checked.AddCore(e, r)
	}
	return checked
}

func (r redacting) With(fields []zapcore.Field) zapcore.Core {
	return redacting{r.Core.With(withoutValues(fields))}
}

func (r redacting) Write(e zapcore.Entry, fields []zapcore.Field) error {
	return r.Core.Write(e, withoutValues(fields))
}

// withoutValues returns the fields with sizes for values, as upstream's own redaction has it.
func withoutValues(fields []zapcore.Field) []zapcore.Field {
	copied := false
	for i, f := range fields {
		request, ok := f.Interface.(*etcdserverpb.InternalRaftRequest)
		if !ok {
			continue
		}
		if !copied {
			fields, copied = slices.Clone(fields), true
		}
		fields[i] = zap.Stringer(f.Key, &etcdserverpb.InternalRaftStringer{Request: request})
	}
	return fields
}
