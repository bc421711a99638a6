package logging

import (
	"bytes"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
)

// The loggers that Go programs share write to the server whose goroutine uses them.
func TestTakeDefaults(t *testing.T) {
	for _, test := range []struct {
		name string
		log  func()
		want string
	}{
		{"log.Print", func() { log.Print("x") }, "I db    x\n"},
		{"log.Printf", func() { log.Printf("%d\n", 1) }, "I db    1\n"},
		{"log.Println", func() { log.Println("x", 1) }, "I db    x 1\n"},
		{"log.Default", func() { log.Default().Print("x") }, "I db    x\n"},
		{"log.Panic", func() { defer func() { _ = recover() }(); log.Panic("x") }, "I db    x\n"},
		{"log, several lines", func() { log.Print("one\ntwo\n") }, "I db    one\n\ttwo\n"},
		{"log, nothing", func() { log.Print("") }, "I db    \n"},
		{"log, a level in brackets", func() { log.Print("[WARNING] plugin/forward: slow") }, "W db    plugin/forward: slow\n"},
		{"log, something else in brackets", func() { log.Print("[db] hello") }, "I db    [db] hello\n"},
		{"log, net/http", func() { log.Print("http: TLS handshake error from 127.0.0.1:1: EOF") }, "W db    http: TLS handshake error from 127.0.0.1:1: EOF\n"},
		{"log, net/http's HTTP/2", func() { log.Print("http2: x") }, "W db    http2: x\n"},
		{"log, not net/http", func() { log.Print("https: x") }, "I db    https: x\n"},
		{"slog", func() { slog.Info("x", "a", 1) }, "I db    x a=1\n"},
		{"slog, debug", func() { slog.Debug("x") }, ""},
		{"slog, warning", func() { slog.Warn("x") }, "W db    x\n"},
		{"slog, error", func() { slog.Error("x", "err", errors.New("boom")) }, "E db    x err=boom\n"},
		{"slog, With", func() { slog.With("a", 1).WithGroup("g").Info("x", "b", 2) }, `I db    x a=1 g={"b":2}` + "\n"},
		{"slog, as a standard logger", func() { slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn).Print("x") }, "W db    x\n"},
		{"zap", func() { zap.L().Warn("x", zap.Int("a", 1)) }, "W db    x a=1\n"},
		{"zap, sugared", func() { zap.S().Infof("%d", 1) }, "I db    1\n"},
		{"zap, debug", func() { zap.L().Debug("x") }, ""},
		{"zap, as a standard logger", func() { zap.NewStdLog(zap.L()).Print("x") }, "I db    x\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := &lines{}
			ls := newLogs(t, Config{Out: out})
			ls.TakeDefaults()
			ls.Server("db").Do(test.log)
			if diff := cmp.Diff(test.want, written(ls, out)); diff != "" || ls.Unplaced() != 0 {
				t.Errorf("%d unplaced (-want +got):\n%s", ls.Unplaced(), diff)
			}
			test.log()
			want := strings.ReplaceAll(test.want, " db    ", " main  ")
			if diff := cmp.Diff(want, written(ls, out)); diff != "" || (ls.Unplaced() == 1) != (want != "") {
				t.Errorf("nobody's, %d unplaced (-want +got):\n%s", ls.Unplaced(), diff)
			}
		})
	}
}

// A line tells where the shared logger was called, and not where it ended.
func TestCallersOfDefaults(t *testing.T) {
	for _, test := range []struct {
		name string
		log  func() string
	}{
		{"log.Print", func() string { log.Print("x"); return here() }},
		{"log.Printf", func() string { log.Printf("x"); return here() }},
		{"log.Println", func() string { log.Println("x"); return here() }},
		{"log.Default", func() string { log.Default().Printf("x"); return here() }},
		{"log.Output", func() string { _ = log.Output(1, "x"); return here() }},
		{"log.Panic", func() string {
			defer func() { _ = recover() }()
			at := here()
			log.Panic("x" + at[:0])
			return ""
		}},
		{"slog", func() string { slog.Info("x"); return here() }},
		{"slog With", func() string { slog.With("a", 1).Info("x"); return here() }},
		{"zap", func() string { zap.L().Info("x"); return here() }},
		{"zap, sugared", func() string { zap.S().Info("x"); return here() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			var want string
			line := oneLine(t, func(db *Log) {
				db.logs.TakeDefaults()
				want = test.log()
			})
			got := objectOf(t, line)["caller"].(string)
			if want == "" { // it did not return
				if !strings.HasPrefix(got, "logging/std_test.go:") {
					t.Errorf("caller is %v, want this file", got)
				}
			} else if got != want {
				t.Errorf("caller is %v, want %s", got, want)
			}
		})
	}
}

