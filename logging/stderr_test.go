//go:build unix

package logging

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// takeStderr makes Logs that take what is printed to standard error. What they have got is there when end has been
// called.
func takeStderr(t *testing.T, claims ...string) (ls *Logs, end func() string) {
	t.Helper()
	out := &lines{}
	ls = newLogs(t, Config{Out: out})
	ls.Server("db").Claim(claims...)
	if err := ls.TakeStderr(); err != nil {
		t.Fatal(err)
	}
	return ls, func() string { ls.Close(); return afterTime(out.take()) }
}

// Each text that is printed at once is one line of the log.
func TestTakeStderr(t *testing.T) {
	const stack = `goroutine 7 [running]:
runtime/debug.Stack()
	/go/src/runtime/debug/stack.go:26 +0x5e
%s
	/src/x.go:1 +0x1
created by example.com/server.Start in goroutine 1
	/src/y.go:2 +0x2`
	for _, test := range []struct {
		name   string
		claims []string
		print  string
		want   string // "" is for the program
	}{
		{"a line", nil, "text\n", "W main  stderr: text\n"},
		{"no end", nil, "text", "W main  stderr: text\n"},
		{"several lines", nil, "one\ntwo\n\n", "W main  stderr: one\n\ttwo\n"},
		{"nothing to see", nil, " \n\n", ""},
		{"nothing", nil, "", ""},
		{"control characters", nil, "\x1b[31mred\r\n", `W main  stderr: \x1b[31mred\r` + "\n"},
		{"not UTF-8", nil, "a\xffb\n", "W main  stderr: a\ufffdb\n"},
		{"a stack of claimed code", []string{"example.com/a"}, fmt.Sprintf(stack, "example.com/a/b.(*T).M(0x1)"), "db"},
		{"a stack of claimed code, in a function of a function", []string{"example.com/a"}, fmt.Sprintf(stack, "example.com/a.F.func1.2()"), "db"},
		{"a stack of claimed code with type parameters", []string{"example.com/a"}, fmt.Sprintf(stack, "example.com/a.F[...](0x1)"), "db"},
		{"a stack of a goroutine that claimed code has started", []string{"example.com/server"}, fmt.Sprintf(stack, "example.com/a.F()"), "db"},
		{"a stack of other code", []string{"example.com/ab"}, fmt.Sprintf(stack, "example.com/a.F()"), ""},
		{"what net/http complains of", []string{"example.com/a"},
			"2026/01/02 03:04:05 http: superfluous response.WriteHeader call from example.com/a/filters.(*w).WriteHeader (w.go:1)\n", "db"},
		{"a claimed name in a text", []string{"example.com/a"}, "see example.com/a.F for more\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			ls, end := takeStderr(t, test.claims...)
			if n, err := os.Stderr.WriteString(test.print); n != len(test.print) || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			got := end()
			unplaced := int64(0)
			switch test.want {
			case "db":
				if !strings.HasPrefix(got, "W db    stderr: ") {
					t.Errorf("it is not db's: %s", got)
				}
			case "":
				if got != "" && !strings.HasPrefix(got, "W main  stderr: ") {
					t.Errorf("it is not the program's: %s", got)
				}
				unplaced = int64(min(1, len(got)))
			default:
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				unplaced = 1
			}
			if n := ls.Unplaced(); n != unplaced {
				t.Errorf("%d lines are unplaced, want %d", n, unplaced)
			}
		})
	}
}

// A real stack, of a real function that is claimed.
func TestStackOnStderr(t *testing.T) {
	ls, end := takeStderr(t, "go/ast")
	inGoAST(func() { debug.PrintStack() })
	if got := end(); !strings.HasPrefix(got, "W db    stderr: goroutine ") || strings.Count(got, "W db ") != 1 || ls.Unplaced() != 0 {
		t.Errorf("%d unplaced: %s", ls.Unplaced(), got)
	}
}

