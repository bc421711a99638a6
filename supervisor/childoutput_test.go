//go:build unix

package supervisor

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-200a7251/km/logging"
)

// Lines of the process are as it has written them, and what it prints is among them, all under the server's name.
func TestIsolatedLog(t *testing.T) {
	r := isolate(t, "--remote.log-level=v=2")
	r.tell("say", "2")
	for _, last := range []string{"by nobody", "by stdout", "by stderr"} {
		r.line(last)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	const file = "supervisor/isolatedtoy_test.go:"
	for _, want := range []logging.Line{
		{Level: "error", Logger: "deep", Msg: "by zap", Caller: file},
		{Level: "warn", Msg: "by slog", Caller: file},
		{Level: "info", V: 2, Msg: "by logr", Caller: file},
		{Level: "info", Msg: "by slog's default", Caller: file},
		{Level: "info", Msg: "by log", Caller: file},
		{Level: "info", Msg: "by zap's default", Caller: file},
		{Level: "info", Msg: "by nobody", Caller: file},
		{Level: "warn", Msg: "by stdout"},
		{Level: "warn", Msg: "by stderr"},
	} {
		got := r.line(want.Msg)
		if got.Level != want.Level || got.V != want.V || got.Logger != want.Logger || got.Server != "remote" ||
			!strings.HasPrefix(got.Caller, want.Caller) || want.Caller == "" && got.Caller != "" {
			t.Errorf("%+v, want %+v", got, want)
		}
		if age := time.Since(got.Time); age < 0 || age > time.Hour {
			t.Errorf("%s: it is of %v", got.Msg, got.Time)
		}
	}
	if l := r.line("by zap"); len(l.Fields) != 2 || field(l, "n") != "2" || field(l, "list") != `["a","b"]` {
		t.Errorf("%+v", l)
	}
	// The level was asked for: all is shown.
	contains(t, r.screen.String(), "E remote  ", "deep: by zap", "I remote  ", "by logr", "by nobody", "W remote  by stdout")
	if l := r.lines("iso"); len(l) != 1 {
		t.Errorf("in the program's log there is more than its own line of Setup: %+v", l)
	}
}

// On the screen are warnings and errors, unless more is asked for.
func TestIsolatedScreen(t *testing.T) {
	r := isolate(t)
	r.tell("say", "2")
	for _, last := range []string{"by nobody", "by stdout", "by stderr"} {
		r.line(last) // what comes when it is being stopped is not shown
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	contains(t, r.screen.String(), "by zap", "by slog", "by stdout", "by stderr")
	lacks(t, r.screen.String(), "by logr", "by slog's default", "by log", "by zap's default", "by nobody")
	for _, l := range r.lines("remote") {
		if l.Msg == "by logr" {
			t.Errorf("it is too verbose to be logged: %+v", l)
		}
	}
}

// How much is logged is known to the process from the beginning.
func TestIsolatedLevels(t *testing.T) {
	for flag, logged := range map[string]string{
		"--remote.log-level=v=3":            "3",
		"--remote.v=3":                      "3",
		"--remote.vmodule=isolatedtoy*=3":   "3",
		"--remote.vmodule=other=9":          "0",
		"--log-level=v=3":                   "3",
		"--base.log-level=v=9":              "0",
		"--remote.log-level=error":          "none",
		"--remote.vmodule=isolatedtoy_te=9": "0",
	} {
		t.Run(flag, func(t *testing.T) {
			r := isolate(t, flag)
			for _, v := range []string{"9", "3", "0"} {
				r.tell("v", v)
			}
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			most := "none"
			for _, l := range r.lines("remote") {
				if v, ok := strings.CutPrefix(l.Msg, "verbose "); ok && most == "none" {
					most = v
				}
			}
			if most != logged {
				t.Errorf("it has logged %s, want %s", most, logged)
			}
		})
	}
}

// How much is logged is changed while the process runs. The next one has it, too.
func TestIsolatedLevelIsChanged(t *testing.T) {
	r := isolate(t)
	level := func(text string) {
		t.Helper()
		r.p.Server("remote").Log().SetLevel(must(logging.ParseLevel(text)))
	}
	// That it is known there has to be waited for: nobody answers.
	told := func(text string) {
		t.Helper()
		eventually(t, text, func() bool {
			r.tell("v", text)
			for _, l := range r.lines("remote") {
				if l.Msg == "verbose "+text {
					return true
				}
			}
			return false
		})
	}
	level("v=5")
	told("5")
	pid := r.pid()
	_ = syscall.Kill(pid, syscall.SIGKILL)
	r.await("remote", Backoff)
	level("v=7")
	r.renewed(pid)
	r.tell("v", "7")
	r.line("verbose 7")
	r.tell("v", "8")
	level("v=8")
	told("8")
}

// As in package child: how much of a line is logged as one, how much is kept of what is said at a crash, and how much
// may be said until it is known to be one.
const longestPrint, keptCrash, unsureCrash = 1 << 20, 1 << 20, 64 << 10

// Long lines are whole, and what is no line is one at the end.
func TestIsolatedLongLines(t *testing.T) {
	r := isolate(t)
	r.tell("warn", "a long one")
	if l := r.line("a long one"); len(field(l, "long")) != 1<<20+2 {
		t.Errorf("%d bytes of it are there", len(field(l, "long")))
	}
	r.tell("long", fmt.Sprint(3*longestPrint/2))
	r.line(strings.Repeat("y", longestPrint))
	r.line(strings.Repeat("y", longestPrint/2))
	r.tell("print", "without an end")
	r.tell("end", "out of ink")
	r.line("without an end")
}

// What the runtime says is one line of the file, and the screen has its reason.
func TestIsolatedCrash(t *testing.T) {
	for _, how := range []string{"panic", "flood"} {
		t.Run(how, func(t *testing.T) {
			r := isolate(t)
			pid := r.pid()
			r.tell(how, "")
			r.renewed(pid)
			if f := r.server("remote").LastFailure; f == nil || f.Error != "panic: out of ink" {
				t.Errorf("it has failed because of %+v", f)
			}
			l := r.line("its process has crashed")
			var text string
			if err := json.Unmarshal([]byte(field(l, "traceback")), &text); err != nil || l.Level != "error" || !strings.Contains(text, "goroutine ") {
				t.Errorf("%v: %.2000s", err, text)
			}
			if whole := len(text) < keptCrash; whole != (how == "panic") || len(text) > keptCrash+longestPrint/2 {
				t.Errorf("%d bytes of it are there", len(text))
			}
			lacks(t, r.screen.String(), "goroutine ", "created by", "traceback")
		})
	}
}

// A line that only looks like the beginning of a crash is a line, also of a process that goes on.
func TestIsolatedPrintsLikeACrash(t *testing.T) {
	r := isolate(t)
	r.tell("print", "panic: none at all\nit goes on\n")
	r.line("panic: none at all")
	r.line("it goes on")
	r.tell("print", "fatal error: not this either\n"+strings.Repeat(strings.Repeat("z", 1000)+"\n", unsureCrash/1000))
	r.line("fatal error: not this either")
	r.tell("print", "panic: neither at the end\n")
	r.tell("exit", "3")
	r.line("panic: neither at the end")
	for _, l := range r.lines("remote") {
		if l.Msg == "its process has crashed" {
			t.Errorf("%+v", l)
		}
	}
}

// A process that the server's own has started, and that holds what that one prints to, is not waited for. It holds
// nothing else.
func TestIsolatedBegets(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it looks into /proc")
	}
	r := isolate(t)
	pid := r.pid()
	var begotten int
	if _, err := fmt.Sscanf(r.tell("beget", ""), "<nil> %d", &begotten); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(begotten, syscall.SIGKILL) }()
	for _, f := range must(os.ReadDir(fmt.Sprintf("/proc/%d/fd", begotten))) {
		name, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", begotten, f.Name()))
		// this one has some of whoever runs the tests
		ours, _ := os.Readlink("/proc/self/fd/" + f.Name())
		// a pipe or socket: it is loading its libraries
		if f.Name() > "2" && name != ours && strings.Contains(name, ":[") {
			t.Errorf("it has the file %s, %s", f.Name(), name)
		}
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	r.renewed(pid)
	if !alive(begotten) {
		t.Error("it has ended, too")
	}
}
