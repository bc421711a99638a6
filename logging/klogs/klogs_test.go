package klogs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"

	"github.com/seed-200a7251/km/logging"
)

// klog is one for the process: no test here may be parallel.

func TestMain(m *testing.M) {
	code := m.Run()
	klog.StopFlushDaemon() // klog starts it when it is linked
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// lines is where a test's log goes.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// take returns what there is, and forgets it.
func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.buf.Reset()
	return l.buf.String()
}

// entries returns what there is, without the times.
func (l *lines) entries(t *testing.T) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(l.take()) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		delete(e, "ts")
		all = append(all, e)
	}
	return all
}

// install makes Logs that klog writes to until the test is over.
func install(t testing.TB, level zapcore.Level, format logging.Format) (*logging.Logs, *lines) {
	out := &lines{}
	ls := logging.New(logging.Config{Out: out, Level: level, Format: format})
	exit := klog.OsExit
	Install(ls, func(*logging.Log, error, int) { t.Error("the process would have ended") })
	t.Cleanup(func() {
		klog.ClearLogger()
		klog.OsExit = exit
		var zero klog.Level
		_ = zero.Set("0")
	})
	return ls, out
}

// afterTime is the text without the time that each line begins with.
func afterTime(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		_, line, _ = strings.Cut(line, " ")
		b.WriteString(line)
	}
	return b.String()
}

// line is the line in the file of its caller's call.
func line() int {
	_, _, n, _ := runtime.Caller(1)
	return n
}

