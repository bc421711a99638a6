package logging

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
)

// openLog makes Logs whose one server db writes to a file.
func openLog(t testing.TB, f File) (*Logs, *Log) {
	t.Helper()
	ls := newLogs(t, Config{Files: true})
	ls.Program().Discard()
	db := ls.Server("db")
	if err := db.Open(f); err != nil {
		t.Fatal(err)
	}
	return ls, db
}

// What is logged before the file is known is in it, first.
func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there")
	path := filepath.Join(dir, "db.log")
	ls := newLogs(t, Config{Files: true})
	db := ls.Server("db")
	z := db.Zap().Named("a")
	z.Info("early")
	db.Logr().Info("too")
	ls.Flush()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("something is there before Open: %v", err)
	}
	if err := db.Open(File{Path: path}); err != nil {
		t.Fatal(err)
	}
	ls.Program().Discard()
	z.Info("late")
	ls.Flush()
	if got, want := messages(t, path), "early too late"; got != want {
		t.Errorf("the file has %q, want %q", got, want)
	}
	for name, want := range map[string]os.FileMode{path: 0o600, dir: 0o700 | os.ModeDir, filepath.Dir(dir): 0o700 | os.ModeDir} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s: %v, want %v", filepath.Base(name), info.Mode(), want)
		}
	}
	ls.Close()
	z.Info("after the end")
	if got, want := messages(t, path), "early too late"; got != want {
		t.Errorf("after Close the file has %q, want %q", got, want)
	}
}

// A file is there as soon as it is known that it can be used, and nothing is to be written to it yet.
func TestOpenMakesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.log")
	ls, _ := openLog(t, File{Path: path})
	if info, err := os.Stat(path); err != nil || info.Size() != 0 {
		t.Errorf("%v, %v", info, err)
	}
	ls.Close()
}

// A path that is not absolute is looked up at once: the process may change its folder.
func TestOpenRelativePath(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	ls, db := openLog(t, File{Path: "logs/../logs/db.log"})
	t.Chdir(t.TempDir())
	db.Zap().Info("x")
	ls.Close()
	if got := messages(t, filepath.Join(dir, "logs", "db.log")); got != "x" {
		t.Errorf("the file has %q", got)
	}
}

