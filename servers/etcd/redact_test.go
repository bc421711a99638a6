package etcd

import (
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// No line of etcd's has the value of a key, at whatever level it logs.
func TestNoValuesInLines(t *testing.T) {
	put := &etcdserverpb.PutRequest{Key: []byte("/registry/secrets/a"), Value: []byte("the secret")}
	txn := &etcdserverpb.TxnRequest{Success: []*etcdserverpb.RequestOp{{Request: &etcdserverpb.RequestOp_RequestPut{RequestPut: put}}}}
	for name, request := range map[string]*etcdserverpb.InternalRaftRequest{
		"put": {Header: &etcdserverpb.RequestHeader{ID: 1}, Put: put},
		"txn": {Header: &etcdserverpb.RequestHeader{ID: 1}, Txn: txn},
	} {
		core, lines := observer.New(zapcore.DebugLevel)
		logger := withRightLines(zap.New(core))
		field := zap.Stringer("raftReq", request)
		logger.Debug("Apply", zap.Int("n", 1), field)
		logger.With(field).Debug("Apply", zap.Int("n", 1))
		if lines.Len() != 2 {
			t.Fatalf("%s: %d lines", name, lines.Len())
		}
		for _, line := range lines.All() {
			encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{})
			text, err := encoder.EncodeEntry(line.Entry, line.Context)
			if err != nil {
				t.Fatal(err)
			}
			if got := text.String(); strings.Contains(got, "the secret") || !strings.Contains(got, "/registry/secrets/a") || !strings.Contains(got, `"n":1`) {
				t.Errorf("%s: %s", name, got)
			}
		}
		if _, ok := field.Interface.(*etcdserverpb.InternalRaftRequest); !ok {
			t.Error("the caller's field was changed")
		}
	}
}
