package logging

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestParseLine(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)
	for _, test := range []struct {
		text string
		want *Line
	}{
		{`{"ts":"2026-01-02T03:04:05.678901Z","level":"info","v":3,"server":"db","logger":"gc","caller":"a/b.go:1","msg":"x","a":1,"b":{"c":[null]}}`,
			&Line{Time: at, Level: "info", V: 3, Server: "db", Logger: "gc", Caller: "a/b.go:1", Msg: "x",
				Fields: []LineField{{"a", json.RawMessage(`1`)}, {"b", json.RawMessage(`{"c":[null]}`)}}}},
		{`{"ts":"2026-01-02T03:04:05.678901Z","server":"db"}`, &Line{Time: at, Server: "db"}},
		{` { "msg" : "x" , "server" : "db" , "a" : null , "ts" : "2026-01-02T05:04:05.678901+02:00" } ` + "\n",
			&Line{Time: at, Server: "db", Msg: "x", Fields: []LineField{{"a", json.RawMessage(`null`)}}}},
		{`{"ts":"2026-01-02T03:04:05.678901Z","server":"db","a":1,"a":2,"":3}`,
			&Line{Time: at, Server: "db", Fields: []LineField{{"a", json.RawMessage(`1`)}, {"a", json.RawMessage(`2`)}, {"", json.RawMessage(`3`)}}}},
	} {
		got, err := ParseLine([]byte(test.text))
		if diff := cmp.Diff(test.want, got, cmp.Comparer(time.Time.Equal)); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", test.text, err, diff)
		}
	}
}

// What was not written by this package, or was cut off, is refused: whoever reads is shown it as it is.
func TestParseLineRefuses(t *testing.T) {
	const whole = `{"ts":"2026-01-02T03:04:05.678901Z","level":"info","v":0,"server":"db","caller":"a.go:1","msg":"x","a":{"b":[1,"c"]}}`
	if _, err := ParseLine([]byte(whole)); err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) {
		if l, err := ParseLine([]byte(whole[:n])); err == nil {
			t.Errorf("cut off after %d bytes it is %v", n, l)
		}
		if n > 0 {
			if l, err := ParseLine([]byte(whole[n:])); err == nil {
				t.Errorf("without its first %d bytes it is %v", n, l)
			}
		}
	}
	for _, text := range []string{
		"", "\n", "x", "null", "1", `"ts"`, "[]", "{}", "{",
		`{"msg":"x"}`,
		`{"ts":"2026-01-02T03:04:05Z"}`,
		`{"server":"db"}`,
		`{"ts":"yesterday","server":"db"}`,
		`{"ts":null,"server":"db"}`,
		`{"ts":1767323045,"server":"db"}`,
		`{"ts":"2026-01-02T03:04:05Z","server":1}`,
		`{"ts":"2026-01-02T03:04:05Z","server":"db","v":"1"}`,
		`{"ts":"2026-01-02T03:04:05Z","server":"db","v":1.5}`,
		`{"ts":"2026-01-02T03:04:05Z","server":"db","msg":{}}`,
		`{"ts":"2026-01-02T03:04:05Z","server":"db",}`,
		`{"ts":"2026-01-02T03:04:05Z","server":"db" "msg":"x"}`,
		`{"ts":"2026-01-02T03:04:05Z","server":"db","a":}`,
		`{"ts":"2026-01-02T03:04:05Z","server":"db",1:2}`,
		// Two lines, of which the second has begun before the first one ended.
		whole + whole,
		whole + " and more",
		whole[:40] + whole,
		"2026/01/02 03:04:05 text of another program\n",
		"I0102 03:04:05.678901 1 a.go:1] klog\n",
	} {
		if l, err := ParseLine([]byte(text)); err == nil {
			t.Errorf("%s is %v, want an error", text, l)
		}
	}
}

// A line's threshold is the level at which it was written, for whoever filters what he reads.
func TestThreshold(t *testing.T) {
	for _, test := range []struct {
		log  func(db *Log)
		want zapcore.Level
	}{
		{func(db *Log) { db.Zap().Info("x") }, 0},
		{func(db *Log) { db.Zap().Debug("x") }, -4},
		{func(db *Log) { db.Slog().Debug("x") }, -4},
		{func(db *Log) { db.Zap().Warn("x") }, zapcore.WarnLevel},
		{func(db *Log) { db.Zap().Error("x") }, zapcore.ErrorLevel},
		{func(db *Log) { db.Zap().DPanic("x") }, zapcore.FatalLevel},
		{func(db *Log) { db.Logr().V(3).Info("x") }, -3},
		{func(db *Log) { db.Logr().V(1000).Info("x") }, -127},
		{func(db *Log) { db.Logr().Error(errors.New("boom"), "x") }, zapcore.ErrorLevel},
	} {
		l, err := ParseLine([]byte(oneLine(t, test.log)))
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Threshold(); got != test.want {
			t.Errorf("%s v=%d: %d, want %d", l.Level, l.V, got, test.want)
		}
	}
}