// What was there before is there again after Close.
func TestDefaultsArePutBack(t *testing.T) {
	var before bytes.Buffer
	out, flags, prefix := log.Writer(), log.Flags(), log.Prefix()
	defer func() { log.SetOutput(out); log.SetFlags(flags); log.SetPrefix(prefix) }()
	log.SetOutput(&before)
	log.SetFlags(log.Lmsgprefix)
	log.SetPrefix("mine: ")
	slogBefore, zapBefore := slog.Default(), zap.L()

	ours := &lines{}
	ls := New(Config{Out: ours, Program: "km"})
	ls.TakeDefaults()
	log.Print("x")
	inner := &lines{}
	second := New(Config{Out: inner, Program: "km"})
	second.TakeDefaults() // twice, and one after the other undone
	log.Print("y")
	second.Close()
	log.Print("z")
	slog.Info("z")
	zap.L().Info("z")
	ls.Close()
	ls.Close()

	log.Print("back")
	if got := before.String(); got != "mine: back\n" {
		t.Errorf("before and after: %q", got)
	}
	if slog.Default() != slogBefore || zap.L() != zapBefore {
		t.Error("slog's or zap's logger is another one")
	}
	if diff := cmp.Diff("I km  x\nI km  z\nI km  z\nI km  z\n", afterTime(ours.take())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("I km  y\n", afterTime(inner.take())); diff != "" {
		t.Errorf("inner (-want +got):\n%s", diff)
	}
}

// Loggers that are not shared are left alone.
func TestOtherStandardLoggersAreLeftAlone(t *testing.T) {
	var mine bytes.Buffer
	out := &lines{}
	ls := newLogs(t, Config{Out: out})
	ls.TakeDefaults()
	log.New(&mine, "mine: ", 0).Print("x")
	slog.New(slog.NewTextHandler(&mine, &slog.HandlerOptions{ReplaceAttr: func([]string, slog.Attr) slog.Attr { return slog.Attr{} }})).Info("x")
	if got := mine.String(); got != "mine: x\n\n" {
		t.Errorf("they have written %q", got)
	}
	if got := written(ls, out); got != "" {
		t.Errorf("they have written here: %q", got)
	}
}

// What net/http's servers complain of is a warning of the server that they are part of.
func TestHTTPServerErrors(t *testing.T) {
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		want    []string
	}{
		{"a handler panics", func(http.ResponseWriter, *http.Request) { panic("oh") }, []string{"http: panic serving ", ": oh\n", "goroutine "}},
		{"WriteHeader twice", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); w.WriteHeader(200) },
			[]string{"http: superfluous response.WriteHeader call from ", "std_test.go:"}},
		{"a body where none may be", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "x")
			_, _ = w.Write([]byte("x"))
		}, []string{`http: invalid Content-Length of "x"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := &lines{}
			ls := newLogs(t, Config{Out: out, Format: FormatJSON})
			ls.TakeDefaults()
			var server *httptest.Server
			ls.Server("api").Do(func() { server = httptest.NewServer(test.handler) })
			if resp, err := server.Client().Get(server.URL); err == nil {
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
			server.Close()
			ls.Close()
			text := out.take()
			got := objectOf(t, text)
			if strings.Count(text, "\n") != 1 || got["server"] != "api" || got["level"] != "warn" || ls.Unplaced() != 0 {
				t.Errorf("%d unplaced, want one warning of api: %s", ls.Unplaced(), text)
			}
			for _, want := range test.want {
				if msg, _ := got["msg"].(string); !strings.Contains(msg, want) {
					t.Errorf("the message does not have %q: %q", want, msg)
				}
			}
		})
	}
}

// A server that nobody has started is nobody's; but what its handlers do wrong is seen in the code that is running.
func TestErrorsOfNobodysHTTPServer(t *testing.T) {
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		want    string
	}{
		{"panics", func(http.ResponseWriter, *http.Request) { panic("oh") }, "main"},
		{"WriteHeader twice", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); w.WriteHeader(200) }, "main"},
		{"claimed code panics", func(http.ResponseWriter, *http.Request) { inGoAST(func() { panic("oh") }) }, "api"},
		{"claimed code writes a header twice", func(w http.ResponseWriter, _ *http.Request) {
			inGoAST(func() { w.WriteHeader(200); w.WriteHeader(200) })
		}, "api"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := &lines{}
			ls := newLogs(t, Config{Out: out, Format: FormatJSON})
			ls.TakeDefaults()
			ls.Server("api").Claim("go/ast")
			server := httptest.NewServer(test.handler)
			if resp, err := server.Client().Get(server.URL); err == nil {
				_ = resp.Body.Close()
			}
			server.Close()
			ls.Close()
			got := objectOf(t, out.take())
			if got["server"] != test.want || got["level"] != "warn" || (ls.Unplaced() == 1) != (test.want == "main") {
				t.Errorf("%d unplaced: %v", ls.Unplaced(), got)
			}
		})
	}
}
