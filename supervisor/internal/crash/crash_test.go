package crash

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/logging"
)

// crashing tells TestCrashChild what to do: the name of one of the crashes, and the data folder.
const crashing = "SUPERVISOR_TEST_CRASH"

// TestCrashChild is the process that crashChild starts.
func TestCrashChild(t *testing.T) {
	how, dir, ok := strings.Cut(os.Getenv(crashing), "=")
	if !ok {
		t.Skip("it is for the other tests")
	}
	if _, err := Keep(dir, logsIn(dir)); err != nil {
		t.Fatal(err)
	}
	logs := logging.New(logging.Config{Files: true, Program: "hk"})
	db := logs.Server("db")
	if err := db.Open(logging.File{Path: filepath.Join(dir, "logs", "db.log")}); err != nil {
		t.Fatal(err)
	}
	db.Zap().Error("no print", zap.Error(errors.New("out of ink")))
	db.Zap().Info("going on")
	logs.Flush()
	if how == "none" {
		logs.Close()
		if err := Forget(dir); err != nil {
			t.Error(err)
		}
		return
	}
	db.Do(func() { go crashes[how]() })
	time.Sleep(patience)
	t.Error("it has not crashed")
}

// crashChild runs a process that crashes in the server db, and returns its process ID and what it printed.
func crashChild(t *testing.T, dir, how string, env ...string) (pid int, printed []byte) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, "-test.run=^TestCrashChild$")
	// What the race detector has to say of such code is not to come in between.
	c.Env = append(append(os.Environ(), crashing+"="+how+"="+dir, "GORACE=atexit_sleep_ms=0 log_path="+filepath.Join(dir, "race")), env...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(); (err == nil) != (how == "none") {
		t.Fatalf("the process has ended with %v:\n%s", err, &out)
	}
	return c.Process.Pid, out.Bytes()
}

// What the runtime really writes, to the file and to standard error, tells the reason and the server.
func TestCrashIsKept(t *testing.T) {
	for _, test := range []struct {
		how, reason, server string
		printed             string // the reason on standard error, where it is another one
	}{
		{"panic", "panic: out of ink", "db", ""},
		{"lines", "panic: out of ink", "db", ""},
		{"own type", `panic: crash.word("out of ink")`, "db", ""},
		{"nil pointer", "panic: runtime error: invalid memory address or nil pointer dereference", "db", ""},
		{"goexit", "panic: out of ink", "db", ""},
		{"locked", "panic: out of ink", "db", ""},
		{"in a panic", "panic: first", "db", ""},
		{"recovered", "panic: behind the first", "db", ""},
		{"again", "panic: first", "db", ""},
		{"unlabelled", "panic: out of ink", "", ""},
		// writes, or read and map write, as it happens
		{"map", "fatal error: concurrent use of a map", "db", "fatal error: concurrent map "},
		{"mutex", "fatal error: unlock of an unlocked mutex", "db", "fatal error: sync: unlock of unlocked mutex"},
		{"rw", "fatal error: unlock of an unlocked mutex", "db", "fatal error: sync: Unlock of unlocked RWMutex"},
		{"stack", "fatal error: stack overflow", "db", ""},
		{"QUIT", "SIGQUIT: quit", "", ""},
	} {
		t.Run(test.how, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			pid, printed := crashChild(t, dir, test.how)
			got, err := Last(dir, logsIn(dir))
			if err != nil || got == nil {
				t.Fatalf("%v, %v", got, err)
			}
			if age := time.Since(got.Time); age < -time.Minute || age > time.Minute {
				t.Errorf("it was at %v", got.Time)
			}
			want := &Crash{Time: got.Time, PID: pid, Server: test.server, Reason: test.reason, File: filepath.Join(dir, "crash.log")}
			if diff := cmp.Diff(want, got); diff != "" {
				text, _ := os.ReadFile(filepath.Join(dir, "crash.log"))
				t.Errorf("(-want +got):\n%s\nin\n%.3000s", diff, text)
			}
			if test.printed == "" {
				test.printed = test.reason
			}
			reason, server := Parse(printed)
			if cut, begins := strings.CutPrefix(reason, test.printed); !begins || cut != "" && !strings.HasSuffix(test.printed, " ") || server != test.server {
				t.Errorf("on standard error it is %q of %q:\n%.3000s", reason, server, printed)
			}
		})
	}
}

