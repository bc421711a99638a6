package logging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
)

// at is a time of a line, in milliseconds from when all begins.
func at(n int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(time.Duration(n) * time.Millisecond)
}

// lineAt is a line of that time. Its server is the message's first letter.
func lineAt(n int, msg string) string {
	return fmt.Sprintf(`{"ts":%q,"level":"info","v":0,"server":%q,"msg":%q}`+"\n", at(n).Format(TimeLayout), msg[:1], msg)
}

// write appends text to a file.
func write(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// backup is the name of a segment of path that was full at that time.
func backup(path string, n int) string {
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "-" + at(n).Format(backupLayout) + ext
}

// msg is the message of a line or, if it is none, its text in quotes.
func msg(line []byte) string {
	l, err := ParseLine(line)
	if err != nil || !bytes.HasSuffix(line, []byte("\n")) {
		return strconv.Quote(string(line))
	}
	return l.Msg
}

// files is for Reader.Files.
func files(paths ...string) func() ([]string, error) {
	return func() ([]string, error) { return paths, nil }
}

func TestReader(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		read  []string // the files that are asked for
		r     Reader
		want  string
	}{
		{"nothing is asked for", nil, nil, Reader{Tail: -1}, ""},
		{"nothing is there", nil, []string{"a.log", "no/folder.log"}, Reader{Tail: -1}, ""},
		{"empty", map[string]string{"a.log": ""}, []string{"a.log"}, Reader{Tail: -1}, ""},
		{"one file", map[string]string{"a.log": lineAt(1, "a1") + lineAt(2, "a2")}, []string{"a.log"}, Reader{Tail: -1}, "a1 a2"},
		{"several files", map[string]string{
			"a.log": lineAt(1, "a1") + lineAt(4, "a4") + lineAt(5, "a5"),
			"b.log": lineAt(2, "b2") + lineAt(3, "b3") + lineAt(6, "b6"),
			"c.log": "",
		}, []string{"a.log", "b.log", "c.log", "d.log"}, Reader{Tail: -1}, "a1 b2 b3 a4 a5 b6"},
		{"the same time", map[string]string{"a.log": lineAt(1, "a1") + lineAt(1, "a2") + lineAt(1, "a3"), "b.log": lineAt(1, "b1") + lineAt(1, "b2")},
			[]string{"a.log", "b.log"}, Reader{Tail: -1}, "a1 a2 a3 b1 b2"},
		{"a file that is asked for twice", map[string]string{"a.log": lineAt(1, "a1")}, []string{"a.log", "a.log"}, Reader{Tail: -1}, "a1"},
		{"out of order", map[string]string{"a.log": lineAt(3, "a3") + lineAt(1, "a1") + lineAt(2, "a2") + lineAt(2, "a2b") + lineAt(0, "a0")},
			[]string{"a.log"}, Reader{Tail: -1}, "a0 a1 a2 a2b a3"},
		{"times of other zones", map[string]string{"a.log": strings.Replace(lineAt(2, "a2"), "03:04:05.002000Z", "05:04:05.002+02:00", 1) + lineAt(1, "a1")},
			[]string{"a.log"}, Reader{Tail: -1}, "a1 a2"},
		{"unreadable lines", map[string]string{"a.log": "first\n" + lineAt(2, "a2") + "goroutine 1 [running]:\n\n \n{}\n" + lineAt(4, "a4") + `{"ts":"20` + "\n"},
			[]string{"a.log"}, Reader{Tail: -1}, `"first\n" a2 "goroutine 1 [running]:\n" "{}\n" a4 "{\"ts\":\"20\n"`},
		{"unreadable lines stay where they are", map[string]string{
			"a.log": lineAt(1, "a1") + "text\n" + lineAt(4, "a4"), "b.log": lineAt(2, "b2") + lineAt(3, "b3")},
			[]string{"a.log", "b.log"}, Reader{Tail: -1}, `a1 "text\n" b2 b3 a4`},
		{"a line whose end is not written yet", map[string]string{"a.log": lineAt(1, "a1") + strings.TrimSuffix(lineAt(2, "a2"), "\n")},
			[]string{"a.log"}, Reader{Tail: -1}, "a1"},
		{"a long line", map[string]string{"a.log": lineAt(1, "a1") + lineAt(2, "a"+strings.Repeat("x", 200_000))},
			[]string{"a.log"}, Reader{Tail: -1}, "a1 a" + strings.Repeat("x", 200_000)},

		{"since", map[string]string{"a.log": lineAt(1, "a1") + lineAt(2, "a2") + lineAt(3, "a3"), "b.log": lineAt(1, "b1") + lineAt(4, "b4")},
			[]string{"a.log", "b.log"}, Reader{Tail: -1, Since: at(2)}, "a2 a3 b4"},
		{"since, and unreadable lines", map[string]string{"a.log": "zero\n" + lineAt(1, "a1") + "one\n" + lineAt(2, "a2") + "two\n"},
			[]string{"a.log"}, Reader{Tail: -1, Since: at(2)}, `a2 "two\n"`},
		{"since never", map[string]string{"a.log": lineAt(1, "a1")}, []string{"a.log"}, Reader{Tail: -1, Since: at(1000)}, ""},

		{"none of the last", map[string]string{"a.log": lineAt(1, "a1")}, []string{"a.log"}, Reader{Tail: 0}, ""},
		{"the last one", map[string]string{"a.log": lineAt(1, "a1") + lineAt(3, "a3"), "b.log": lineAt(2, "b2")},
			[]string{"a.log", "b.log"}, Reader{Tail: 1}, "a3"},
		{"the last ones, of all files together", map[string]string{"a.log": lineAt(1, "a1") + lineAt(5, "a5"), "b.log": lineAt(2, "b2") + lineAt(3, "b3") + lineAt(4, "b4")},
			[]string{"a.log", "b.log"}, Reader{Tail: 3}, "b3 b4 a5"},
		{"more than there are", map[string]string{"a.log": lineAt(1, "a1") + lineAt(2, "a2")}, []string{"a.log"}, Reader{Tail: 100}, "a1 a2"},
		{"the last ones of many", map[string]string{"a.log": strings.Repeat(lineAt(1, "a1"), 1000) + lineAt(2, "a2")}, []string{"a.log"}, Reader{Tail: 2}, "a1 a2"},
		{"the last ones, out of order", map[string]string{"a.log": lineAt(3, "a3") + lineAt(1, "a1") + lineAt(2, "a2")}, []string{"a.log"}, Reader{Tail: 2}, "a2 a3"},

		{"match", map[string]string{"a.log": lineAt(1, "a1") + lineAt(2, "b2") + lineAt(3, "a3")},
			[]string{"a.log"}, Reader{Tail: -1, Match: func(l *Line) bool { return l.Server == "a" }}, "a1 a3"},
		{"match, and unreadable lines", map[string]string{"a.log": lineAt(1, "a1") + "text\n" + lineAt(3, "a3")},
			[]string{"a.log"}, Reader{Tail: -1, Match: func(*Line) bool { return false }}, `"text\n"`},
		{"the last ones that match", map[string]string{"a.log": lineAt(1, "a1") + lineAt(2, "a2") + lineAt(3, "b3") + lineAt(4, "a4") + lineAt(5, "b5")},
			[]string{"a.log"}, Reader{Tail: 2, Match: func(l *Line) bool { return l.Server == "a" }}, "a2 a4"},

		{"segments", map[string]string{backup("a.log", 2): lineAt(1, "a1") + lineAt(2, "a2"), backup("a.log", 3): lineAt(3, "a3"), "a.log": lineAt(4, "a4")},
			[]string{"a.log"}, Reader{Tail: -1}, "a1 a2 a3 a4"},
		{"segments and no file", map[string]string{backup("a.log", 2): lineAt(1, "a1"), backup("a.log", 3): lineAt(3, "a3")},
			[]string{"a.log"}, Reader{Tail: -1}, "a1 a3"},
		{"out of order over segments", map[string]string{backup("a.log", 2): lineAt(1, "a1") + lineAt(3, "a3"), "a.log": lineAt(2, "a2") + lineAt(4, "a4")},
			[]string{"a.log"}, Reader{Tail: -1}, "a1 a2 a3 a4"},
		{"segments of others", map[string]string{
			"a.log": lineAt(9, "a9"), backup("a-b.log", 1): lineAt(1, "b1"), "a-b.log": lineAt(2, "b2"), backup("aa.log", 1): lineAt(1, "aa1"),
			backup("a.txt", 1): lineAt(1, "txt"), "a-old.log": lineAt(1, "old"), "a.log.gz": lineAt(1, "gz"),
		}, []string{"a.log"}, Reader{Tail: -1}, "a9"},
		{"a name without an extension", map[string]string{backup("a", 2): lineAt(1, "a1"), "a": lineAt(3, "a3")}, []string{"a"}, Reader{Tail: -1}, "a1 a3"},
		{"a name with several", map[string]string{backup("a.b.log", 2): lineAt(1, "a1"), "a.b.log": lineAt(3, "a3")}, []string{"a.b.log"}, Reader{Tail: -1}, "a1 a3"},
		{"the last ones, over segments", map[string]string{backup("a.log", 2): lineAt(1, "a1") + lineAt(2, "a2"), backup("a.log", 3): lineAt(3, "a3"), "a.log": lineAt(4, "a4")},
			[]string{"a.log"}, Reader{Tail: 3}, "a2 a3 a4"},
		{"the last ones, of the last segment", map[string]string{backup("a.log", 2): lineAt(1, "a1"), "a.log": lineAt(3, "a3") + lineAt(4, "a4")},
			[]string{"a.log"}, Reader{Tail: 1}, "a4"},
		{"the last ones, and the last segment is empty", map[string]string{backup("a.log", 2): lineAt(1, "a1") + lineAt(2, "a2"), "a.log": ""},
			[]string{"a.log"}, Reader{Tail: 1}, "a2"},
		{"the last ones that match, over segments", map[string]string{backup("a.log", 2): lineAt(1, "a1") + lineAt(2, "b2"), backup("a.log", 3): lineAt(3, "b3"), "a.log": lineAt(4, "b4")},
			[]string{"a.log"}, Reader{Tail: 1, Match: func(l *Line) bool { return l.Server == "a" }}, "a1"},
		{"more than there are, over segments", map[string]string{backup("a.log", 2): lineAt(1, "a1"), "a.log": lineAt(3, "a3")}, []string{"a.log"}, Reader{Tail: 100}, "a1 a3"},
		{"since, over segments", map[string]string{backup("a.log", 2): lineAt(1, "a1") + lineAt(2, "a2"), backup("a.log", 3): lineAt(3, "a3"), "a.log": lineAt(4, "a4")},
			[]string{"a.log"}, Reader{Tail: -1, Since: at(2)}, "a2 a3 a4"},
		{"a segment that is nothing but a part of a line", map[string]string{backup("a.log", 2): "cut o", "a.log": lineAt(3, "a3")},
			[]string{"a.log"}, Reader{Tail: -1}, `"cut o\n" a3`},
		{"a segment that ends within a line, after what is not wanted", map[string]string{backup("a.log", 2): lineAt(1, "a1") + "cut o", "a.log": lineAt(3, "a3")},
			[]string{"a.log"}, Reader{Tail: -1, Since: at(2)}, "a3"},
		{"a segment that ends within a line", map[string]string{backup("a.log", 2): lineAt(1, "a1") + `{"ts":"cut o`, "a.log": lineAt(3, "a3")},
			[]string{"a.log"}, Reader{Tail: -1}, `a1 "{\"ts\":\"cut o\n" a3`},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range test.files {
				write(t, filepath.Join(dir, name), text)
			}
			var paths []string
			for _, name := range test.read {
				paths = append(paths, filepath.Join(dir, name))
			}
			r := test.r
			r.Files = files(paths...)
			for range 2 { // a Reader may be used again
				var got []string
				err := r.Read(t.Context(), func(line []byte) error {
					got = append(got, msg(line))
					return nil
				})
				if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" || err != nil {
					t.Errorf("%v (-want +got):\n%s", err, diff)
				}
			}
		})
	}
}

