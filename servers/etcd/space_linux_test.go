package etcd

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// That etcd could not allocate the next file of its log, which it logs and forgets, closes it before it needs the file.
func TestSegmentMissing(t *testing.T) {
	hook := make(spaceHook, 1)
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{}), zapcore.AddSync(io.Discard), zap.InfoLevel), hook.option())
	log.Error("something else")
	if len(hook) != 0 {
		t.Error("any line counts")
	}
	for range 3 { // nobody waits for who hears of it
		log.Error("failed to preallocate space when creating a new WAL")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	low := make(chan error, 1)
	watchSpace(ctx, place{Data: t.TempDir()}, hook, low)
	select {
	case err := <-low:
		if !strings.Contains(err.Error(), "free space on the disk of ") {
			t.Error(err)
		}
	default:
		t.Error("it is not noticed")
	}
}

// The need of a start is what etcd allocates for its log and has not yet, and it is asked for where the log is.
func TestSpaceNeeded(t *testing.T) {
	dir := t.TempDir()
	at := place{Data: filepath.Join(dir, "etcd")}
	if got := missingSegments(at.log()); got != 2*segment() {
		t.Errorf("a new log needs %d", got)
	}
	if err := os.MkdirAll(at.log(), 0o700); err != nil {
		t.Fatal(err)
	}
	tail := filepath.Join(at.log(), "0000000000000000-0000000000000000.wal")
	if err := os.WriteFile(tail, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	allocate(tail, 1<<20)
	if got, info := missingSegments(at.log()), must(os.Stat(tail)); allocated(tail) >= 1<<20 && got != 2*segment()-allocated(tail) || info.Size() != 1 {
		t.Errorf("%d are missing with %d allocated; the size is %d", got, allocated(tail), info.Size())
	}
	if err := at.short(); err != nil {
		t.Skip(err) // this machine's disk
	}
	if err := roomFor(DatabaseIn(dir), 1); err != nil { // in a folder that is not there yet
		t.Error(err)
	}
	if err := roomFor(DatabaseIn(dir), 1<<60); err == nil || !strings.HasPrefix(err.Error(), "to defragment it, free space on the disk of "+dir) {
		t.Error(err)
	}
}

// What a defragmentation has left that was killed is not in the way of the start that removes it.
func TestSpaceOfAnOrphan(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Dir(DatabaseIn(dir)), 0o700); err != nil {
		t.Fatal(err)
	}
	needed := func() int64 { return place{Data: dir}.needs()[0] }
	before := needed()
	for _, name := range []string{"db", "db.tmp.1", "db.tmp.2"} {
		file := filepath.Join(filepath.Dir(DatabaseIn(dir)), name)
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		allocate(file, 1<<20)
	}
	each := allocated(DatabaseIn(dir))
	if got, want := needed(), before-2*each; got != want || each == 0 {
		t.Errorf("a start needs %d, want %d", got, want)
	}
	if got := (place{Data: dir, Log: t.TempDir()}).needs(); got[0] != spareSpace-2*each || got[1] != spareSpace+2*segment() {
		t.Errorf("with the log elsewhere a start needs %d", got)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
