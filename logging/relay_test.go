package logging

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// piped is a Log as another process has it, and what it writes.
func piped(t *testing.T, level string) (*Log, *lines) {
	t.Helper()
	parsed, err := ParseLevel(level)
	if err != nil {
		t.Fatal(err)
	}
	out := &lines{}
	db := newLogs(t, Config{Files: true, Program: "db", Level: parsed}).Server("db")
	db.Zap().Info("before")
	if err := db.Pipe(out); err != nil {
		t.Fatal(err)
	}
	return db, out
}

// What one process has logged is in the other one's file to the letter, and on its screen by its level, in the same
// order.
func TestRelay(t *testing.T) {
	db, pipe := piped(t, "v=4")
	db.Zap().Named("deep").Error("an error", zap.Int("n", 1))
	db.Zap().Warn("a warning")
	db.Logr().V(4).Info("verbose")
	db.logs.Flush()
	sent := pipe.take()
	if strings.Count(sent, "\n") != 4 || !strings.Contains(sent, `"msg":"before"`) {
		t.Fatalf("not four lines, the one before Pipe among them:\n%s", sent)
	}

	screen := &lines{}
	ls := newLogs(t, Config{Out: screen, Brief: true, Files: true})
	file := filepath.Join(t.TempDir(), "db.log")
	mine := ls.Server("db") // at info: the other one's level decides
	if err := mine.Open(File{Path: file}); err != nil {
		t.Fatal(err)
	}
	mine.SetPhase(Running)
	for line := range strings.Lines(sent) {
		if err := mine.Relay([]byte(line)); err != nil {
			t.Error(err)
		}
	}
	if shown, want := written(ls, screen), "E db    deep: an error n=1\nW db    a warning\n"; shown != want {
		t.Errorf("shown is\n%swant\n%s", shown, want)
	}
	if got := messages(t, file); got != "before an error a warning verbose" {
		t.Errorf("in the file there are %s", got)
	}
	if c := mine.Counts(); c.Error != 1 || c.Warn != 1 || c.Lines() != 4 || c.Lost != 0 {
		t.Errorf("%+v", c)
	}
}

// What is no line is refused, and does not harm the lines beside it.
func TestRelayOfNoLine(t *testing.T) {
	ls := newLogs(t, Config{Files: true})
	file := filepath.Join(t.TempDir(), "db.log")
	db := ls.Server("db")
	if err := db.Open(File{Path: file}); err != nil {
		t.Fatal(err)
	}
	line := oneLine(t, func(db *Log) { db.Zap().Info("whole") })
	for _, wrong := range []string{
		"", "\n", "hello\n", "{}\n", "null\n", line[:len(line)/2], line[1:], line + line,
		strings.Replace(line, `"db"`, `"api"`, 1), strings.Replace(line, ",", ",\n", 1),
	} {
		if err := db.Relay([]byte(wrong)); err == nil {
			t.Errorf("there is no error for %q", wrong)
		}
	}
	// That its end is missing is no loss. The caller's memory behind it is the caller's.
	text := append([]byte(strings.TrimSuffix(line, "\n")), "behind"...)
	if err := db.Relay(text[:len(line)-1]); err != nil {
		t.Error(err)
	}
	if !bytes.HasSuffix(text, []byte("}behind")) {
		t.Errorf("the caller has %s", text)
	}
	if err := db.Relay([]byte(line)); err != nil {
		t.Error(err)
	}
	ls.Flush()
	if got := messages(t, file); got != "whole whole" {
		t.Errorf("in the file there are %s", got)
	}
	if c := db.Counts(); c.Info != 2 || c.Lines() != 2 {
		t.Errorf("%+v", c)
	}
}

// Each line is counted by its severity, and a lost one as lost.
func TestRelayCounts(t *testing.T) {
	ls := newLogs(t, Config{Files: true})
	db := ls.Server("db")
	for _, severity := range []string{"debug", "info", "warn", "error", "fatal"} {
		if err := db.Relay([]byte(`{"ts":"2026-01-02T03:04:05Z","level":"` + severity + `","server":"db","msg":"x"}` + "\n")); err != nil {
			t.Error(err)
		}
	}
	if got, want := db.Counts(), (Counts{Debug: 1, Info: 1, Warn: 1, Error: 1, Fatal: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	db.Discard()
	if err := db.Relay([]byte(`{"ts":"2026-01-02T03:04:05Z","level":"info","server":"db","msg":"x"}` + "\n")); err != nil {
		t.Error(err)
	}
}

// A Log without files has nothing to pipe.
func TestPipeWithoutFiles(t *testing.T) {
	if err := newLogs(t, Config{}).Server("db").Pipe(io.Discard); err == nil {
		t.Error("there is no error")
	}
}

// Whoever reads the pipe may be gone: that holds nobody up.
func TestPipeThatIsBroken(t *testing.T) {
	r, w := io.Pipe()
	_ = r.CloseWithError(errors.New("gone"))
	db := newLogs(t, Config{Files: true}).Server("db")
	if err := db.Pipe(w); err != nil {
		t.Fatal(err)
	}
	db.Zap().Info("x")
	db.logs.Flush()
}