// A file that is there is kept, with what is in it, and with the rights that it has.
func TestOpenAppends(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.log")
	for n := range 3 {
		ls, db := openLog(t, File{Path: path})
		db.Zap().Info(strconv.Itoa(n))
		ls.Close()
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if got := messages(t, path); got != "0 1 2" {
		t.Errorf("the file has %q", got)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// The line that a process wrote when it was killed is ended: the next one is to be a line of its own.
func TestOpenEndsTheLastLine(t *testing.T) {
	const whole = `{"ts":"2026-01-02T03:04:05.000000Z","level":"info","v":0,"server":"db","msg":"before"}` + "\n"
	for _, test := range []struct{ name, before, want string }{
		{"empty", "", ""},
		{"whole", whole, whole},
		{"cut off", whole + `{"ts":"2026-01-02T03`, whole + `{"ts":"2026-01-02T03` + "\n"},
		{"cut off at its end", strings.TrimSuffix(whole, "\n"), whole},
		{"one character", "{", "{\n"},
		{"nothing but an end", "\n", "\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db.log")
			if err := os.WriteFile(path, []byte(test.before), 0o600); err != nil {
				t.Fatal(err)
			}
			ls, db := openLog(t, File{Path: path})
			db.Zap().Info("after")
			ls.Close()
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			rest, ok := strings.CutPrefix(string(text), test.want)
			if l, err := ParseLine([]byte(rest)); !ok || err != nil || l.Msg != "after" {
				t.Errorf("%v: %q", err, text)
			}
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dangling := filepath.Join(dir, "dangling")
	if err := os.Symlink(filepath.Join(dir, "gone", "db.log"), dangling); err != nil {
		t.Fatal(err)
	}
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink(loop, loop); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"below a file":      filepath.Join(file, "db.log"),
		"deep below a file": filepath.Join(file, "a", "b", "db.log"),
		"a folder":          dir,
		"a device":          os.DevNull,
		"a name too long":   filepath.Join(dir, strings.Repeat("x", 300)+".log"),
		"a zero in it":      filepath.Join(dir, "a\x00b.log"),
		"a link to nowhere": dangling,
		"a link to itself":  loop,
		"none at all":       "",
		"not writable":      unwritable(t),
	} {
		t.Run(name, func(t *testing.T) {
			ls := newLogs(t, Config{Files: true})
			ls.Program().Discard()
			db := ls.Server("db")
			db.Zap().Info("early")
			err := db.Open(File{Path: path})
			if err == nil {
				t.Fatal("it can be used")
			}
			// Another file may be tried.
			good := filepath.Join(t.TempDir(), "db.log")
			if err := db.Open(File{Path: good}); err != nil {
				t.Fatal(err)
			}
			ls.Close()
			if got := messages(t, good); got != "early" {
				t.Errorf("the other file has %q", got)
			}
		})
	}
	if err := newLogs(t, Config{}).Program().Open(File{Path: filepath.Join(dir, "db.log")}); err == nil {
		t.Error("Open without Config.Files is no error")
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 3 {
		t.Errorf("something was made: %v, %v", all, err)
	}
}

// unwritable is a regular file that not even the superuser may write to, or that its mode keeps others from.
func unwritable(t *testing.T) string {
	if os.Geteuid() == 0 {
		self, err := os.Executable() // Linux lets nobody write to a program that is running
		if err != nil {
			t.Fatal(err)
		}
		return self
	}
	path := filepath.Join(t.TempDir(), "db.log")
	if err := os.WriteFile(path, nil, 0o400); err != nil {
		t.Fatal(err)
	}
	return path
}

// Two Logs may have one file: it is written by one hand.
func TestSharedFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "all.log")
	ls := newLogs(t, Config{Files: true})
	names := []string{"a", "b", "c"}
	for _, name := range names {
		ls.Server(name).Zap().Info("early")
	}
	ls.Program().Discard()
	const rounds = 300
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() {
			for n := range rounds { // also while it is opened
				ls.Server(name).Zap().Info(strconv.Itoa(n))
			}
		})
		// The same file by another name.
		if err := ls.Server(name).Open(File{Path: path[:len(dir)] + strings.Repeat("/.", i) + "/all.log"}); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	ls.Close()
	next := map[string][]string{}
	for _, l := range linesOf(t, path) {
		next[l.Server] = append(next[l.Server], l.Msg)
	}
	for _, name := range names {
		want := []string{"early"}
		for n := range rounds {
			want = append(want, strconv.Itoa(n))
		}
		// What is put while the file is being opened may come a little out of order.
		slices.Sort(want)
		got := slices.Sorted(slices.Values(next[name]))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// No line is lost that is logged while the file of another Log is taken.
func TestSharingWhileLogging(t *testing.T) {
	for range 50 {
		path := filepath.Join(t.TempDir(), "all.log")
		ls := New(Config{Files: true})
		a, b := ls.Program(), ls.Server("b")
		if err := a.Open(File{Path: path}); err != nil {
			t.Fatal(err)
		}
		const rounds = 100
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for range rounds {
					b.Zap().Info("x")
				}
			})
		}
		if err := b.Open(File{Path: path}); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		ls.Close()
		if n := len(linesOf(t, path)); n != 2*rounds {
			t.Fatalf("%d lines, want %d", n, 2*rounds)
		}
	}
}

// Who has no file loses what was kept for it, and has nothing written.
func TestDiscard(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Files: true})
	db := ls.Server("db")
	db.Zap().Info("early")
	db.Discard()
	db.Zap().Info("late")
	db.Discard() // once more does no harm
	if err := db.Open(File{Path: filepath.Join(t.TempDir(), "db.log")}); err == nil {
		t.Error("Open after Discard is no error")
	}
	if got := written(ls, out); got != "I db    early\nI db    late\n" {
		t.Errorf("shown is %q", got)
	}
	// A line that nobody gets is not even made.
	quiet := newLogs(t, Config{Files: true}).Server("db")
	if !quiet.Zap().Core().Enabled(zap.InfoLevel) {
		t.Error("lines are wanted for the file that will come")
	}
	if quiet.Discard(); quiet.Zap().Core().Enabled(zap.ErrorLevel) || quiet.Logr().Enabled() {
		t.Error("lines are wanted that go nowhere")
	}
}