// A process that says nothing has been killed, or something like that.
func TestCrashWithoutTraceback(t *testing.T) {
	for _, how := range []string{"KILL", "exit"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			pid, _ := crashChild(t, dir, how)
			got, err := Last(dir, logsIn(dir))
			if err != nil || got == nil || got.LastError == nil {
				t.Fatalf("%v, %v", got, err)
			}
			want := &Crash{Time: got.Time, PID: pid, LastError: &LoggedError{got.LastError.Time, "db", "no print: out of ink"}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if m, marked := readMark(dir); !marked || m.PID != pid || !got.Time.After(m.Began) || got.Time.Before(got.LastError.Time) {
				t.Errorf("it logged last at %v; it is marked (%v) %v", got.Time, marked, m)
			}
		})
	}
}

func TestCrashAfterAnOrderlyEnd(t *testing.T) {
	dir := t.TempDir()
	crashChild(t, dir, "none")
	if c, err := Last(dir, logsIn(dir)); c != nil || err != nil {
		t.Errorf("%v, %v", c, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 || left[0] != filepath.Join(dir, "logs") {
		t.Errorf("it has left %q (%v)", left, err)
	}
}

// The next run finds the crash of the one before, puts its report aside, and keeps its own.
func TestCrashIsFoundByTheNextRun(t *testing.T) {
	dir := t.TempDir()
	first, _ := crashChild(t, dir, "panic")
	second, _ := crashChild(t, dir, "own type")
	contains(t, fileText(t, filepath.Join(dir, "crash.log.1")), "panic: out of ink")

	c := keep(t, dir)
	if c == nil || c.PID != second || c.PID == first || c.File != filepath.Join(dir, "crash.log.1") || !strings.Contains(c.Reason, "word(") {
		t.Errorf("found %+v, want that of process %d", c, second)
	}
	contains(t, fileText(t, c.File), "crash.word(")
	if info, err := os.Stat(filepath.Join(dir, "crash.log")); err != nil || info.Size() != 0 || info.Mode().Perm() != 0o600 {
		t.Errorf("the new one is %v (%v)", info, err)
	}
	if m, marked := readMark(dir); !marked || m.PID != os.Getpid() {
		t.Errorf("it is marked (%v) as %d", marked, m.PID)
	}
	if err := Forget(dir); err != nil {
		t.Error(err)
	}
	if c := keep(t, dir); c != nil {
		t.Errorf("after an orderly end there is %v", c)
	}
	contains(t, fileText(t, filepath.Join(dir, "crash.log.1")), "crash.word(")
}

// That of a run that was killed does not replace the report of an earlier one.
func TestCrashReportOutlivesAKill(t *testing.T) {
	dir := t.TempDir()
	crashChild(t, dir, "panic")
	crashChild(t, dir, "KILL")
	if c := keep(t, dir); c == nil || c.File != "" {
		t.Errorf("found %+v", c)
	}
	contains(t, fileText(t, filepath.Join(dir, "crash.log.1")), "panic: out of ink")
}

// What cannot be kept is an error, and the rest is kept.
func TestCrashThatCannotBeKept(t *testing.T) {
	t.Setenv("GODEBUG", "")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "crash.log"), "panic: out of ink\n\ngoroutine 1 [running]:\n")
	if err := os.MkdirAll(filepath.Join(dir, "crash.log.1", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := Keep(dir, logsIn(dir))
	if c == nil || c.Reason != "panic: out of ink" || c.File != filepath.Join(dir, "crash.log") {
		t.Errorf("found %+v", c)
	}
	if err == nil {
		t.Fatal("no error")
	}
	contains(t, err.Error(), "if this run crashes, its traceback is not kept: ", filepath.Join(dir, "crash.log.1"), "; remove what is in the way")
	if _, marked := readMark(dir); !marked {
		t.Error("the run is not marked")
	}
	if err := Forget(dir); err != nil {
		t.Error(err)
	}
	contains(t, fileText(t, filepath.Join(dir, "crash.log")), "out of ink")

	gone := filepath.Join(dir, "gone")
	_, err = Keep(gone, logsIn(gone))
	if err == nil {
		t.Fatal("no error without a folder")
	}
	contains(t, err.Error(), "if this run is killed, the next one will not tell: ", "; make the data folder writable")
	if err := Forget(gone); err != nil {
		t.Error(err)
	}
}

// On a disk that is full, it is space that helps.
func TestMarkOnFullDisk(t *testing.T) {
	const full = "/dev/full" // refuses each write as a full disk does
	if _, err := os.Stat(full); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(full, filepath.Join(dir, "running.json")); err != nil {
		t.Fatal(err)
	}
	err := markRun(dir)
	if err == nil {
		t.Fatal("no error on a full disk")
	}
	contains(t, err.Error(), "no space left on device; free space on its disk")
}

// A report that cannot be read tells that there was a crash.
func TestCrashReportThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "crash.log", "full"), 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := Last(dir, logsIn(dir))
	if c == nil || c.File != filepath.Join(dir, "crash.log") || err == nil {
		t.Fatalf("%v, %v", c, err)
	}
	contains(t, err.Error(), filepath.Join(dir, "crash.log"), "; make the file readable, or remove it")
	contains(t, c.String(), "crashed at ", "in which server is not known; see "+c.File)
}

