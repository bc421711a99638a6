package klogs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"

	"github.com/seed-200a7251/km/logging"
)

// klog is one for the process: no test here may be parallel.

func TestMain(m *testing.M) {
	code := m.Run()
	klog.StopFlushDaemon() // klog may have started it
	// lumberjack starts one goroutine for each rotated file, and has no way to end it.
	if err := goleak.Find(goleak.IgnoreAnyFunction("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun")); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
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

// install makes Logs that klog writes to until the test is over.
func install(t testing.TB, c logging.Config) (*logging.Logs, *lines) {
	t.Helper()
	out := &lines{}
	if c.Out == nil {
		c.Out = out
	}
	ls := logging.New(c)
	before, exit := klog.CaptureState(), klog.OsExit
	Install(ls, func(*logging.Log, error, int) { t.Error("the process would have ended") })
	t.Cleanup(func() {
		ls.Close()
		before.Restore()
		klog.OsExit = exit
	})
	return ls, out
}

// written is what has come to out since it was asked last, each line without its time.
func written(ls *logging.Logs, out *lines) string {
	ls.Flush()
	var b strings.Builder
	for line := range strings.Lines(out.take()) {
		if !strings.HasPrefix(line, "\t") && !strings.HasPrefix(line, " >") {
			_, line, _ = strings.Cut(line, " ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// entries are the lines of JSON that have come to out since it was asked last, without the times.
func entries(t testing.TB, ls *logging.Logs, out *lines) (all []map[string]any) {
	t.Helper()
	ls.Flush()
	for line := range strings.Lines(out.take()) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		delete(e, "ts")
		all = append(all, e)
	}
	return all
}

// here is FILE:LINE of the caller, as in the lines.
func here() string {
	_, file, line, _ := runtime.Caller(1)
	parts := strings.Split(file, "/")
	return fmt.Sprintf("%s:%d", strings.Join(parts[len(parts)-2:], "/"), line)
}

// inGoroutine runs f in a goroutine of its own, and waits for it. f may end the goroutine.
func inGoroutine(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

var everything = logging.Config{Level: zapcore.Level(-10), Format: logging.FormatJSON}

// infoFromElsewhere logs from this file.
func infoFromElsewhere(v int, msg string) { klog.V(klog.Level(v)).Info(msg) }
