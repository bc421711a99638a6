package etcd

import (
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// Only the first complaint of a start is one for debugging, whatever logger it comes from.
func TestForgiving(t *testing.T) {
	core, logs := observer.New(zapcore.DebugLevel)
	lg := zap.New(core, zap.WrapCore(forgive))
	lg.With(zap.String("member", "km")).Error(forgiven[1])
	lg.Error(forgiven[1])
	lg.Warn(forgiven[0])
	lg.Error("another one")
	want := []zapcore.Level{zapcore.DebugLevel, zapcore.ErrorLevel, zapcore.DebugLevel, zapcore.ErrorLevel}
	for i, e := range logs.All() {
		if e.Level != want[i] {
			t.Errorf("line %d, %q, is at level %v, want %v", i+1, e.Message, e.Level, want[i])
		}
	}
	if logs.Len() != len(want) {
		t.Errorf("there are %d lines, want %d", logs.Len(), len(want))
	}
	if lines := logs.FilterMessage(forgiven[1]).All(); len(lines[0].Context) != 1 {
		t.Errorf("the logger's field is lost: %v", lines[0].Context)
	}
}
