package logging

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestParseLevel(t *testing.T) {
	for text, want := range map[string]zapcore.Level{
		"debug": -4, "info": zapcore.InfoLevel, "warn": zapcore.WarnLevel, "warning": zapcore.WarnLevel, "error": zapcore.ErrorLevel,
		"INFO": zapcore.InfoLevel, " Warn ": zapcore.WarnLevel, "v=0": zapcore.InfoLevel, "v=1": -1, "V=10": -10, "v=127": -127,
	} {
		if got, err := ParseLevel(text); err != nil || got != want {
			t.Errorf("%q is %v, %v, want %v", text, int(got), err, int(want))
		}
	}
	for _, text := range []string{"", "loud", "v", "v=", "v=x", "v=-1", "v=128", "v=1.5", "v= 1", "v=99999999999999999999", "4", "fatal", "debug,info"} {
		if got, err := ParseLevel(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		} else if !strings.Contains(err.Error(), `"`+text+`"`) || !strings.Contains(err.Error(), "v=N") {
			t.Errorf("%q: error %q does not name it and what may be", text, err)
		}
	}
}

func TestFormatLevel(t *testing.T) {
	for level, want := range map[zapcore.Level]string{
		zapcore.InfoLevel: "info", zapcore.WarnLevel: "warn", zapcore.ErrorLevel: "error", -1: "v=1", -4: "v=4", -127: "v=127",
	} {
		if got := FormatLevel(level); got != want {
			t.Errorf("%d is %q, want %q", level, got, want)
		}
	}
	for level := Verbosity(127); level <= zapcore.ErrorLevel; level++ {
		if got, err := ParseLevel(FormatLevel(level)); err != nil || got != level {
			t.Errorf("%d is read back as %d, %v", level, got, err)
		}
	}
}

func TestVerbosity(t *testing.T) {
	for n, want := range map[int]zapcore.Level{-5: 0, 0: 0, 1: -1, 10: -10, 127: -127, 128: -127, 1 << 20: -127} {
		if got := Verbosity(n); got != want {
			t.Errorf("Verbosity(%d) is %d, want %d", n, got, want)
		}
	}
}

