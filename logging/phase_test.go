package logging

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
)

// With Brief people are shown warnings and errors, and none of those that come with a start or an end; unless the start
// fails.
func TestBrief(t *testing.T) {
	const held, mine, up = "W db    not yet there\nE db    nor this n=1\n", "W api   not mine\n", "W db    up\n"
	for _, test := range []struct {
		name  string
		brief bool
		next  func(db *Log)
		want  string
	}{
		{"everything is shown by default", false, func(db *Log) { db.SetPhase(Running) },
			"I db    begin\n" + held + "I api   nor this\n" + mine + "I db    more\n" + up},
		{"a start that succeeds", true, func(db *Log) { db.SetPhase(Running) }, mine + up},
		{"a start that succeeds, and a failure at once", true, func(db *Log) { db.SetPhase(Running); db.Release() }, mine + held + up},
		{"a start that succeeds, and a failure later", true, func(db *Log) { db.SetPhase(Running); db.Settle(); db.Release() }, mine + up},
		{"a start that takes long", true, (*Log).Settle, mine + held + up},
		{"a start that fails", true, (*Log).Release, mine + held + up},
		{"a start that fails is told of once", true, func(db *Log) { db.Release(); db.Release() }, mine + held + up},
		{"a start that succeeds before others", true, func(db *Log) { db.SetPhase(Started) }, mine},
		{"a start that succeeds, and others take long", true, func(db *Log) { db.SetPhase(Started); db.Zap().Warn("slow"); db.Settle() }, mine + up},
		{"a start that succeeds, and a failure before others have started", true, func(db *Log) { db.SetPhase(Started); db.Zap().Warn("slow"); db.Release() },
			mine + held + "W db    slow\n" + up},
		{"a start that is given up", true, func(db *Log) { db.SetPhase(Ending) }, mine},
		{"a start that is given up, and fails", true, func(db *Log) { db.SetPhase(Ending); db.Release() }, mine + held + up},
		{"a second start that succeeds", true, func(db *Log) {
			db.SetPhase(Running)
			db.Settle()
			db.SetPhase(Starting)
			db.Zap().Warn("again")
			db.SetPhase(Running)
		}, mine + up},
		{"a second start that fails", true, func(db *Log) {
			db.SetPhase(Running)
			db.Settle()
			db.SetPhase(Starting)
			db.Zap().Warn("again")
			db.Release()
		}, mine + "W db    again\n" + up},
		{"somebody asks for all while it starts", true, (*Log).ShowAll, mine + "I db    more\n" + up},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := &lines{}
			ls := newLogs(t, Config{Out: out, Brief: test.brief})
			db, api := ls.Server("db"), ls.Server("api")
			child := db.Zap().With(zap.Int("n", 1))
			db.SetPhase(Starting)
			db.Zap().Info("begin")
			db.Zap().Warn("not yet there")
			child.Error("nor this")
			api.Zap().Info("nor this")
			api.Zap().Warn("not mine")
			test.next(db)
			db.Zap().Info("more")
			db.Zap().Warn("up")
			if diff := cmp.Diff(test.want, written(ls, out)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever people are shown, the file has all of it, and in the order in which it was logged.
func TestFileHasWhatIsNotShown(t *testing.T) {
	for _, phase := range []Phase{Running, Starting, Ending} {
		out := &lines{}
		ls := newLogs(t, Config{Out: out, Brief: true, Files: true})
		db := ls.Server("db")
		path := filepath.Join(t.TempDir(), "db.log")
		if err := db.Open(File{Path: path}); err != nil {
			t.Fatal(err)
		}
		ls.Program().Discard()
		db.SetPhase(phase)
		db.Zap().Info("one")
		db.Zap().Warn("two")
		db.Settle()
		db.Zap().Error("three")
		ls.Close()
		if got, want := messages(t, path), "one two three"; got != want {
			t.Errorf("phase %d: the file has %q, want %q", phase, got, want)
		}
		want := map[Phase]string{Running: "W db    two\nE db    three\n", Starting: "W db    two\nE db    three\n", Ending: ""}[phase]
		if diff := cmp.Diff(want, afterTime(out.take())); diff != "" {
			t.Errorf("phase %d (-want +got):\n%s", phase, diff)
		}
	}
}

// A server whose lines somebody asked for is shown with all of them.
func TestShowAll(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Brief: true})
	db, api := ls.Server("db"), ls.Server("api")
	db.ShowAll()
	for _, l := range []*Log{db, api} {
		l.SetPhase(Starting)
		l.Zap().Info("starting")
		l.SetPhase(Running)
		l.Zap().Info("running")
		l.Zap().Debug("below its level")
		l.SetPhase(Ending)
		l.Zap().Warn("ending")
	}
	if diff := cmp.Diff("I db    starting\nI db    running\nW db    ending\n", written(ls, out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Of a start that says much, the last lines are held.
func TestHeldLinesAreBounded(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Brief: true})
	db := ls.Server("db")
	db.SetPhase(Starting)
	for n := range heldLines + 10 {
		db.Zap().WithOptions(zap.WithCaller(false)).Warn("x", zap.Int("n", n)) // each is another one
	}
	db.Release()
	got := written(ls, out)
	if n := strings.Count(got, "\n"); n != heldLines || !strings.HasPrefix(got, "W db    x n=10\n") {
		t.Errorf("%d lines, from %.20q", n, got)
	}
}

// Where nothing is shown there is nothing to hold, and nothing to fail.
func TestPhasesWithoutOut(t *testing.T) {
	db := newLogs(t, Config{Brief: true}).Server("db")
	db.SetPhase(Starting)
	db.Zap().Warn("x")
	db.Release()
	db.Settle()
	if len(db.held) != 0 {
		t.Errorf("%d lines are held for nobody", len(db.held))
	}
}
