package logging

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"k8s.io/klog/v2"
)

// rendered is a line with that message and these fields (JSON, with a leading comma) as people read it, without what
// comes before the message.
func rendered(t testing.TB, msg, fields string) string {
	t.Helper()
	quoted, err := json.Marshal(msg)
	if err != nil {
		t.Fatal(err)
	}
	line := `{"ts":"2026-01-02T03:04:05Z","level":"info","v":0,"server":"db","msg":` + string(quoted) + fields + "}\n"
	if !json.Valid([]byte(line)) {
		t.Fatalf("not JSON: %s", line)
	}
	text := string((&Renderer{}).Append(nil, []byte(line)))
	_, rest, ok := strings.Cut(text, " I db  ")
	if !ok {
		t.Fatalf("no severity and server: %q", text)
	}
	return rest
}

func TestRenderer(t *testing.T) {
	for _, test := range []struct{ name, msg, fields, want string }{
		{"plain", "hello world", "", "hello world\n"},
		{"no message", "", "", "\n"},
		{"fields in their order", "x", `,"b":1,"a":2`, "x b=1 a=2\n"},
		{"words", "x", `,"a":"b","c":"d-e/f:8080"`, "x a=b c=d-e/f:8080\n"},
		{"letters", "äß 語", `,"a":"äß"`, "äß 語 a=äß\n"},
		{"numbers and such", "x", `,"a":1.5,"b":true,"c":null,"d":[1,"a b"],"e":{}`, `x a=1.5 b=true c=null d=[1,"a b"] e={}` + "\n"},
		{"quoting", "x", `,"empty":"","space":"a b","quote":"a\"b","equals":"a=b","tab":"a\tb","backslash":"a\\b"`,
			`x empty="" space="a b" quote="a\"b" equals="a=b" tab="a\tb" backslash=a\b` + "\n"},
		{"what looks like a number is still one", "x", `,"a":"1"`, "x a=1\n"},
		{"several lines in a message", "one\ntwo\n\nthree\n", "", "one\n\ttwo\n\t\n\tthree\n"},
		{"several lines in a message, and a field", "one\ntwo", `,"a":1`, "one\n\ttwo a=1\n"},
		{"several lines in a value", "x", `,"a":"one\ntwo\n","b":1`, "x a=<\n\tone\n\ttwo\n > b=1\n"},
		{"one line with an end in a value", "x", `,"a":"one\n"`, `x a="one\n"` + "\n"},
		{"only ends of lines in a value", "x", `,"a":"\n\n"`, `x a="\n\n"` + "\n"},
		{"control characters in a message", "a\x00\x07\x1b[31mb\rc\td\u007f\u009be", "", `a\x00\a\x1b[31mb\rc` + "\td" + `\x7f\u009be` + "\n"},
		{"control characters in a value", "x", `,"a":"\u0000\u001b[31m\u007f\u009b"`, `x a="\x00\x1b[31m\x7f\u009b"` + "\n"},
		{"control characters in lines of a value", "x", `,"a":"\u001b[31m\nb\r"`, "x a=<\n\t" + `\x1b[31m` + "\n\t" + `b\r` + "\n >\n"},
		{"control characters in a list", "x", `,"a":["\u001b","` + "\u009b" + `"]`, `x a=["\u001b","\u009b"]` + "\n"},
		{"control characters in an object's name", "x", `,"a":{"name":"\u001b[31m","namespace":"b"}`, `x a="b/\x1b[31m"` + "\n"},
		{"control characters in a key", "x", `,"\u001b[31m\n":1`, `x "\x1b[31m\n"=1` + "\n"},
		{"object of Kubernetes", "x", `,"a":{"name":"web","namespace":"default"}`, "x a=default/web\n"},
		{"object of Kubernetes the other way round", "x", `,"a":{"namespace":"default","name":"web"}`, "x a=default/web\n"},
		{"object without a namespace", "x", `,"a":{"name":"node-1"}`, "x a=node-1\n"},
		{"object with more", "x", `,"a":{"name":"web","namespace":"default","uid":1}`, `x a={"name":"web","namespace":"default","uid":1}` + "\n"},
		{"object without a name", "x", `,"a":{"namespace":"default"}`, `x a={"namespace":"default"}` + "\n"},
		{"object whose name is no text", "x", `,"a":{"name":1}`, `x a={"name":1}` + "\n"},
		{"objects", "x", `,"a":[{"name":"web","namespace":"default"}]`, `x a=[{"name":"web","namespace":"default"}]` + "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, rendered(t, test.msg, test.fields)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// lineOf is a line of that level and server.
func lineOf(level, server string) []byte {
	name, _ := json.Marshal(server) // it cannot fail
	return fmt.Appendf(nil, `{"ts":"2026-01-02T03:04:05.678901Z","level":%q,"server":%s,"msg":"x"}`+"\n", level, name)
}

// The time is that of the place where it is read.
func TestRendererTime(t *testing.T) {
	local := time.Local
	time.Local = time.FixedZone("east", 23*3600)
	defer func() { time.Local = local }()
	for _, test := range []struct {
		r    *Renderer
		want string
	}{
		{&Renderer{}, "02:04:05.678 I db  x\n"},
		{&Renderer{Date: true}, "2026-01-03 02:04:05.678 I db  x\n"},
		{&Renderer{Format: FormatConsole}, "02:04:05.678 I db  x\n"},
	} {
		if diff := cmp.Diff(test.want, string(test.r.Append(nil, lineOf("info", "db")))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestRendererSeverities(t *testing.T) {
	for level, want := range map[string]string{
		"debug": "D", "info": "I", "warn": "W", "error": "E", "fatal": "F", "": "?", "loud": "L", "\x1b": "?",
	} {
		quoted, _ := json.Marshal(level)
		line := `{"ts":"2026-01-02T03:04:05Z","level":` + string(quoted) + `,"server":"db","msg":"x"}`
		if got := afterTime(string((&Renderer{}).Append(nil, []byte(line)))); got != want+" db  x\n" {
			t.Errorf("%q: %q, want %s", level, got, want)
		}
	}
}

// Names of servers are aligned with the longest one, from when it is known.
func TestRendererAlignment(t *testing.T) {
	r := &Renderer{}
	var b []byte
	for _, server := range []string{"db", "api"} {
		b = r.Append(b, lineOf("info", server))
	}
	r.Widen("apiserver")
	r.Widen("etcd")
	for _, server := range []string{"db", "apiserver", "controller-manager"} {
		b = r.Append(b, lineOf("info", server))
	}
	want := "I db  x\nI api  x\nI db         x\nI apiserver  x\nI controller-manager  x\n"
	if diff := cmp.Diff(want, afterTime(string(b))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { r.Widen(strings.Repeat("x", 20+i)); r.Append(nil, lineOf("info", "db")) })
	}
	wg.Wait()
	if got, want := afterTime(string(r.Append(nil, lineOf("info", "db")))), "I db"+strings.Repeat(" ", 37)+"  x\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRendererColor(t *testing.T) {
	r := &Renderer{Color: true}
	r.Widen("12345")
	var colors []string
	for _, server := range []string{"db", "db", "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "12345"} {
		text := afterTime(string(r.Append(nil, lineOf("info", server))))
		color, ok := strings.CutPrefix(text, "I \x1b[")
		color, rest, ok2 := strings.Cut(color, "m")
		if !ok || !ok2 || rest != server+"\x1b[0m"+strings.Repeat(" ", 5-len(server))+"  x\n" {
			t.Errorf("%s: %q is not a coloured name", server, text)
		}
		if color == fmt.Sprint(red) || color == fmt.Sprint(yellow) {
			t.Errorf("%s has the colour of a severity", server)
		}
		colors = append(colors, color)
	}
	if colors[0] != colors[1] {
		t.Errorf("a server has two colours: %v", colors[:2])
	}
	if slices.Sort(colors); len(slices.Compact(colors)) < 3 {
		t.Errorf("the servers can hardly be told apart: %v", colors)
	}
	for level, want := range map[string]string{
		"debug": "D ", "info": "I ", "warn": "\x1b[33mW\x1b[0m ", "error": "\x1b[31mE\x1b[0m ", "fatal": "\x1b[31mF\x1b[0m ",
	} {
		if text := afterTime(string(r.Append(nil, lineOf(level, "db")))); !strings.HasPrefix(text, want+"\x1b[") {
			t.Errorf("%s: %q, want %q and a coloured name", level, text, want)
		}
	}
}

// What is not a line of this package's is left as it is, and JSON is left to whoever wants it.
func TestRendererLeavesAlone(t *testing.T) {
	for _, text := range []string{"text of another program\n", "no end", "", "\n", "{}\n", `{"ts":"2026-01-02T03:04:05.678901Z","server":"db","msg":"cut o`, "\xff\n"} {
		if got := string((&Renderer{Color: true}).Append([]byte("before "), []byte(text))); got != "before "+text {
			t.Errorf("%q has become %q", text, got)
		}
	}
	line := string(lineOf("info", "db"))
	if got := string((&Renderer{Format: FormatJSON, Color: true}).Append([]byte("before "), []byte(line))); got != "before "+line {
		t.Errorf("JSON has become %q", got)
	}
}

// The logger's name comes before the message; no control character of it reaches the terminal, nor of a server's.
func TestRendererNames(t *testing.T) {
	for _, test := range []struct{ names, want string }{
		{`"server":"db","logger":"raft.log"`, "I db  raft.log: x\n"},
		{`"server":"db","logger":""`, "I db  x\n"},
		{`"server":"db","logger":"a\u001b[31m\nb"`, `I db  a\x1b[31m\nb: x` + "\n"},
		{`"server":"a\u001b[31m\nb"`, `I a\x1b[31m\nb  x` + "\n"},
	} {
		line := `{"ts":"2026-01-02T03:04:05.678901Z","level":"info",` + test.names + `,"msg":"x"}`
		if diff := cmp.Diff(test.want, afterTime(string((&Renderer{}).Append(nil, []byte(line))))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// From the logger to the terminal.
func TestConsole(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Level: Verbosity(10)})
	ls.Server("apiserver") // the longest name: all others are aligned with it
	db := ls.Server("db")
	for _, test := range []struct {
		name string
		log  func()
		want string
	}{
		{"plain", func() { db.Zap().Info("hello world") }, "I db         hello world\n"},
		{"debug", func() { db.Zap().Debug("detail") }, "D db         detail\n"},
		{"verbosity is no severity", func() { db.Zap().Log(-5, "detail") }, "I db         detail\n"},
		{"warning", func() { db.Zap().Warn("beware") }, "W db         beware\n"},
		{"error", func() { db.Zap().Error("oh") }, "E db         oh\n"},
		{"fatal", func() { db.Zap().DPanic("oh") }, "F db         oh\n"},
		{"longest name", func() { ls.Server("apiserver").Zap().Info("x") }, "I apiserver  x\n"},
		{"fields", func() { db.Zap().Info("x", zap.String("a", "b"), zap.Duration("d", time.Second)) }, "I db         x a=b d=1s\n"},
		{"error once", func() { db.Zap().Error("x", zap.Error(fmt.Errorf("%w", errors.New("out of ink")))) },
			"E db         x error=\"out of ink\"\n"},
		{"object", func() { db.Logr().Info("x", "pod", klog.KRef("default", "web")) }, "I db         x pod=default/web\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.log()
			if diff := cmp.Diff(test.want, written(ls, out)); diff != "" {
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
	for _, text := range []string{"", "xml", "JSON", " json"} {
		if _, err := ParseFormat(text); err == nil || err.Error() != fmt.Sprintf("unknown log format %q: use console or json", text) {
			t.Errorf("%q: error %v", text, err)
		}
	}
}