// Only the ends of the logs are read, and of those only what is of the last run.
func TestCrashLastError(t *testing.T) {
	began := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	line := func(second int, level, server, rest string) string {
		at := began.Add(time.Duration(second) * time.Second).Format(logging.TimeLayout)
		return fmt.Sprintf(`{"ts":%q,"level":%q,"server":%q,%s}`+"\n", at, level, server, rest)
	}
	long := strings.Repeat(line(50, "info", "api", `"msg":"going on"`), maxLogTail/50)
	for _, test := range []struct {
		name    string
		api, db string
		want    *LoggedError
		last    int // second of the last line
	}{
		{"none", line(3, "warn", "api", `"msg":"a"`), line(2, "info", "db", `"msg":"b"`), nil, 3},
		{"the last of both", line(3, "error", "api", `"msg":"a"`) + line(4, "error", "api", `"msg":"b"`),
			line(1, "error", "db", `"msg":"c"`) + line(9, "info", "db", `"msg":"d"`), &LoggedError{began.Add(4 * time.Second), "api", "b"}, 9},
		{"with its error", line(3, "fatal", "api", `"msg":"a","err":"no\nmore","x":1`), "", &LoggedError{began.Add(3 * time.Second), "api", "a: no …"}, 3},
		{"of the run before that", line(-3, "error", "api", `"msg":"a"`), "", nil, 0},
		{"torn", line(3, "error", "api", `"msg":"a"`) + `{"ts":"2026-11-2`, "\x00\xff{}\n\n", &LoggedError{began.Add(3 * time.Second), "api", "a"}, 3},
		{"far from the end", line(3, "error", "api", `"msg":"a"`) + long, "", nil, 50},
		{"no logs", "", "", nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "running.json"), `{"pid":7,"began":"2026-11-25T10:00:00Z"}`)
			write(t, filepath.Join(dir, "logs", "api.log"), test.api)
			write(t, filepath.Join(dir, "logs", "db.log"), test.db)
			got, err := Last(dir, logsIn(dir))
			if err != nil {
				t.Fatal(err)
			}
			want := &Crash{PID: 7, Time: began.Add(time.Duration(test.last) * time.Second), LastError: test.want}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A mark that was written in part is one.
func TestCrashMarkThatIsDamaged(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", `{"pid":`, "{}"} {
		write(t, filepath.Join(dir, "running.json"), text)
		if c, err := Last(dir, logsIn(dir)); c == nil || err != nil || c.PID != 0 || time.Since(c.Time) > time.Minute {
			t.Errorf("with %q it is %v, %v", text, c, err)
		}
	}
}

// Of a report only the beginning is read.
func TestCrashReportThatIsLong(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "crash.log"), strings.Repeat("\n", maxReport)+"panic: out of ink\n")
	if c, err := Last(dir, logsIn(dir)); c == nil || err != nil || c.Reason != "" {
		t.Errorf("%v, %v", c, err)
	}
}

