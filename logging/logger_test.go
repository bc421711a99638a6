package logging

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
)

// The loggers that a Log hands out, each used as its kind is used.
func TestLoggers(t *testing.T) {
	for _, test := range []struct {
		name string
		log  func(db *Log)
		want string // after the server's name
	}{
		{"zap, names", func(db *Log) { db.Zap().Named("raft").Named("log").Info("x") }, "raft.log: x"},
		{"zap, sugared", func(db *Log) { db.Zap().Sugar().With("a", 1).Infow("x", "b", "c d") }, `x a=1 b="c d"`},
		{"zap, formatted", func(db *Log) { db.Zap().Sugar().Infof("%d of %d", 1, 2) }, "1 of 2"},
		{"zap, several in order", func(db *Log) { db.Zap().With(zap.Int("a", 1)).With(zap.Int("b", 2)).Info("x", zap.Int("c", 3)) }, "x a=1 b=2 c=3"},
		{"zap, nothing", func(db *Log) { db.Zap().With().With(zap.Skip()).Info("x", zap.Skip()) }, "x"},

		{"slog", func(db *Log) { db.Slog().Info("x", "a", 1, slog.Bool("b", true)) }, "x a=1 b=true"},
		{"slog, odd", func(db *Log) { db.Slog().Info("x", []any{"a"}...) }, "x !BADKEY=a"},
		{"slog, key that is no string", func(db *Log) { db.Slog().Info("x", []any{7, "seven"}...) }, "x !BADKEY=7 !BADKEY=seven"},
		{"slog, group", func(db *Log) { db.Slog().WithGroup("g").Info("x", "a", 1) }, `x g={"a":1}`},
		{"slog, groups", func(db *Log) { db.Slog().With("a", 1).WithGroup("g").With("b", 2).WithGroup("h").Info("x", "c", 3) },
			`x a=1 g={"b":2,"h":{"c":3}}`},
		{"slog, empty group", func(db *Log) { db.Slog().WithGroup("").WithGroup("g").Info("x") }, "x"},
		{"slog, empty attribute", func(db *Log) { db.Slog().Info("x", slog.Attr{}) }, "x"},

		{"logr, names", func(db *Log) { db.Logr().WithName("gc").WithName("worker").Info("x") }, "gc.worker: x"},
		{"logr, values", func(db *Log) { db.Logr().WithValues("a", 1).WithValues("b", 2).Info("x", "c", 3) }, "x a=1 b=2 c=3"},
		{"logr, name and values", func(db *Log) { db.Logr().WithValues("a", 1).WithName("gc").Info("x") }, "gc: x a=1"},
		{"logr, nothing", func(db *Log) { db.Logr().WithValues().WithName("").Info("x") }, "x"},
		{"logr, odd", func(db *Log) { db.Logr().Info("x", "a", 1, "b") }, "x a=1 b=(MISSING)"},
		{"logr, odd, given before", func(db *Log) { db.Logr().WithValues("b").Info("x", "a", 1) }, "x b=(MISSING) a=1"},
		{"logr, odd twice", func(db *Log) { db.Logr().WithValues("a").WithValues("b").Info("x", "c") }, "x a=(MISSING) b=(MISSING) c=(MISSING)"},
		{"logr, key that is no string", func(db *Log) { db.Logr().Info("x", 7, "seven", nil, 0, fmt.Errorf("e"), 1) }, "x 7=seven <nil>=0 e=1"},
		{"logr, key that is no string, odd", func(db *Log) { db.Logr().Info("x", 7) }, "x 7=(MISSING)"},
		{"logr, key of bytes", func(db *Log) { db.Logr().Info("x", key("k"), 1) }, "x k=1"},
		{"logr, error", func(db *Log) { db.Logr().WithValues("a", 1).Error(fmt.Errorf("boom"), "x", "b", 2) }, "x err=boom a=1 b=2"},
		{"logr, no error", func(db *Log) { db.Logr().Error(nil, "x", "b", 2) }, "x b=2"},
		{"logr, from a context", func(db *Log) {
			logr.FromContextOrDiscard(logr.NewContext(t.Context(), db.Logr().WithName("ctx"))).Info("x")
		}, "ctx: x"},
		{"logr, as slog", func(db *Log) { slog.New(logr.ToSlogHandler(db.Logr())).Info("x", "a", 1) }, "x a=1"},
		{"logr, of the process", func(db *Log) { db.Do(func() { logr.New(db.logs.Sink(nil)).WithName("gc").Info("x", "a", 1) }) }, "gc: x a=1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := &lines{}
			ls := newLogs(t, Config{Out: out})
			test.log(ls.Server("db"))
			severity := "I"
			if test.name == "logr, error" || test.name == "logr, no error" {
				severity = "E"
			}
			if diff := cmp.Diff(severity+" db    "+test.want+"\n", written(ls, out)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// key is a string by another name.
type key string

// Two loggers that come from one may not write over each other's fields, and leave the one that they come from as it
// is.
func TestSiblingsShareNothing(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Program: "km"})
	db := ls.Program()
	// one by one: room for a fourth is left
	z := db.Zap().With(zap.Int("a", 1)).With(zap.Int("b", 2)).With(zap.Int("c", 3))
	one, two := z.With(zap.String("who", "one")), z.With(zap.String("who", "two"))
	one.Info("zap", zap.Int("d", 4))
	two.Info("zap")
	z.Info("zap")
	z.Named("n").Info("zap")
	z.Info("zap")

	s := db.Slog().With("a", 1).With("b", 2).With("c", 3)
	first, second := s.With("who", "one"), s.WithGroup("g")
	first.Info("slog", "d", 4)
	second.Info("slog", "d", 4)
	s.Info("slog")

	for _, l := range []logr.Logger{db.Logr(), logr.New(ls.Sink(nil))} {
		l = l.WithValues("a", 1).WithValues("b", 2).WithValues("c", 3)
		one, two := l.WithValues("who", "one"), l.WithValues("who", "two")
		one.Info("logr", "d", 4)
		two.Info("logr")
		l.WithName("n").Info("logr")
		l.Info("logr")
	}

	const said = "I km  %[1]s a=1 b=2 c=3%[2]s\n"
	var want string
	for _, s := range [][2]string{
		{"zap", " who=one d=4"}, {"zap", " who=two"}, {"zap", ""}, {"n: zap", ""}, {"zap", ""},
		{"slog", " who=one d=4"}, {"slog", ` g={"d":4}`}, {"slog", ""},
		{"logr", " who=one d=4"}, {"logr", " who=two"}, {"n: logr", ""}, {"logr", ""},
		{"logr", " who=one d=4"}, {"logr", " who=two"}, {"n: logr", ""}, {"logr", ""},
	} {
		want += fmt.Sprintf(said, s[0], s[1])
	}
	if diff := cmp.Diff(want, written(ls, out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The values given to WithValues are the caller's, who may change the slice later.
func TestWithValuesKeepsNothingOfTheCallers(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Program: "km"})
	values := make([]any, 0, 8)
	values = append(values, "a", 1)
	l := ls.Program().Logr().WithValues(values...)
	values[1] = 2
	_ = append(values, "b", 3)
	l.Info("x", "c", 4)
	if diff := cmp.Diff("I km  x a=1 c=4\n", written(ls, out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Where a line comes from is where the logger was called; or, for a helper that says so, where the helper was.
func TestCallers(t *testing.T) {
	say := func(l logr.Logger, depth int) { l.WithCallDepth(depth).Info("x") }
	for _, test := range []struct {
		name string
		log  func(db *Log) string
	}{
		{"zap", func(db *Log) string { db.Zap().Info("x"); return here() }},
		{"zap, Check", func(db *Log) string { db.Zap().Check(0, "x").Write(); return here() }},
		{"zap, sugared", func(db *Log) string { db.Zap().Sugar().Infof("x"); return here() }},
		{"zap, skipping", func(db *Log) string { func() { db.Zap().WithOptions(zap.AddCallerSkip(1)).Info("x") }(); return here() }},
		{"zap, Placing", func(db *Log) string { zap.New(db.logs.Placing(), zap.AddCaller()).Info("x"); return here() }},
		{"slog", func(db *Log) string { db.Slog().Info("x"); return here() }},
		{"slog, with a context", func(db *Log) string { db.Slog().InfoContext(t.Context(), "x"); return here() }},
		{"slog, Log", func(db *Log) string { db.Slog().Log(t.Context(), slog.LevelInfo, "x"); return here() }},
		{"logr", func(db *Log) string { db.Logr().Info("x"); return here() }},
		{"logr, V", func(db *Log) string { db.Logr().V(1).Info("x"); return here() }},
		{"logr, error", func(db *Log) string { db.Logr().Error(nil, "x"); return here() }},
		{"logr, with values", func(db *Log) string { db.Logr().WithName("n").WithValues("a", 1).Info("x"); return here() }},
		{"logr, depth", func(db *Log) string { say(db.Logr(), 1); return here() }},
		{"logr, depth twice", func(db *Log) string { func() { say(db.Logr().WithCallDepth(1), 1) }(); return here() }},
		{"logr, depth before values", func(db *Log) string { say(db.Logr().WithCallDepth(1).WithValues("a", 1), 0); return here() }},
		{"logr, of the process", func(db *Log) string { logr.New(db.logs.Sink(nil)).Info("x"); return here() }},
		{"logr, of the process, depth", func(db *Log) string { say(logr.New(db.logs.Sink(nil)), 1); return here() }},
		{"logr, of the process, depth and values", func(db *Log) string {
			say(logr.New(db.logs.Sink(nil)).WithCallDepth(1).WithValues("a", 1), 0)
			return before(here())
		}},
		{"logr, from far below", func(db *Log) string { deep(30, db.Logr()); return here() }},
		{"logr, of the process, from far below", func(db *Log) string { deep(30, logr.New(db.logs.Sink(nil))); return here() }},
		{"logr, as slog", func(db *Log) string { slog.New(logr.ToSlogHandler(db.Logr())).Info("x"); return here() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			var want string
			line := oneLine(t, func(db *Log) { want = test.log(db) })
			if got := objectOf(t, line)["caller"]; got != want {
				t.Errorf("caller is %v, want %s", got, want)
			}
		})
	}
}

// deep logs from n functions below its caller, with the place of its caller.
//
//go:noinline
func deep(n int, l logr.Logger) {
	l = l.WithCallDepth(1)
	if n == 1 {
		l.Info("x")
		return
	}
	deep(n-1, l)
}

// A depth above the stack's is no reason to panic.
func TestCallerBeyondTheStack(t *testing.T) {
	for name, log := range map[string]func(db *Log){
		"a server's":     func(db *Log) { db.Logr().WithCallDepth(1000).Info("x") },
		"of the process": func(db *Log) { logr.New(db.logs.Sink(nil)).WithCallDepth(1000).Info("x") },
		"just above":     func(db *Log) { logr.New(db.logs.Sink(nil)).WithCallDepth(10).Info("x") },
		"above 0":        func(db *Log) { db.Logr().WithCallDepth(-1).Info("x") },
	} {
		if l, err := ParseLine([]byte(oneLine(t, log))); err != nil || l.Msg != "x" {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
}