// Segments that are older than what is wanted are not even opened.
func TestOldSegmentsAreLeftOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	if err := os.Mkdir(backup(path, 2), 0o700); err != nil { // whoever reads it gets an error
		t.Fatal(err)
	}
	write(t, backup(path, 4), lineAt(3, "a3")+lineAt(4, "a4"))
	write(t, path, lineAt(5, "a5")+lineAt(6, "a6"))
	for name, n := range map[string]int{backup(path, 2): 2, backup(path, 4): 4, path: 6} {
		if err := os.Chtimes(name, at(n), at(n)); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		r     Reader
		want  string
		looks int // so many lines are looked at
	}{
		{Reader{Tail: -1, Since: at(3)}, "a3 a4 a5 a6", 4},
		{Reader{Tail: -1, Since: at(5)}, "a5 a6", 2},
		{Reader{Tail: -1, Since: at(7)}, "", 0}, // the last one may get more
		{Reader{Tail: 0}, "", 4},                // once to count
		{Reader{Tail: 1}, "a6", 4},
		{Reader{Tail: 2}, "a5 a6", 4},
		{Reader{Tail: 3}, "a4 a5 a6", 8},
		{Reader{Tail: 100, Since: at(3)}, "a3 a4 a5 a6", 8},
	} {
		looked := 0
		test.r.Files = files(path)
		test.r.Match = func(*Line) bool { looked++; return true }
		var got []string
		if err := test.r.Read(t.Context(), func(line []byte) error { got = append(got, msg(line)); return nil }); err != nil {
			t.Errorf("tail %d since %v: %v", test.r.Tail, test.r.Since, err)
		}
		if strings.Join(got, " ") != test.want || looked > test.looks {
			t.Errorf("%q with %d lines looked at, want %q with %d", got, looked, test.want, test.looks)
		}
	}
}

