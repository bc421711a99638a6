package etcd

import (
	"testing"

	"go.etcd.io/etcd/server/v3/etcdserver"
	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// A member that is alone comes to its election as etcd has applied, and forgotten, what raft takes for not applied yet.
func TestElectionAfterCompaction(t *testing.T) {
	const self, applied = 1, 5
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	stored := raft.NewMemoryStorage()
	ok(stored.ApplySnapshot(&raftpb.Snapshot{Metadata: &raftpb.SnapshotMetadata{
		ConfState: &raftpb.ConfState{Voters: []uint64{self}}, Index: new(uint64(0)), Term: new(uint64(0)),
	}}))
	for i := range uint64(applied) {
		ok(stored.Append([]*raftpb.Entry{{Index: new(i + 1), Term: new(uint64(1))}}))
	}
	ok(stored.SetHardState(&raftpb.HardState{Term: new(uint64(1)), Commit: new(uint64(applied))}))
	core, lines := observer.New(zapcore.InfoLevel)
	fatal := make(fatalHook, 1)
	node, err := raft.NewRawNode(&raft.Config{
		ID: self, ElectionTick: 10, HeartbeatTick: 1, Storage: stored, MaxSizePerMsg: 1 << 20, MaxInflightMsgs: 1,
		Logger: etcdserver.NewRaftLoggerZap(withRightLines(zap.New(core)).WithOptions(zap.WithPanicHook(loneHook{fatal}))),
	})
	ok(err)
	entries := node.Ready() // etcd applies them,
	ok(stored.Compact(1))   // and forgets the first, before it says so
	done := make(chan error)
	go func() { defer close(done); done <- node.Campaign() }()
	if err, ended := <-done, len(fatal); err != nil || ended > 0 {
		t.Fatal("the election ends with", err, "and fatal lines:", ended)
	}
	node.Advance(entries)
	for node.HasReady() {
		next := node.Ready()
		ok(stored.Append(next.Entries))
		node.Advance(next)
	}
	if s := node.Status(); s.RaftState != raft.StateLeader || s.Applied <= applied {
		t.Error("it does not lead:", s)
	}
	for _, line := range lines.All() {
		if line.Level > zapcore.InfoLevel {
			t.Error(line.Level, line.Message)
		}
	}
}