// To print nothing is nothing; what comes later is still taken.
func TestNothingOnStderr(t *testing.T) {
	_, end := takeStderr(t)
	for _, text := range []string{"one", "", "two", "", ""} {
		if _, err := fmt.Fprint(os.Stderr, text); err != nil {
			t.Error(err)
		}
	}
	if got := end(); got != "W main  stderr: one\nW main  stderr: two\n" {
		t.Errorf("%q", got)
	}
}

// Much at once, such as the stacks of all goroutines, is one line as well. What is more than the system takes is
// refused, and stands in nobody's way.
func TestMuchOnStderr(t *testing.T) {
	for _, size := range []int{1 << 10, 64 << 10, 200 << 10, 3 * maxMessage} {
		_, end := takeStderr(t)
		text := strings.Repeat("0123456789abcde\n", size/16)
		_, err := os.Stderr.WriteString(text)
		if _, err := os.Stderr.WriteString("after\n"); err != nil {
			t.Error(err)
		}
		want := "W main  stderr: " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n\t") + "\n"
		if size > maxMessage {
			if want = ""; err == nil {
				t.Errorf("%d bytes are taken", size)
			}
		} else if err != nil {
			t.Error(err)
		}
		if got := end(); got != want+"W main  stderr: after\n" {
			t.Errorf("%d bytes: the log has %d, want %d: %.100q", size, len(got), len(want), got)
		}
	}
}

// Many print at once: nothing is mixed, nothing lost.
func TestConcurrentStderr(t *testing.T) {
	_, end := takeStderr(t)
	const goroutines, rounds = 10, 200
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for n := range rounds {
				_, _ = fmt.Fprintf(os.Stderr, "%d begins\n%d ends %d\n", g, g, n)
			}
		})
	}
	wg.Wait()
	count := 0
	text := strings.Split(end(), "\n")
	for i := 0; i+1 < len(text); i += 2 {
		var a, b, n int
		if _, err := fmt.Sscanf(text[i], "W main  stderr: %d begins", &a); err != nil {
			t.Fatalf("%v: %q", err, text[i])
		}
		if _, err := fmt.Sscanf(text[i+1], "\t%d ends %d", &b, &n); err != nil || a != b {
			t.Fatalf("%v: %q after %q", err, text[i+1], text[i])
		}
		count++
	}
	if count != goroutines*rounds {
		t.Errorf("%d texts, want %d", count, goroutines*rounds)
	}
}

// After Close standard error is what it was, and all that was printed before is in the log.
func TestStderrIsPutBack(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stderr
	os.Stderr = file
	defer func() { os.Stderr = before; _ = file.Close() }()
	ls, end := takeStderr(t)
	for range 100 {
		_, _ = fmt.Fprintln(os.Stderr, "taken")
	}
	if n := strings.Count(end(), "taken"); n != 100 {
		t.Errorf("%d lines, want 100", n)
	}
	ls.Close()
	if os.Stderr != file {
		t.Error("it is another one")
	}
	_, _ = fmt.Fprintln(os.Stderr, "not taken")
	if text, err := os.ReadFile(file.Name()); err != nil || string(text) != "not taken\n" {
		t.Errorf("%v: %q", err, text)
	}
}

// Out may be standard error itself, as it was before.
func TestStderrAsOut(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stderr
	os.Stderr = file
	defer func() { os.Stderr = before; _ = file.Close() }()
	ls := newLogs(t, Config{Out: os.Stderr})
	if err := ls.TakeStderr(); err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintln(os.Stderr, "printed")
	ls.Program().Zap().Info("logged")
	ls.Close()
	text, err := os.ReadFile(file.Name())
	if err != nil || bytes.Count(text, []byte("\n")) != 2 {
		t.Errorf("%v: %q", err, text)
	}
}

// A level above warn leaves out what is printed, too.
func TestStderrGoesByTheLevel(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Level: 2})
	if err := ls.TakeStderr(); err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintln(os.Stderr, "x")
	ls.Close()
	if got := out.take(); got != "" {
		t.Errorf("%q", got)
	}
}