// A path need not be written in the shortest way.
func TestReaderOfUncleanPath(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Mkdir("logs", 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("logs", "a.log")
	write(t, backup(path, 1), lineAt(1, "a1"))
	write(t, path, lineAt(2, "a2"))
	for _, name := range []string{"logs/a.log", "./logs/a.log", "logs//a.log", "logs/../logs/a.log", dir + "/logs/./a.log"} {
		var got []string
		r := &Reader{Files: files(name), Tail: -1}
		if err := r.Read(t.Context(), func(line []byte) error { got = append(got, msg(line)); return nil }); err != nil {
			t.Fatal(err)
		}
		if strings.Join(got, " ") != "a1 a2" {
			t.Errorf("%s: %q", strings.TrimPrefix(name, dir), got)
		}
	}
}

// Goroutines take the time before they write: lines are a little out of order, in each file in its own way.
func TestReaderPutsInOrder(t *testing.T) {
	dir := t.TempDir()
	rnd := rand.New(rand.NewPCG(1, 0))
	var paths []string
	want := 0
	for f := range 5 {
		path := filepath.Join(dir, fmt.Sprint(f, ".log"))
		paths = append(paths, path)
		var text strings.Builder
		const block = reorder / 2
		for b := range 10 {
			for _, n := range rnd.Perm(block) {
				text.WriteString(lineAt(b*block+n, "x"))
				want++
			}
		}
		write(t, path, text.String())
	}
	var last time.Time
	got := 0
	r := &Reader{Files: files(paths...), Tail: -1}
	err := r.Read(t.Context(), func(line []byte) error {
		l, err := ParseLine(line)
		if err != nil {
			return err
		}
		if l.Time.Before(last) {
			t.Fatalf("%v after %v", l.Time, last)
		}
		last = l.Time
		got++
		return nil
	})
	if err != nil || got != want {
		t.Errorf("%d lines, %v, want %d", got, err, want)
	}
}

func TestReaderErrors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.log")
	write(t, path, lineAt(1, "a1")+lineAt(2, "a2"))
	stop := errors.New("stop")
	asked := 0
	for _, test := range []struct {
		name string
		r    Reader
		f    func([]byte) error
		want error
	}{
		{"of who reads", Reader{Files: files(path), Tail: -1}, func([]byte) error { return stop }, stop},
		{"of who reads the last lines", Reader{Files: files(path), Tail: 1}, func([]byte) error { return stop }, stop},
		{"of who follows", Reader{Files: files(path), Tail: -1, Follow: true}, func([]byte) error { return stop }, stop},
		{"of who says which files", Reader{Files: func() ([]string, error) { return nil, stop }}, nil, stop},
		{"of who says later which files", Reader{Files: func() ([]string, error) {
			if asked++; asked > 1 {
				return nil, stop
			}
			return []string{path}, nil
		}, Follow: true}, nil, stop},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				err := test.r.Read(t.Context(), func(line []byte) error {
					calls++
					return test.f(line)
				})
				if !errors.Is(err, test.want) || calls > 1 {
					t.Errorf("%v after %d lines", err, calls)
				}
			})
		})
	}
	r := &Reader{Files: files(dir), Tail: -1} // a folder
	if err := r.Read(t.Context(), func([]byte) error { return nil }); err == nil {
		t.Error("a folder can be read as a log")
	}
}

