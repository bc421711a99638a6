package logging

import (
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap"
)

func TestServerIsMadeOnce(t *testing.T) {
	ls := New(Config{Program: "km"})
	first, second := ls.Server("db"), ls.Server("db")
	if first != second || first == ls.Server("api") {
		t.Error("there is to be one Log for each name")
	}
	if ls.Server("km") != ls.Program() || ls.Program().Name() != "km" {
		t.Error("the program's Log is to be found by its name")
	}
}

func TestQuiet(t *testing.T) {
	for _, test := range []struct {
		name  string
		quiet bool
		next  func(db *Log)
		want  string
	}{
		{"everything is written by default", false, func(db *Log) { db.SetPhase(Running) }, "E db    not yet there\nE db    nor this n=1\nI api   not mine\nI db    up\n"},
		{"a start that succeeds", true, func(db *Log) { db.SetPhase(Running) }, "I api   not mine\nI db    up\n"},
		{"a start that succeeds, and a failure at once", true, func(db *Log) { db.SetPhase(Running); db.Release() }, "I api   not mine\nE db    not yet there\nE db    nor this n=1\nI db    up\n"},
		{"a start that succeeds, and a failure later", true, func(db *Log) { db.SetPhase(Running); db.Settle(); db.Release() }, "I api   not mine\nI db    up\n"},
		{"a start that takes long", true, (*Log).Settle, "I api   not mine\nE db    not yet there\nE db    nor this n=1\nI db    up\n"},
		{"a start that fails", true, (*Log).Release, "I api   not mine\nE db    not yet there\nE db    nor this n=1\nI db    up\n"},
		{"a start that is given up", true, func(db *Log) { db.SetPhase(Ending) }, "I api   not mine\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := &lines{}
			ls := New(Config{Out: out, Quiet: test.quiet})
			db, api := ls.Server("db"), ls.Server("api")
			child := db.Zap().With(zap.Int("n", 1))
			db.SetPhase(Starting)
			db.Zap().Error("not yet there")
			child.Error("nor this")
			api.Zap().Info("not mine")
			test.next(db)
			db.Zap().Info("up")
			if got := out.afterTime(); got != test.want {
				t.Errorf("got\n%swant\n%s", got, test.want)
			}
		})
	}
}

// Of a start that says much, the last lines are held.
func TestHeldLinesAreBounded(t *testing.T) {
	out := &lines{}
	db := New(Config{Out: out, Quiet: true}).Server("db")
	db.SetPhase(Starting)
	for n := range heldLines + 10 {
		db.Zap().Info("x", zap.Int("n", n))
	}
	db.Release()
	got := out.afterTime()
	if n := strings.Count(got, "\n"); n != heldLines || !strings.HasPrefix(got, "I db    x n=10\n") {
		t.Errorf("%d lines, from %.20q", n, got)
	}
}

// With is called from several goroutines with the same logger: none may see the fields of another.
func TestWithDoesNotShareFields(t *testing.T) {
	out := &lines{}
	base := New(Config{Out: out, Program: "km"}).Program().Zap().
		With(zap.Int("a", 1)).With(zap.Int("b", 2)).With(zap.Int("c", 3)) // one by one: room for a fourth is left
	one, two := base.With(zap.String("who", "one")), base.With(zap.String("who", "two"))
	one.Info("x", zap.Int("d", 4))
	two.Info("x")
	base.Info("x")
	want := "I km  x a=1 b=2 c=3 who=one d=4\nI km  x a=1 b=2 c=3 who=two\nI km  x a=1 b=2 c=3\n"
	if got := out.afterTime(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// broken is a writer that does not write.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteErrorIsReturned(t *testing.T) {
	ce := New(Config{Out: broken{}}).Program().Zap().Check(0, "x")
	report := &lines{}
	ce.ErrorOutput = writeSyncer{report}
	ce.Write()
	if !strings.Contains(report.String(), "disk full") {
		t.Errorf("reported: %q, want why it could not be written", report)
	}
}

type writeSyncer struct{ *lines }

func (writeSyncer) Sync() error { return nil }

// A logger of the whole process writes to the server whose goroutine uses it, at that server's level.
func TestPlacing(t *testing.T) {
	out := &lines{}
	ls := New(Config{Out: out, Program: "km"})
	db := ls.Server("db")
	db.Level().SetLevel(zap.WarnLevel)
	shared := zap.New(ls.Placing()).Named("client").With(zap.Int("n", 1))
	db.Do(func() {
		shared.Info("below the server's level")
		shared.Warn("retry")
	})
	shared.Info("nobody's")
	if got, want := out.afterTime(), "W db  client: retry n=1\nI km  client: nobody's n=1\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if n := ls.Unplaced(); n != 1 {
		t.Errorf("unplaced: %d, want 1", n)
	}
}
