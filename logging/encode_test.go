package logging

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestConsole(t *testing.T) {
	out := &lines{}
	ls := New(Config{Out: out, Level: -10})
	ls.Server("apiserver") // the longest name: all others are aligned with it
	z := ls.Server("db").Zap()
	for _, test := range []struct {
		name string
		log  func()
		want string
	}{
		{"plain", func() { z.Info("hello world") }, "I db         hello world\n"},
		{"verbosity is no severity", func() { z.Log(-5, "detail") }, "I db         detail\n"},
		{"warning", func() { z.Warn("beware") }, "W db         beware\n"},
		{"error", func() { z.Error("oh") }, "E db         oh\n"},
		{"longest name", func() { ls.Server("apiserver").Zap().Info("x") }, "I apiserver  x\n"},
		{"logger's name", func() { z.Named("raft").Named("log").Info("x") }, "I db         raft.log: x\n"},
		{"fields", func() { z.Info("x", zap.String("a", "b"), zap.Int("n", 3), zap.Duration("d", time.Second)) },
			"I db         x a=b n=3 d=1s\n"},
		{"fields given before", func() { z.With(zap.Int("a", 1)).With(zap.Int("b", 2)).Info("x", zap.Int("c", 3)) },
			"I db         x a=1 b=2 c=3\n"},
		{"quoting", func() {
			z.Info("x", zap.String("empty", ""), zap.String("space", "a b"), zap.String("quote", `a"b`), zap.String("equals", "a=b"),
				zap.String("line", "a\nb"), zap.String("escape", "\x1b[31m"), zap.String("letters", "äß"), zap.Strings("list", []string{"a", "b"}))
		}, `I db         x empty="" space="a b" quote="a\"b" equals="a=b" line="a\nb" escape="\x1b[31m" letters=äß list="[a b]"` + "\n"},
		{"error once, although zap has it twice", func() { z.Error("x", zap.Error(fmt.Errorf("%w", errors.New("out of ink")))) },
			"E db         x error=\"out of ink\"\n"},
		{"several keys of one field are in order", func() { z.Info("x", zap.Inline(several{})) }, "I db         x a=1 b=2 c=3\n"},
		{"several lines", func() { z.Info("one\ntwo\n\nthree\n") }, "I db         one\n\ttwo\n\t\n\tthree\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out.buf.Reset()
			test.log()
			if diff := cmp.Diff(test.want, out.afterTime()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if !regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{3} `).MatchString(out.String()) {
				t.Errorf("it does not begin with the time: %q", out)
			}
		})
	}
}

// several is a field of several keys.
type several struct{}

func (several) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddInt("c", 3)
	enc.AddInt("a", 1)
	enc.AddInt("b", 2)
	return nil
}

func TestConsoleColor(t *testing.T) {
	out := &lines{}
	z := New(Config{Out: out, Color: true, Program: "db"}).Program().Zap()
	z.Info("x")
	z.Warn("x")
	z.Error("x")
	got := strings.Split(out.afterTime(), "\n")
	for i, want := range []string{"I ", "\x1b[33mW\x1b[0m ", "\x1b[31mE\x1b[0m "} {
		name, ok := strings.CutPrefix(got[i], want)
		if !ok || !regexp.MustCompile(`^\x1b\[\d\dmdb\x1b\[0m  x$`).MatchString(name) {
			t.Errorf("line %q, want %q and a coloured name", got[i], want)
		}
	}
}

func TestJSON(t *testing.T) {
	out := &lines{}
	ls := New(Config{Out: out, Format: FormatJSON, Level: -10})
	z := ls.Server("db").Zap()
	for _, test := range []struct {
		name string
		log  func()
		want map[string]any
	}{
		{"plain", func() { z.Info("hello\nworld") }, map[string]any{"level": "info", "server": "db", "msg": "hello\nworld"}},
		{"verbosity", func() { z.Log(-5, "x") }, map[string]any{"level": "info", "v": 5.0, "server": "db", "msg": "x"}},
		{"warning", func() { z.Warn("x") }, map[string]any{"level": "warn", "server": "db", "msg": "x"}},
		{"error", func() { z.Error("x", zap.Error(errors.New("ink"))) },
			map[string]any{"level": "error", "server": "db", "msg": "x", "error": "ink"}},
		{"logger's name and fields", func() { z.Named("raft").With(zap.Int("n", 1)).Info("x", zap.Duration("d", time.Second)) },
			map[string]any{"level": "info", "server": "db", "logger": "raft", "msg": "x", "n": 1.0, "d": "1s"}},
		{"program", func() { ls.Program().Zap().Info("x") }, map[string]any{"level": "info", "server": "main", "msg": "x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out.buf.Reset()
			test.log()
			text := out.String()
			if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
				t.Errorf("not one line: %q", text)
			}
			var got map[string]any
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Fatal(err)
			}
			ts, _ := got["ts"].(string)
			if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$`).MatchString(ts) {
				t.Errorf("ts is %q, want RFC 3339 with microseconds", ts)
			}
			caller, _ := got["caller"].(string)
			if !strings.HasPrefix(caller, "logging/encode_test.go:") {
				t.Errorf("caller is %q, want this file", caller)
			}
			delete(got, "ts")
			delete(got, "caller")
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseFormat(t *testing.T) {
	for _, want := range []Format{FormatConsole, FormatJSON} {
		if got, err := ParseFormat(string(want)); err != nil || got != want {
			t.Errorf("%s is %s, %v", want, got, err)
		}
	}
	if _, err := ParseFormat("xml"); err == nil || err.Error() != `unknown log format "xml": use console or json` {
		t.Errorf("error %v", err)
	}
}