// Which lines are written at each level, for each kind of logger. zap's and slog's own debug counts as V(4), by
// Kubernetes' conventions; it is not V(1).
func TestWhatIsWrittenAtEachLevel(t *testing.T) {
	const errs = "E zap error\nE slog error\nE logr error\n"
	const warns = "W zap warn\nW slog warn\n"
	const infos = "I zap info\nI slog info\nI logr 0\n"
	const debugs = "D zap debug\nD slog debug\n"
	of := func(n int) string {
		if n == 1 { // zap's -1 is its debug
			return "I logr 1\n"
		}
		return fmt.Sprintf("I zap -%[1]d\nI logr %[1]d\n", n)
	}
	for text, want := range map[string]string{
		"error": errs,
		"warn":  warns + errs,
		"info":  infos + warns + errs,
		"v=0":   infos + warns + errs,
		"v=1":   infos + warns + errs + of(1),
		"v=3":   infos + warns + errs + of(1) + of(2) + of(3),
		"v=4":   infos + warns + errs + debugs + of(1) + of(2) + of(3) + of(4),
		"debug": infos + warns + errs + debugs + of(1) + of(2) + of(3) + of(4),
		"v=5":   infos + warns + errs + debugs + of(1) + of(2) + of(3) + of(4) + of(5),
		"v=127": infos + warns + errs + debugs + of(1) + of(2) + of(3) + of(4) + of(5) + of(127),
	} {
		t.Run(text, func(t *testing.T) {
			level, err := ParseLevel(text)
			if err != nil {
				t.Fatal(err)
			}
			out := &lines{}
			ls := newLogs(t, Config{Out: out, Level: level})
			db := ls.Server("db")
			z, s, l := db.Zap(), db.Slog(), db.Logr()
			z.Info("zap info")
			s.Info("slog info")
			l.Info("logr 0")
			z.Warn("zap warn")
			s.Warn("slog warn")
			z.Error("zap error")
			s.Error("slog error")
			l.Error(nil, "logr error")
			z.Debug("zap debug")
			s.Debug("slog debug")
			for _, n := range []int{1, 2, 3, 4, 5, 127} {
				if n > 1 {
					z.Log(zapcore.Level(-n), fmt.Sprintf("zap -%d", n))
				}
				l.V(n).Info(fmt.Sprintf("logr %d", n))
			}
			if l.V(5).Enabled() != (level <= -5) || z.Core().Enabled(zap.DebugLevel) != (level <= -4) ||
				s.Enabled(context.Background(), slog.LevelDebug) != (level <= -4) || l.Enabled() != (level <= 0) {
				t.Error("what the loggers say of being enabled is not what they do")
			}
			ls.Flush()
			if diff := cmp.Diff(want, withoutServer(out.take())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A change of the level is seen at once by all loggers that there are, and by no other server's.
func TestSetLevelTakesEffectAtOnce(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Level: zapcore.WarnLevel})
	db := ls.Server("db")
	z, s, l := db.Zap(), db.Slog(), db.Logr()
	// Each is made before the level changes.
	loggers := map[string]func(){
		"zap":              func() { z.Info("zap") },
		"zap With":         func() { z.With(zap.Int("n", 1)).Info("zap With") },
		"zap With, before": func(z *zap.Logger) func() { return func() { z.Info("zap With, before") } }(z.With(zap.Int("n", 1)).Named("a")),
		"zap Check":        func() { z.Check(zap.InfoLevel, "zap Check").Write() },
		"zap Sugar":        func(z *zap.SugaredLogger) func() { return func() { z.Infow("zap Sugar", "n", 1) } }(z.Sugar()),
		"slog":             func() { s.Info("slog") },
		"slog With":        func(s *slog.Logger) func() { return func() { s.Info("slog With") } }(s.With("n", 1).WithGroup("g")),
		"logr":             func() { l.Info("logr") },
		"logr WithValues":  func(l interface{ Info(string, ...any) }) func() { return func() { l.Info("logr WithValues") } }(l.WithName("a").WithValues("n", 1)),
		"logr V(0)":        func() { l.V(0).Info("logr V(0)") },
		"Placing":          func(z *zap.Logger) func() { return func() { db.Do(func() { z.Info("Placing") }) } }(zap.New(ls.Placing())),
		"Placing With":     func(z *zap.Logger) func() { return func() { db.Do(func() { z.Info("Placing With") }) } }(zap.New(ls.Placing()).With(zap.Int("n", 1))),
	}
	other := ls.Server("other").Zap()
	for _, step := range []struct {
		level zapcore.Level
		want  bool
	}{{zapcore.WarnLevel, false}, {zapcore.InfoLevel, true}, {zapcore.ErrorLevel, false}, {Verbosity(4), true}, {zapcore.WarnLevel, false}} {
		db.SetLevel(step.level)
		if db.Level() != step.level {
			t.Errorf("the level is %d, want %d", db.Level(), step.level)
		}
		for name, log := range loggers {
			log()
			ls.Flush()
			if got := out.take() != ""; got != step.want {
				t.Errorf("%s at %s: written: %v, want %v", name, FormatLevel(step.level), got, step.want)
			}
		}
		if other.Info("x"); written(ls, out) != "" {
			t.Error("another server's level has changed")
		}
	}
}

// Record goes by the level, too, and shows nothing.
func TestRecord(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Files: true})
	db := ls.Server("db")
	path := t.TempDir() + "/db.log"
	if err := db.Open(File{Path: path}); err != nil {
		t.Fatal(err)
	}
	ls.Program().Discard()
	boom := errors.New("boom")
	for _, err := range []error{
		db.Record(zapcore.Entry{Message: "info", LoggerName: "km"}, zap.Int("n", 1), zap.String("msg", "mine")),
		db.Record(zapcore.Entry{Message: "debug", Level: zapcore.DebugLevel}),
		atLevel(db, Verbosity(3), func() error { return db.Record(zapcore.Entry{Message: "v=3", Level: zapcore.DebugLevel}) }),
		atLevel(db, Verbosity(4), func() error { return db.Record(zapcore.Entry{Message: "v=4", Level: zapcore.DebugLevel}) }),
		atLevel(db, zapcore.WarnLevel, func() error { return db.Record(zapcore.Entry{Message: "warn"}) }),
		db.Record(zapcore.Entry{Message: "error", Level: zapcore.ErrorLevel}, zap.Error(boom)),
		ls.Program().Record(zapcore.Entry{Message: "it has no file"}),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	ls.Close()
	if got := out.take(); got != "" {
		t.Errorf("it is shown: %s", got)
	}
	if got, want := messages(t, path), "info v=4 error"; got != want {
		t.Errorf("the file has %q, want %q", got, want)
	}
}

// atLevel runs f while the server has another level.
func atLevel(l *Log, level zapcore.Level, f func() error) error {
	defer l.SetLevel(l.Level())
	l.SetLevel(level)
	return f()
}