// A file is renamed when it is full. No line is lost or torn by it, and not more files are kept than are to be.
func TestRotation(t *testing.T) {
	for _, test := range []struct {
		backups, size, lines int
	}{
		{100, 100, 40_000}, // all are kept
		{2, 1000, 8_000},
		{1, 1000, 8_000},
	} {
		t.Run(fmt.Sprintf("%d backups", test.backups), func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "db.log")
			ls, db := openLog(t, File{Path: path, MaxSize: 1, MaxBackups: test.backups})
			filler := strings.Repeat("x", test.size)
			for n := range test.lines {
				db.Zap().Info(strconv.Itoa(n), zap.String("filler", filler))
				if n%1000 == 0 {
					ls.Flush() // so that none is lost because the queue is full
				}
			}
			ls.Close()
			files := func() (names []string) {
				all, err := os.ReadDir(dir)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range all {
					info, err := e.Info()
					if os.IsNotExist(err) {
						continue
					}
					if err != nil {
						t.Fatal(err)
					}
					if info.Size() > 1<<20 || info.Mode() != 0o600 {
						t.Errorf("%s has %d bytes, %v", e.Name(), info.Size(), info.Mode())
					}
					if original, ok := IsBackup(filepath.Join(dir, e.Name())); e.Name() != "db.log" && (!ok || original != path) {
						t.Errorf("%s is not a backup's name", e.Name())
					}
					names = append(names, e.Name())
				}
				return names
			}
			// Old ones are removed in the background.
			for len(files()) > test.backups+1 {
			}
			all := linesOf(t, path)
			last := test.lines
			if test.backups < 100 {
				if len(files()) != test.backups+1 {
					t.Errorf("%d files, want %d", len(files()), test.backups+1)
				}
				if len(all) == 0 || len(all) == test.lines {
					t.Fatalf("%d lines of %d are there", len(all), test.lines)
				}
			} else {
				if len(all) != test.lines {
					t.Errorf("%d lines of %d are there", len(all), test.lines)
				}
				if len(files()) < 5 {
					t.Errorf("there are only %d files", len(files()))
				}
			}
			for _, l := range slices.Backward(all) {
				if last--; l.Msg != strconv.Itoa(last) {
					t.Fatalf("line %s, want %d", l.Msg, last)
				}
			}
		})
	}
}

// Much that was kept, as after a time in which the disk was full, is written at once: several files in no time. They
// are named by the millisecond.
func TestRotationInNoTime(t *testing.T) {
	for _, size := range []int{600_000, 200_000, 10_000} {
		path := filepath.Join(t.TempDir(), "db.log")
		ls := New(Config{Files: true})
		ls.Program().Discard()
		db := ls.Server("db")
		filler := strings.Repeat("x", size)
		want := 0
		for kept := size + 200; kept < queueSize; kept += size + 200 {
			db.Zap().Info(strconv.Itoa(want), zap.String("filler", filler))
			want++
		}
		if err := db.Open(File{Path: path, MaxSize: 1, MaxBackups: 100}); err != nil {
			t.Fatal(err)
		}
		ls.Close()
		all := linesOf(t, path)
		if len(all) != want {
			t.Errorf("%d bytes: %d lines, want %d", size, len(all), want)
		}
		for n, l := range all {
			if l.Msg != strconv.Itoa(n) {
				t.Fatalf("line %s, want %d", l.Msg, n)
			}
		}
	}
}

// Long lines, too, are in one file each.
func TestRotationOfLongLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.log")
	ls, db := openLog(t, File{Path: path, MaxSize: 1, MaxBackups: 100})
	const count = 30
	for n := range count {
		db.Zap().Info(strconv.Itoa(n), zap.String("filler", strings.Repeat("x", 300<<10)))
		ls.Flush()
	}
	ls.Close()
	if n := len(linesOf(t, path)); n != count {
		t.Errorf("%d lines are whole, want %d", n, count)
	}
}

// A line that is longer than a file may be is in nobody's way.
func TestLineLongerThanTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.log")
	ls, db := openLog(t, File{Path: path, MaxSize: 1, MaxBackups: 100})
	db.Zap().Info("before")
	db.Zap().Info("long", zap.String("filler", strings.Repeat("x", 3<<20)))
	db.Zap().Info("after")
	ls.Close()
	files, err := segments(path)
	if err != nil {
		t.Fatal(err)
	}
	var all string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all += string(text)
	}
	if !strings.Contains(all, `"msg":"before"`) || !strings.Contains(all, `"msg":"after"`) {
		t.Error("the lines beside it are lost")
	}
}

// A file of the former run that is full already is renamed first.
func TestOpenOfAFullFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.log")
	line := `{"ts":"2026-01-02T03:04:05.000000Z","level":"info","v":0,"server":"db","msg":"old"}` + "\n"
	if err := os.WriteFile(path, []byte(strings.Repeat(line, 2<<20/len(line))), 0o600); err != nil {
		t.Fatal(err)
	}
	ls, db := openLog(t, File{Path: path, MaxSize: 1})
	db.Zap().Info("new")
	ls.Close()
	text, err := os.ReadFile(path)
	if err != nil || strings.Count(string(text), "\n") != 1 {
		t.Errorf("%v: the file has %d lines", err, strings.Count(string(text), "\n"))
	}
	if n := len(linesOf(t, path)); n != 2<<20/len(line)+1 {
		t.Errorf("%d lines", n)
	}
}

// Without sizes there are the defaults.
func TestFileDefaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db.log")
	ls, db := openLog(t, File{Path: path})
	for range 30 {
		db.Zap().Info("x", zap.String("filler", strings.Repeat("x", 100<<10)))
	}
	ls.Close()
	files, err := segments(path)
	if err != nil || len(files) != 1 {
		t.Errorf("3 MB are in %d files, %v", len(files), err)
	}
}