// What is logged is read back as it was, whatever it is.
func FuzzLineIsReadBack(f *testing.F) {
	f.Add("db", "gc", "x", "k", "value", 1, int8(0))
	f.Add("the \"db\"\n", "", "one\ntwo", "msg", "\x1b[31m\xff\u2028\u0085", -1, int8(-1))
	f.Add("\xff", "a.b", "", "", "</script>", 1000, int8(2))
	f.Add("db", "", "x", "ts", "2026", 0, int8(5))
	f.Fuzz(func(t *testing.T, server, logger, msg, key, value string, v int, level int8) {
		if server == "" {
			return // a Log has a name
		}
		out := &lines{}
		ls := New(Config{Out: out, Format: FormatJSON, Level: Verbosity(127)})
		defer ls.Close()
		db := ls.Server(server)
		db.Logr().WithName(logger).WithValues("before", value).V(v).Info(msg, key, value)
		ce := zapcore.Entry{Level: min(zapcore.Level(level), zapcore.DPanicLevel), LoggerName: logger, Message: msg}
		if err := db.Zap().Core().With([]zap.Field{zap.String("before", value)}).Write(ce, []zap.Field{zap.String(key, value)}); err != nil {
			t.Fatal(err)
		}
		ls.Close()
		n := 0
		for line := range strings.Lines(out.take()) {
			n++
			l, err := ParseLine([]byte(line))
			if err != nil {
				t.Fatalf("%v: %q", err, line)
			}
			name := key
			if slices.Contains([]string{"ts", "level", "v", "server", "logger", "caller", "msg"}, key) {
				name = "fields." + key
			}
			quoted, _ := json.Marshal(valid(value))
			want := &Line{Server: valid(server), Logger: valid(logger), Msg: valid(msg),
				Fields: []LineField{{"before", quoted}, {valid(name), quoted}}}
			got := &Line{Server: l.Server, Logger: l.Logger, Msg: l.Msg}
			for _, f := range l.Fields {
				var text string
				if err := json.Unmarshal(f.Value, &text); err != nil {
					t.Fatal(err)
				}
				quoted, _ := json.Marshal(text) // there are several ways to write a string
				got.Fields = append(got.Fields, LineField{f.Key, quoted})
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, line)
			}
		}
		if n != 2 {
			t.Errorf("%d lines, want 2", n)
		}
	})
}

// valid is text as JSON has it: each byte that is not UTF-8 is replaced.
func valid(text string) string { return string([]rune(text)) }

// ParseLine is given what is in a file, whatever that is, and a Renderer as well.
func FuzzParseLineAndRender(f *testing.F) {
	f.Add([]byte(`{"ts":"2026-01-02T03:04:05.678901Z","level":"info","v":0,"server":"db","msg":"x","a":{"name":"a","namespace":"b"},"c":"d\ne"}`))
	f.Add([]byte(`{"ts":"2026-01-02T03:04:05Z","server":"\u001b[31m","level":"\u001b","logger":"\u009b","\u001b":"\u007f","n":{"name":"\u001b"},"r":["` + "\u009b" + `"]}`))
	f.Add([]byte(`{"ts":"9999-12-31T23:59:59Z","server":"db","a":1,"b":1e999,"c":"\ud800"}`))
	f.Add([]byte("\x00\xff"))
	f.Fuzz(func(t *testing.T, line []byte) {
		_, err := ParseLine(line)
		for _, r := range []*Renderer{{}, {Color: true, Date: true}, {Format: FormatJSON}} {
			r.Widen("apiserver")
			text := r.Append([]byte("before"), line)
			rest, ok := strings.CutPrefix(string(text), "before")
			if !ok {
				t.Fatalf("what was there is gone: %q", text)
			}
			if (err != nil || r.Format == FormatJSON) && rest != string(line) {
				t.Errorf("%q has become %q", line, rest)
			}
			if err == nil && r.Format != FormatJSON {
				if !strings.HasSuffix(rest, "\n") {
					t.Errorf("it does not end the line: %q", rest)
				}
				if i := strings.IndexFunc(rest, dangerous); !r.Color && i >= 0 {
					t.Errorf("there is a control character at %d: %q", i, rest)
				}
			}
		}
	})
}

// dangerous reports whether a character may move the cursor or change a terminal's state.
func dangerous(c rune) bool { return c < ' ' && c != '\n' && c != '\t' || 0x7f <= c && c < 0xa0 }