// What each of klog's functions becomes: its severity, its verbosity, and the file and line of whoever called it.
func TestSeverityAndCaller(t *testing.T) {
	ls, out := install(t, -10, logging.FormatJSON)
	db := ls.Server("db")
	ctx := NewContext(context.Background(), db)
	none := context.Background()
	boom := errors.New("boom")
	for _, test := range []struct {
		name  string
		log   func() int
		level string
		v     int
		err   bool
	}{
		{"Info", func() int { klog.Info("said"); return line() }, "info", 0, false},
		{"Infof", func() int { klog.Infof("%s", "said"); return line() }, "info", 0, false},
		{"Infoln", func() int { klog.Infoln("said"); return line() }, "info", 0, false},
		{"InfoS", func() int { klog.InfoS("said"); return line() }, "info", 0, false},
		{"Warning", func() int { klog.Warning("said"); return line() }, "warn", 0, false},
		{"Warningf", func() int { klog.Warningf("%s", "said"); return line() }, "warn", 0, false},
		{"Warningln", func() int { klog.Warningln("said"); return line() }, "warn", 0, false},
		{"Error", func() int { klog.Error("said"); return line() }, "error", 0, false},
		{"Errorf", func() int { klog.Errorf("%s", "said"); return line() }, "error", 0, false},
		{"ErrorS", func() int { klog.ErrorS(boom, "said"); return line() }, "error", 0, true},
		{"V.Info", func() int { klog.V(3).Info("said"); return line() }, "info", 3, false},
		{"V.Infof", func() int { klog.V(3).Infof("%s", "said"); return line() }, "info", 3, false},
		{"V.InfoS", func() int { klog.V(3).InfoS("said"); return line() }, "info", 3, false},
		{"Background", func() int { klog.Background().Info("said"); return line() }, "info", 0, false},
		{"Background.V", func() int { klog.Background().V(2).Info("said"); return line() }, "info", 2, false},
		{"FromContext", func() int { klog.FromContext(ctx).Info("said"); return line() }, "info", 0, false},
		{"FromContext.V", func() int { klog.FromContext(ctx).V(2).Info("said"); return line() }, "info", 2, false},
		{"FromContext.Error", func() int { klog.FromContext(ctx).Error(boom, "said"); return line() }, "error", 0, true},
		{"FromContext.Error of nil", func() int { klog.FromContext(ctx).Error(nil, "said"); return line() }, "error", 0, false},
		{"FromContext of none", func() int { klog.FromContext(none).V(1).Info("said"); return line() }, "info", 1, false},
		{"FromContext of none, Error", func() int { klog.FromContext(none).Error(boom, "said"); return line() }, "error", 0, true},
		{"InfoDepth", func() int { func() { klog.InfoDepth(1, "said") }(); return line() }, "info", 0, false},
		{"InfoSDepth", func() int { func() { klog.InfoSDepth(1, "said") }(); return line() }, "info", 0, false},
		{"WithCallDepth", func() int { func() { klog.Background().WithCallDepth(1).Info("said") }(); return line() }, "info", 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var at int
			db.Do(func() { at = test.log() })
			want := map[string]any{"level": test.level, "server": "db", "msg": "said", "caller": fmt.Sprintf("klogs/klogs_test.go:%d", at)}
			if test.v > 0 {
				want["v"] = float64(test.v)
			}
			if test.err {
				want["err"] = "boom"
			}
			if diff := cmp.Diff([]map[string]any{want}, out.entries(t)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNamesAndValues(t *testing.T) {
	ls, out := install(t, -10, logging.FormatConsole)
	db := ls.Server("db")
	logger := klog.FromContext(NewContext(context.Background(), db))
	for _, test := range []struct {
		name string
		log  func()
		want string
	}{
		{"values", func() { logger.Info("x", "a", 1, "b", "c d") }, `x a=1 b="c d"`},
		{"values given before", func() { logger.WithValues("a", 1).WithValues("b", 2).Info("x", "c", 3) }, "x a=1 b=2 c=3"},
		{"names", func() { logger.WithName("gc").WithName("worker").Info("x") }, "gc.worker: x"},
		{"name and values", func() { logger.WithName("gc").WithValues("a", 1).Info("x") }, "gc: x a=1"},
		{"odd", func() { logger.Info("x", "a", 1, "b") }, "x a=1 b=(MISSING)"},
		{"odd, given before", func() { logger.WithValues("b").Info("x") }, "x b=(MISSING)"},
		{"key that is no string", func() { logger.Info("x", 7, "seven") }, "x 7=seven"},
		{"object", func() { logger.Info("x", "pod", klog.KRef("default", "web")) }, "x pod=default/web"},
		{"objects", func() { logger.Info("x", "pods", []klog.ObjectRef{klog.KRef("a", "b"), klog.KRef("", "c")}) }, `x pods="[a/b c]"`},
		{"it tells itself how", func() { logger.Info("x", "secret", secret("hunter2")) }, "x secret=***"},
		{"error as a value", func() { logger.Info("x", "cause", errors.New("out of ink")) }, `x cause="out of ink"`},
		{"nothing", func() { logger.Info("x", "a", nil) }, "x a=<nil>"},
		{"klog's own", func() { db.Do(func() { klog.InfoS("x", "pod", klog.KRef("default", "web"), "n", 1) }) }, "x pod=default/web n=1"},
		{"several lines", func() { db.Do(func() { klog.Info("one\n") }) }, "one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.log()
			if diff := cmp.Diff("I db    "+test.want+"\n", afterTime(out.take())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

type secret string

func (secret) MarshalLog() any { return "***" }

var _ logr.Marshaler = secret("")

// Two loggers that come from one may not write over each other's values.
func TestWithValuesDoesNotShare(t *testing.T) {
	ls, out := install(t, -10, logging.FormatConsole)
	base := klog.FromContext(NewContext(context.Background(), ls.Server("db"))).WithValues("a", 1, "b", 2, "c", 3)
	one, two := base.WithValues("who", "one"), base.WithValues("who", "two")
	one.Info("x", "d", 4)
	two.Info("x")
	base.Info("x")
	want := "I db    x a=1 b=2 c=3 who=one d=4\nI db    x a=1 b=2 c=3 who=two\nI db    x a=1 b=2 c=3\n"
	if diff := cmp.Diff(want, afterTime(out.take())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A line is the running goroutine's server's; that of a logger in a context is that logger's, whoever writes it; and that of
// nobody is the program's.
func TestPlacement(t *testing.T) {
	ls, out := install(t, 0, logging.FormatConsole)
	db, api := ls.Server("db"), ls.Server("api")
	db.Do(func() {
		klog.InfoS("by goroutine")
		klog.FromContext(NewContext(context.Background(), api)).Info("by context")
	})
	klog.InfoS("nobody's")
	want := "I db    by goroutine\nI api   by context\nI main  nobody's\n"
	if diff := cmp.Diff(want, afterTime(out.take())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := ls.Unplaced(); n != 1 {
		t.Errorf("%d lines are unplaced, want 1", n)
	}
	// To ask whether a line would be written is not to write it.
	if !klog.V(0).Enabled() || ls.Unplaced() != 1 {
		t.Errorf("%d lines are unplaced after asking, want 1", ls.Unplaced())
	}
}

// klog's own level is that of the server that wants most: each server drops what is above its own.
func TestVerbosityOfEachServer(t *testing.T) {
	ls, out := install(t, zapcore.WarnLevel, logging.FormatConsole)
	quiet, loud := ls.Server("quiet"), ls.Server("loud")
	if klog.V(1).Enabled() {
		t.Error("nobody has asked for V(1)")
	}
	loud.Level().SetLevel(logging.Verbosity(4))
	SetVerbosity(ls)
	for _, s := range []*logging.Log{quiet, loud} {
		s.Do(func() {
			wants := s == loud
			for v := range klog.Level(6) {
				// klog.V(v).Enabled() asks klog's own level alone; a logger asks us.
				if got, want := klog.Background().V(int(v)).Enabled(), wants && v <= 4; v > 0 && got != want {
					t.Errorf("%s: V(%d) is enabled: %v, want %v", s.Name(), v, got, want)
				}
				klog.V(v).Infof("V(%d)", v)
				klog.V(v).InfoS("S", "v", int(v))
				klog.FromContext(context.Background()).V(int(v)).Info("contextual", "v", int(v))
			}
			klog.Warning("beware")
		})
	}
	var want strings.Builder
	want.WriteString("W quiet  beware\n")
	for v := range 5 {
		fmt.Fprintf(&want, "I loud   V(%[1]d)\nI loud   S v=%[1]d\nI loud   contextual v=%[1]d\n", v)
	}
	want.WriteString("W loud   beware\n")
	if diff := cmp.Diff(want.String(), afterTime(out.take())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	if n := ls.Unplaced(); n != 0 {
		t.Errorf("%d lines are unplaced", n)
	}

	loud.Level().SetLevel(zapcore.WarnLevel)
	SetVerbosity(ls)
	loud.Do(func() {
		if klog.V(1).Enabled() {
			t.Error("klog still lets through what nobody wants")
		}
	})
}

// klog hands its warnings on as if they were for information. Each severity is seen at its own level and below.
func TestSeveritiesAtEachLevel(t *testing.T) {
	const infos, warnings, failures = "I db    info\n", "W db    warning\nW db    warning\n", "E db    error\nE db    error\n"
	for _, test := range []struct {
		level zapcore.Level
		want  string
	}{
		{-1, "I db    detail\n" + infos + warnings + failures},
		{zapcore.InfoLevel, infos + warnings + failures},
		{zapcore.WarnLevel, warnings + failures},
		{zapcore.ErrorLevel, failures},
	} {
		ls, out := install(t, test.level, logging.FormatConsole)
		log := func() {
			klog.V(1).Info("detail")
			klog.Info("info")
			klog.Warning("warning")
			klog.Warningf("%s", "warning")
			klog.Error("error")
			klog.ErrorS(nil, "error")
		}
		ls.Server("db").Do(log)
		if diff := cmp.Diff(test.want, afterTime(out.take())); diff != "" {
			t.Errorf("level %d (-want +got):\n%s", test.level, diff)
		}
		// What is not written is not counted either.
		log()
		if got, want := ls.Unplaced(), int64(strings.Count(test.want, "\n")); got != want {
			t.Errorf("level %d: %d lines are unplaced, want %d", test.level, got, want)
		}
	}
}

// Servers log from many goroutines at once, with loggers of all kinds.
func TestConcurrentLines(t *testing.T) {
	ls, out := install(t, 0, logging.FormatJSON)
	const servers, rounds = 10, 50
	var wg sync.WaitGroup
	for i := range servers {
		name := fmt.Sprint("s", i)
		log := ls.Server(name)
		wg.Go(func() {
			log.Do(func() {
				logger := klog.FromContext(NewContext(context.Background(), log)).WithValues("who", name)
				for range rounds {
					klog.InfoS("klog", "who", name)
					logger.Info("contextual")
				}
			})
		})
	}
	wg.Wait()
	all := out.entries(t)
	for _, e := range all {
		if e["server"] != e["who"] {
			t.Errorf("not placed right: %v", e)
		}
	}
	if want := servers * rounds * 2; len(all) != want || ls.Unplaced() != 0 {
		t.Errorf("%d lines, %d unplaced, want %d and 0", len(all), ls.Unplaced(), want)
	}
}
