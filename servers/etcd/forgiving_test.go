package etcd

import (
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// Only the first complaint of a start is one for debugging, whatever logger it comes from; the warnings before it all
// are.
func TestForgiving(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	lg := withRightLines(zap.New(core))
	lg.With(zap.String("member", "km")).Error(versionNotUpdated)
	lg.Error(versionNotUpdated)
	lg.Warn(versionUnknown)
	lg.Warn(versionUnknown)
	lg.Error("another one")
	want := []zapcore.Level{zapcore.DebugLevel, zapcore.ErrorLevel, zapcore.DebugLevel, zapcore.DebugLevel, zapcore.ErrorLevel}
	for i, e := range logs.All() {
		if e.Level != want[i] {
			t.Errorf("line %d, %q, is at level %v, want %v", i+1, e.Message, e.Level, want[i])
		}
	}
	if logs.Len() != len(want) {
		t.Errorf("there are %d lines, want %d", logs.Len(), len(want))
	}
	if lines := logs.FilterMessage(versionNotUpdated).All(); len(lines[0].Context) != 1 {
		t.Errorf("the logger's field is lost: %v", lines[0].Context)
	}
}