// What the user has set in GODEBUG stays, and counts.
func TestCrashLabelsKeepGODEBUG(t *testing.T) {
	for before, want := range map[string]string{
		"":                              "tracebacklabels=1",
		"gctrace=0":                     "gctrace=0,tracebacklabels=1",
		"tracebacklabels=0":             "tracebacklabels=0",
		"gctrace=0,tracebacklabels=1":   "gctrace=0,tracebacklabels=1",
		"nottracebacklabels=1,madvdont": "nottracebacklabels=1,madvdont,tracebacklabels=1",
	} {
		t.Setenv("GODEBUG", before)
		if err := LabelTracebacks(); err != nil || os.Getenv("GODEBUG") != want {
			t.Errorf("%q becomes %q, want %q (%v)", before, os.Getenv("GODEBUG"), want, err)
		}
	}
	dir := t.TempDir()
	crashChild(t, dir, "panic", "GODEBUG=tracebacklabels=0")
	if c, err := Last(dir, logsIn(dir)); err != nil || c == nil || c.Server != "" || c.Reason != "panic: out of ink" {
		t.Errorf("with no labels it is %v, %v", c, err)
	}
}

func TestCrashForPeople(t *testing.T) {
	at := time.Date(2026, 11, 25, 10, 2, 3, 0, time.Local)
	for _, test := range []struct {
		crash Crash
		want  string
	}{
		{Crash{Time: at, PID: 4711, Server: "db", Reason: "panic: out of ink", File: "/d/crash.log.1"},
			"the previous run (process 4711) crashed in db at 2026-11-25 10:02:03: panic: out of ink; see /d/crash.log.1"},
		{Crash{Time: at, Reason: "panic: out of ink", File: "/d/crash.log.1"},
			"the previous run crashed at 2026-11-25 10:02:03, in which server is not known: panic: out of ink; see /d/crash.log.1"},
		{Crash{Time: at, PID: 4711, File: "/d/crash.log.1"},
			"the previous run (process 4711) crashed at 2026-11-25 10:02:03, in which server is not known; see /d/crash.log.1"},
		{Crash{Time: at, PID: 4711, Reason: "SIGQUIT: quit", File: "/d/crash.log.1"},
			"the previous run (process 4711) was ended by a signal at 2026-11-25 10:02:03: SIGQUIT: quit; see /d/crash.log.1"},
		{Crash{Time: at, PID: 4711}, "the previous run (process 4711) ended some time after 2026-11-25 10:02:03 without being stopped: " +
			"it was killed, the machine went down, or code of a server called os.Exit"},
		{Crash{Time: at.UTC(), LastError: &LoggedError{at, "api", `no "x"`}}, "the previous run ended some time after 2026-11-25 10:02:03 without " +
			"being stopped: it was killed, the machine went down, or code of a server called os.Exit; the last error near the end " +
			`of its logs is from api: "no \"x\""`},
		{Crash{Time: at.UTC(), OutOfMemory: "memory was short", LastError: &LoggedError{at, "api", "no x"}}, "the previous run ended some time " +
			"after 2026-11-25 10:02:03 without being stopped: memory was short"},
	} {
		if got := test.crash.String(); got != test.want {
			t.Errorf("it is\n%s, want\n%s", got, test.want)
		}
	}
}

// keep is Keep for a test, with what belongs to its end.
func keep(t *testing.T, dir string) *Crash {
	t.Helper()
	t.Setenv("GODEBUG", os.Getenv("GODEBUG"))
	c, err := Keep(dir, logsIn(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Forget(dir); err != nil {
			t.Error(err)
		}
	})
	return c
}

// logsIn are the log files in a data folder.
func logsIn(dir string) Logs {
	return func() ([]string, error) { return filepath.Glob(filepath.Join(dir, "logs", "*.log")) }
}

// patience is how long anything may take before a test gives up. It is no expectation of speed: a busy machine is slow.
const patience = 2 * time.Minute

func fileText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// write writes a file and makes its folder.
func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// contains fails the test if the text lacks one of the parts.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("there is no %q in\n%s", part, text)
		}
	}
}
