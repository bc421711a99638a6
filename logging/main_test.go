package logging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// lumberjack starts one goroutine for each rotated file, and has no way to end it.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun"))
}

// patience is how long anything may take before a test gives up. It is no expectation of speed: a busy machine is slow.
const patience = 2 * time.Minute

// receive waits for what comes from a channel, or for its end. If that does not come within patience, it ends the
// process with the stacks of all goroutines: it may be called from any.
func receive[T any](what string, c <-chan T) (value T) {
	select {
	case value = <-c:
	case <-time.After(patience):
		debug.SetTraceback("all")
		panic(fmt.Sprintf("%s: not within %v", what, patience))
	}
	return value
}

// lines is where a test's log goes.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// take returns what there is, and forgets it.
func (l *lines) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.buf.Reset()
	return l.buf.String()
}

// newLogs makes Logs that are closed when the test is over.
func newLogs(t testing.TB, c Config) *Logs {
	ls := New(c)
	t.Cleanup(ls.Close)
	return ls
}

// written is what has come to out since it was asked last, each line without its time.
func written(ls *Logs, out *lines) string {
	ls.Flush()
	return afterTime(out.take())
}

// afterTime is text of the console without the time that each line begins with.
func afterTime(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, " >") {
			_, line, _ = strings.Cut(line, " ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// oneLine is the line of JSON that f has logged; anything else than one is an error.
func oneLine(t testing.TB, f func(db *Log)) string {
	t.Helper()
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Format: FormatJSON, Level: Verbosity(127)})
	f(ls.Server("db"))
	ls.Close()
	text := out.take()
	if strings.Count(text, "\n") != 1 || !strings.HasSuffix(text, "\n") {
		t.Fatalf("not one line: %q", text)
	}
	return text
}

// keysOf are the keys of a JSON object, in their order, each as often as it is there.
func keysOf(t testing.TB, object string) (keys []string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(object))
	if token, err := d.Token(); err != nil || token != json.Delim('{') {
		t.Fatalf("not an object: %v: %s", err, object)
	}
	for d.More() {
		key, err := d.Token()
		var value json.RawMessage
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, object)
		}
		keys = append(keys, key.(string))
	}
	if _, err := d.Token(); err != nil {
		t.Fatalf("%v: %s", err, object)
	}
	if rest, err := io.ReadAll(d.Buffered()); err != nil || strings.TrimSpace(string(rest)) != "" {
		t.Fatalf("after the object comes %q, %v", rest, err)
	}
	return keys
}

// objectOf is a line of JSON as a map.
func objectOf(t testing.TB, line string) map[string]any {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(line), &object); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return object
}

// fieldsOf is the part of a line of JSON that comes after the message x.
func fieldsOf(t testing.TB, line string) string {
	t.Helper()
	if !json.Valid([]byte(line)) {
		t.Fatalf("not JSON: %s", line)
	}
	_, fields, ok := strings.Cut(line, `"msg":"x"`)
	if !ok {
		t.Fatalf("not the message x: %s", line)
	}
	return strings.TrimPrefix(strings.TrimSuffix(fields, "}\n"), ",")
}

// here is FILE:LINE of the caller, as in the lines.
func here() string {
	_, file, line, _ := runtime.Caller(1)
	parts := strings.Split(file, "/")
	return fmt.Sprintf("%s:%d", strings.Join(parts[len(parts)-2:], "/"), line)
}

// before is the line before the one at that place.
func before(place string) string {
	file, line, _ := strings.Cut(place, ":")
	n, _ := strconv.Atoi(line) // it comes from here
	return fmt.Sprintf("%s:%d", file, n-1)
}

// withoutServer is text of the console without times and servers' names: severity and what comes after the name.
func withoutServer(text string) string {
	var b strings.Builder
	for line := range strings.Lines(afterTime(text)) {
		severity, rest, _ := strings.Cut(line, " ")
		_, rest, _ = strings.Cut(rest, " ")
		b.WriteString(severity + " " + strings.TrimLeft(rest, " "))
	}
	return b.String()
}

// messages are those of a log, with spaces between.
func messages(t testing.TB, path string) string {
	t.Helper()
	var all []string
	for _, l := range linesOf(t, path) {
		all = append(all, l.Msg)
	}
	return strings.Join(all, " ")
}

// linesOf are the lines of a log in the order in which they were written, over all of its segments. Each has to be
// whole.
func linesOf(t testing.TB, path string) (all []*Line) {
	t.Helper()
	files, err := filepath.Glob(strings.TrimSuffix(path, filepath.Ext(path)) + "-*" + filepath.Ext(path))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	for _, file := range append(files, path) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			l, err := ParseLine(line)
			if err != nil || line[len(line)-1] != '\n' {
				t.Errorf("%s: not a whole line: %v: %.200q", filepath.Base(file), err, line)
				continue
			}
			all = append(all, l)
		}
	}
	return all
}

// infoFromElsewhere logs a line from this file.
func infoFromElsewhere(l logr.Logger, msg string) { l.Info(msg) }