// following is a Reader that follows, in a bubble: what it has read, and how it is ended.
type following struct {
	mu  sync.Mutex
	all []string
	end func() error
}

func follow(t *testing.T, r *Reader) *following {
	f := &following{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	r.Follow = true
	go func() {
		ended <- r.Read(ctx, func(line []byte) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.all = append(f.all, msg(line))
			return nil
		})
	}()
	f.end = sync.OnceValue(func() error { cancel(); return receive("the reader's end", ended) })
	t.Cleanup(func() {
		if err := f.end(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// read is what has been read since it was asked last, after the files have been looked at as often as it may take.
func (f *following) read() string {
	time.Sleep((discover + 2) * poll) // of the bubble's time
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { f.all = nil }()
	return strings.Join(f.all, " ")
}

func (f *following) check(t *testing.T, want string) {
	t.Helper()
	if diff := cmp.Diff(want, f.read()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFollow(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(t *testing.T, path string, r *Reader)
	}{
		{"what is there, and what comes", func(t *testing.T, path string, r *Reader) {
			write(t, path, lineAt(1, "a1"))
			f := follow(t, r)
			f.check(t, "a1")
			f.check(t, "")
			write(t, path, lineAt(2, "a2")+lineAt(3, "a3"))
			f.check(t, "a2 a3")
			write(t, path, lineAt(4, "a4"))
			f.check(t, "a4")
		}},
		{"only what comes", func(t *testing.T, path string, r *Reader) {
			write(t, path, lineAt(1, "a1"))
			r.Tail = 0
			f := follow(t, r)
			f.check(t, "")
			write(t, path, lineAt(2, "a2"))
			f.check(t, "a2")
		}},
		{"the last one, and what comes", func(t *testing.T, path string, r *Reader) {
			write(t, path, lineAt(1, "a1")+lineAt(2, "a2"))
			r.Tail = 1
			f := follow(t, r)
			f.check(t, "a2")
			write(t, path, lineAt(3, "a3")+lineAt(4, "a4"))
			f.check(t, "a3 a4")
		}},
		{"only what is wanted", func(t *testing.T, path string, r *Reader) {
			r.Since = at(2)
			r.Match = func(l *Line) bool { return l.Server == "a" }
			write(t, path, lineAt(1, "a1")+lineAt(2, "a2"))
			f := follow(t, r)
			f.check(t, "a2")
			write(t, path, lineAt(1, "a1")+lineAt(3, "b3")+lineAt(4, "a4"))
			f.check(t, "a4")
		}},
		{"a line in pieces", func(t *testing.T, path string, r *Reader) {
			f := follow(t, r)
			line := lineAt(1, "a1")
			for i := range line[:len(line)-1] {
				if i%20 == 0 {
					f.check(t, "")
				}
				write(t, path, line[i:i+1])
			}
			f.check(t, "")
			write(t, path, "\n"+lineAt(2, "a2"))
			f.check(t, "a1 a2")
		}},
		{"a file that comes later", func(t *testing.T, path string, r *Reader) {
			f := follow(t, r)
			f.check(t, "")
			write(t, path, lineAt(1, "a1"))
			f.check(t, "a1")
			write(t, path, lineAt(2, "a2"))
			f.check(t, "a2")
		}},
		{"a folder that comes later", func(t *testing.T, path string, r *Reader) {
			path = filepath.Join(filepath.Dir(path), "later", "a.log")
			r.Files = files(path)
			f := follow(t, r)
			f.check(t, "")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			f.check(t, "")
			write(t, path, lineAt(1, "a1"))
			f.check(t, "a1")
		}},
		{"a file that is known later", func(t *testing.T, path string, r *Reader) {
			other := filepath.Join(filepath.Dir(path), "b.log")
			paths := []string{path}
			var mu sync.Mutex
			r.Tail = 0 // which is for what was there at the beginning
			r.Files = func() ([]string, error) {
				mu.Lock()
				defer mu.Unlock()
				return slices.Clone(paths), nil
			}
			write(t, path, lineAt(1, "a1"))
			f := follow(t, r)
			f.check(t, "")
			write(t, backup(other, 2), lineAt(2, "b2"))
			write(t, other, lineAt(3, "b3"))
			mu.Lock()
			paths = append(paths, other)
			mu.Unlock()
			f.check(t, "b2 b3")
			mu.Lock()
			paths = nil // what is known stays so
			mu.Unlock()
			write(t, other, lineAt(4, "b4"))
			write(t, path, lineAt(5, "a5"))
			f.check(t, "b4 a5")
		}},
		{"a file that is renamed", func(t *testing.T, path string, r *Reader) {
			write(t, path, lineAt(1, "a1"))
			f := follow(t, r)
			f.check(t, "a1")
			write(t, path, lineAt(2, "a2"))
			rename(t, path, backup(path, 2))
			f.check(t, "a2")
			write(t, path, lineAt(3, "a3"))
			f.check(t, "a3")
			write(t, path, lineAt(4, "a4"))
			// Several at a time.
			rename(t, path, backup(path, 4))
			write(t, path, lineAt(5, "a5"))
			rename(t, path, backup(path, 5))
			write(t, path, "")
			rename(t, path, backup(path, 6))
			write(t, path, lineAt(7, "a7"))
			f.check(t, "a4 a5 a7")
		}},
		{"a file that ends within a line when it is renamed", func(t *testing.T, path string, r *Reader) {
			write(t, path, lineAt(1, "a1")+"cut o")
			f := follow(t, r)
			f.check(t, "a1")
			rename(t, path, backup(path, 2))
			write(t, path, lineAt(3, "a3"))
			f.check(t, `"cut o\n" a3`)
		}},
		{"a file that is removed", func(t *testing.T, path string, r *Reader) {
			write(t, path, lineAt(1, "a1"))
			f := follow(t, r)
			f.check(t, "a1")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			f.check(t, "")
			write(t, path, lineAt(2, "a2"))
			f.check(t, "a2")
		}},
		{"a file that is removed, and segments are there", func(t *testing.T, path string, r *Reader) {
			write(t, backup(path, 1), lineAt(1, "a1"))
			write(t, backup(path, 2), lineAt(2, "a2"))
			write(t, path, lineAt(3, "a3"))
			f := follow(t, r)
			f.check(t, "a1 a2 a3")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			f.check(t, "")
			write(t, path, lineAt(4, "a4"))
			f.check(t, "a4")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			write(t, path, lineAt(5, "a5"))
			rename(t, path, backup(path, 5))
			write(t, path, lineAt(6, "a6"))
			f.check(t, "a5 a6")
		}},
		{"a file that is removed at once, by a coarse clock", func(t *testing.T, path string, r *Reader) {
			write := func(t testing.TB, path, text string) {
				write(t, path, text)
				if err := os.Chtimes(path, at(0), at(0)); err != nil {
					t.Fatal(err)
				}
			}
			write(t, backup(path, 1), lineAt(1, "a1"))
			write(t, backup(path, 2), lineAt(2, "a2"))
			write(t, path, lineAt(3, "a3"))
			f := follow(t, r)
			f.check(t, "a1 a2 a3")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			f.check(t, "")
			write(t, path, lineAt(4, "a4"))
			f.check(t, "a4")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			write(t, path, lineAt(5, "a5"))
			rename(t, path, backup(path, 5))
			write(t, path, lineAt(6, "a6"))
			f.check(t, "a5 a6")
		}},
		{"old segments are removed", func(t *testing.T, path string, r *Reader) {
			write(t, backup(path, 1), lineAt(1, "a1"))
			write(t, path, lineAt(2, "a2"))
			f := follow(t, r)
			f.check(t, "a1 a2")
			rename(t, path, backup(path, 2))
			write(t, path, lineAt(3, "a3"))
			rename(t, path, backup(path, 3))
			write(t, path, lineAt(4, "a4"))
			for _, n := range []int{1, 2} { // also the one that is being read
				if err := os.Remove(backup(path, n)); err != nil {
					t.Fatal(err)
				}
			}
			f.check(t, "a3 a4")
		}},
		{"all files are removed, with the folder", func(t *testing.T, path string, r *Reader) {
			path = filepath.Join(filepath.Dir(path), "sub", "a.log")
			r.Files = files(path)
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, backup(path, 1), lineAt(1, "a1"))
			write(t, path, lineAt(2, "a2"))
			f := follow(t, r)
			f.check(t, "a1 a2")
			if err := os.RemoveAll(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
			f.check(t, "")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, path, lineAt(3, "a3"))
			f.check(t, "a3")
		}},
		{"several files", func(t *testing.T, path string, r *Reader) {
			other := filepath.Join(filepath.Dir(path), "b.log")
			r.Files = files(path, other)
			f := follow(t, r)
			f.check(t, "")
			write(t, path, lineAt(2, "a2")+lineAt(4, "a4"))
			write(t, other, lineAt(1, "b1")+lineAt(3, "b3"))
			f.check(t, "b1 a2 b3 a4")
			write(t, other, lineAt(6, "b6"))
			write(t, path, lineAt(5, "a5"))
			f.check(t, "a5 b6")
		}},
		{"until it is enough", func(t *testing.T, path string, r *Reader) {
			write(t, path, lineAt(1, "a1"))
			f := follow(t, r)
			f.check(t, "a1")
			if err := f.end(); err != nil {
				t.Error(err)
			}
			write(t, path, lineAt(2, "a2"))
			f.check(t, "")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(dir, "a.log")
				test.do(t, path, &Reader{Files: files(path), Tail: -1})
			})
		})
	}
}

func rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// A server writes, and its file is renamed again and again; who follows gets each line once.
func TestFollowOverRotations(t *testing.T) {
	dir := t.TempDir()
	names := []string{"a", "b"}
	ls := newLogs(t, Config{Files: true})
	ls.Program().Discard()
	var paths []string
	for _, name := range names {
		path := filepath.Join(dir, name+".log")
		paths = append(paths, path)
		if err := ls.Server(name).Open(File{Path: path, MaxSize: 1, MaxBackups: 1000}); err != nil {
			t.Fatal(err)
		}
	}
	const count = 12_000
	filler := strings.Repeat("x", 300)
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, name := range names {
		wg.Go(func() {
			for n := range count {
				ls.Server(name).Zap().Info(strconv.Itoa(n), zap.String("filler", filler))
				if n%500 == 0 {
					ls.Flush() // the queue is not to be full
				}
			}
			ls.Flush()
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	next := map[string]int{}
	r := &Reader{Files: files(paths...), Tail: -1, Follow: true}
	err := r.Read(ctx, func(line []byte) error {
		l, err := ParseLine(line)
		if err != nil {
			return fmt.Errorf("%w: %q", err, line)
		}
		if want := strconv.Itoa(next[l.Server]); l.Msg != want {
			return fmt.Errorf("%s says %s, want %s", l.Server, l.Msg, want)
		}
		if next[l.Server]++; next["a"] == count && next["b"] == count {
			cancel()
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) < 8 {
		t.Errorf("%d files, %v: the test is about several", len(all), err)
	}
}

// Files may be renamed just while the folder is looked at. This follows without a pause, so that it is met often.
func TestSegmentsThatChangeMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	const rotations, each = 2000, 3
	var read atomic.Int64
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for n, gone := 0, 0; n < rotations; n++ {
			for n-int(read.Load())/each > 2 { // the reader is to be near the end, where files are renamed
				if t.Failed() {
					return
				}
				runtime.Gosched()
			}
			for i := range each {
				write(t, path, lineAt(n, fmt.Sprint("a", n*each+i)))
			}
			rename(t, path, backup(path, n))
			for ; gone < int(read.Load())/each-2; gone++ { // the folder stays small
				if err := os.Remove(backup(path, gone)); err != nil {
					t.Error(err)
				}
			}
		}
		write(t, path, lineAt(rotations, "end"))
	})
	s := &source{path: path}
	defer s.close()
	for n := 0; ; {
		line, err := s.next()
		if err != nil {
			t.Fatalf("after %d lines: %v", n, err)
		}
		if line == nil {
			continue // there will be more
		}
		want := fmt.Sprint("a", n)
		if n == rotations*each {
			want = "end"
		}
		if got := msg(line); got != want {
			t.Fatalf("line %s, want %s", got, want)
		}
		if n++; want == "end" {
			return
		}
		read.Store(int64(n))
	}
}

// Old segments may be removed just while they are looked at: what is gone is gone, and no error.
func TestSegmentsThatAreRemovedMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.log")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			write(t, path, lineAt(n, fmt.Sprint("a", n)))
			rename(t, path, backup(path, n))
			if n >= 3 {
				if err := os.Remove(backup(path, n-3)); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for n := range 300 {
		last := -1
		r := &Reader{Files: files(path), Tail: []int{-1, 0, 2}[n%3]}
		err := r.Read(t.Context(), func(line []byte) error {
			got, err := strconv.Atoi(strings.TrimPrefix(msg(line), "a"))
			if err != nil || got <= last {
				return fmt.Errorf("%s after %d, %v", msg(line), last, err)
			}
			last = got
			return nil
		})
		if err != nil {
			t.Fatalf("reading %d: %v", n, err)
		}
	}
}

func TestIsBackup(t *testing.T) {
	for path, want := range map[string]string{
		"db-2026-01-02T03-04-05.678.log":                         "db.log",
		"/a/b/db-2026-01-02T03-04-05.678.log":                    "/a/b/db.log",
		"../db-2026-01-02T03-04-05.000.log":                      "../db.log",
		"a-b-2026-01-02T03-04-05.678.log":                        "a-b.log",
		"a.b-2026-01-02T03-04-05.678.log":                        "a.b.log",
		"db-2026-01-02T03-04-05.678":                             "db",
		"db-2026-01-02T03-04-05.678-2026-01-02T03-04-05.678.log": "db-2026-01-02T03-04-05.678.log",

		"db.log":                            "",
		"db-old.log":                        "",
		"-2026-01-02T03-04-05.678.log":      "",
		"db2026-01-02T03-04-05.678.log":     "",
		"db-2026-13-02T03-04-05.678.log":    "",
		"db-2026-02-30T03-04-05.678.log":    "",
		"db-2026-01-02T03-04-05.67.log":     "",
		"db-2026-01-02T03-04-05.678.log.gz": "",
		"db-2026-01-02T03:04:05.678.log":    "",
		"db-2026-01-02T03-04-05.678/db.log": "",
		"":                                  "",
		".":                                 "",
		"/":                                 "",
		"é-2026-01-02T03-04-05.678.log":     "é.log",
	} {
		if got, ok := IsBackup(path); got != want || ok != (want != "") {
			t.Errorf("%q is one of %q, %v, want %q", path, got, ok, want)
		}
	}
}

func FuzzIsBackup(f *testing.F) {
	f.Add("/a/db-2026-01-02T03-04-05.678.log")
	f.Add("-2026-01-02T03-04-05.678")
	f.Fuzz(func(t *testing.T, path string) {
		if original, ok := IsBackup(path); ok && filepath.Base(original) == "" || !ok && original != "" {
			t.Errorf("%q is one of %q, %v", path, original, ok)
		}
	})
}
