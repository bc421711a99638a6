// Package crash tells how a run that was not stopped has ended. It keeps what shows this: what the Go runtime writes
// when it ends the process, a mark that a run goes on, and how many processes the system has killed for their memory.
package crash

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/errno"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// Crash is how a run that was not stopped has ended.
type Crash struct {
	// Time is when it crashed or, if nothing was said, when it began or last logged: it ended some time after that.
	Time time.Time `json:"time"`
	// PID is which process it was, if that is known.
	PID int `json:"pid,omitempty"`
	// Server is whose goroutine ended the process, if that is known.
	Server string `json:"server,omitempty"`
	// Reason is the first line of what the runtime said, such as "panic: …". It is empty if the process was killed, or
	// ended by os.Exit, where nothing is said.
	Reason string `json:"reason,omitempty"`
	// File is where the whole of it is; empty if there is nothing more.
	File string `json:"file,omitempty"`
	// LastError is the last error near the end of the logs, where nothing was said. It need not be the cause.
	LastError *LoggedError `json:"lastError,omitempty"`
	// OutOfMemory says why the process was probably killed, if the system has killed some because memory was short.
	OutOfMemory string `json:"outOfMemory,omitempty"`
}

// LoggedError is a line of a log, of level error or above.
type LoggedError struct {
	Time    time.Time `json:"time"`
	Server  string    `json:"server"`
	Message string    `json:"message"`
}

// String is one sentence for people, without a full stop.
func (c *Crash) String() string {
	text := "the previous run"
	if c.PID != 0 {
		text += fmt.Sprintf(" (process %d)", c.PID)
	}
	at := c.Time.Local().Format(time.DateTime)
	if c.Reason == "" && c.File == "" {
		why := cmp.Or(c.OutOfMemory, "it was killed, the machine went down, or code of a server called os.Exit")
		text += fmt.Sprintf(" ended some time after %s without being stopped: %s", at, why)
		if c.LastError != nil && c.OutOfMemory == "" { // where the cause is known, it would lead astray
			text += fmt.Sprintf("; the last error near the end of its logs is from %s: %q", c.LastError.Server, c.LastError.Message)
		}
		return text
	}
	switch {
	case c.Server != "":
		text += fmt.Sprintf(" crashed in %s at %s: %s", c.Server, at, c.Reason)
	case strings.HasPrefix(c.Reason, "SIG"):
		text += fmt.Sprintf(" was ended by a signal at %s: %s", at, c.Reason)
	case c.Reason != "":
		text += fmt.Sprintf(" crashed at %s, in which server is not known: %s", at, c.Reason)
	default:
		text += fmt.Sprintf(" crashed at %s, in which server is not known", at)
	}
	if c.File != "" {
		text += "; see " + c.File
	}
	return text
}

// The files in the data folder.
const (
	// ReportFile is what the runtime writes when the process crashes. After the next start it is OldReportFile.
	ReportFile    = "crash.log"
	OldReportFile = "crash.log.1"
	// MarkFile exists during a run, and after one that was not stopped.
	MarkFile = "running.json"
)

const (
	// maxReport is how much of a report is read: a traceback may be of thousands of goroutines, but begins with the one
	// that crashed. maxLogTail is how much of each log is read from its end.
	maxReport  = 64 << 10
	maxLogTail = 256 << 10
)

// mark is what is in MarkFile.
type mark struct {
	PID   int       `json:"pid"`
	Began time.Time `json:"began"`
	// Memory has the kills up to the beginning.
	Memory *MemoryKills `json:"memory,omitempty"`
}

// Logs returns the paths of the log files that there are, or were.
type Logs func() (paths []string, err error)

// Keep has the runtime write the traceback of a crash of this process to the data folder dir, which is held, and notes
// that a run goes on. Call it before the logs are opened, whose ends it reads, and before the first server starts.
//
// found tells how the run before has ended, if that was not by a stop. An error says what of this has failed. The run
// can start all the same: found is what is known in spite of it, and Forget is to be called at the end.
func Keep(dir string, logs Logs) (found *Crash, err error) {
	labelErr := LabelTracebacks()
	found, foundErr := Last(dir, logs)
	return found, errors.Join(labelErr, foundErr, openReport(dir, found), markRun(dir))
}

// Last tells how the last run with the data folder dir has ended, if that was not by a stop. It changes nothing. The
// caller has to know that no process holds the folder: a run that goes on would be taken for a killed one.
func Last(dir string, logs Logs) (*Crash, error) {
	m, marked := readMark(dir)
	path := filepath.Join(dir, ReportFile)
	info, err := os.Stat(path)
	switch {
	case err == nil && info.Size() > 0:
		c := &Crash{Time: info.ModTime(), PID: m.PID, File: path}
		head, err := readHead(path)
		if err != nil {
			return c, fmt.Errorf("what the previous run said when it crashed cannot be read: %w; make the file readable, or remove it", err)
		}
		c.Reason, c.Server = Parse(head)
		return c, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("whether the previous run has crashed cannot be told: %w; make the data folder readable", err)
	case !marked:
		return nil, nil
	}
	c := &Crash{Time: m.Began, PID: m.PID}
	if m.Memory != nil {
		c.OutOfMemory = m.Memory.Reason()
	}
	last, at, err := lastLogged(logs, m.Began)
	if at.After(c.Time) {
		c.Time = at
	}
	c.LastError = last
	if err != nil {
		err = fmt.Errorf("the logs of the previous run, which was not stopped, cannot be read: %w; make the files readable, "+
			"or remove them", err)
	}
	return c, err
}

// openReport has the runtime write tracebacks to a new report. That of the run before, if there is one, is put
// aside, and found.File names it.
func openReport(dir string, found *Crash) error {
	path := filepath.Join(dir, ReportFile)
	wrong := func(err error) error {
		return fmt.Errorf("if this run crashes, its traceback is not kept: %w; remove what is in the way", err)
	}
	// An empty report is from a killed process: it is used again, and does not replace an older report.
	if found != nil && found.File != "" {
		old := filepath.Join(dir, OldReportFile)
		if err := os.Rename(path, old); err != nil {
			return wrong(err)
		}
		found.File = old
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return wrong(err)
	}
	defer f.Close() // the runtime has a descriptor of its own
	if err := debug.SetCrashOutput(f, debug.CrashOptions{}); err != nil {
		return wrong(fmt.Errorf("%s: %w", path, err))
	}
	return nil
}

// markRun notes that a run goes on.
func markRun(dir string) error {
	kills := CountKills()
	content, err := json.Marshal(mark{PID: os.Getpid(), Began: time.Now(), Memory: &kills})
	if err == nil {
		// It need not be written in one step: even a damaged mark exists, which tells most.
		err = os.WriteFile(filepath.Join(dir, MarkFile), append(content, '\n'), 0o600)
	}
	if err != nil {
		helps := "make the data folder writable"
		if errno.NoSpace(err) {
			helps = "free space on its disk"
		}
		return fmt.Errorf("if this run is killed, the next one will not tell: %w; %s", err, helps)
	}
	return nil
}

// readMark reads the mark of a run that goes on, or was not stopped.
func readMark(dir string) (m mark, marked bool) {
	path := filepath.Join(dir, MarkFile)
	info, err := os.Stat(path)
	if err != nil {
		return mark{}, false
	}
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &m) != nil || m.Began.IsZero() {
		return mark{Began: info.ModTime()}, true // written in part, when the process was killed or the disk full
	}
	return m, true
}

// Forget is the end of what Keep has begun: the run has ended as it should, which includes an end by force or with a
// failed server. dir is where the data folder is by now; empty if it is gone. It must not be deferred: deferred calls
// run before the runtime writes the traceback of a panic, which would be lost.
func Forget(dir string) error {
	if err := debug.SetCrashOutput(nil, debug.CrashOptions{}); err != nil {
		return err
	}
	if dir == "" {
		return nil
	}
	path := filepath.Join(dir, ReportFile)
	if info, err := os.Stat(path); err == nil {
		if info.Size() > 0 {
			return nil // another goroutine is crashing at this moment
		}
		// An empty one that stays does no harm.
		_ = os.Remove(path)
	}
	if err := os.Remove(filepath.Join(dir, MarkFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the next run will take this one for killed: %w; remove the file", err)
	}
	return nil
}

// LabelTracebacks has the runtime show, in a traceback, the labels of the goroutines, one of which is the server's
// name. Without it nothing in a traceback says which server it was. It is the default for programs whose go.mod says go
// 1.27 or later; a package cannot ask for it at build time. The runtime looks at GODEBUG each time it is set. Processes
// that this one starts inherit it, and their tracebacks are labelled, too. What the user says about it counts.
func LabelTracebacks() error {
	const setting = "tracebacklabels"
	settings := os.Getenv("GODEBUG")
	for s := range strings.SplitSeq(settings, ",") {
		if name, _, _ := strings.Cut(s, "="); name == setting {
			return nil
		}
	}
	if settings != "" {
		settings += ","
	}
	if err := os.Setenv("GODEBUG", settings+setting+"=1"); err != nil {
		return fmt.Errorf("if this run crashes, its traceback does not name the server: %w; set GODEBUG=%s=1", err, setting)
	}
	return nil
}

// readHead reads the beginning of a file.
func readHead(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxReport))
}

// lastLogged returns the last error in the ends of the logs, and the time of the last line there, of the lines since
// then. A logging.Reader would read the logs back to the beginning of the run.
func lastLogged(logs Logs, since time.Time) (last *LoggedError, at time.Time, err error) {
	paths, err := logs()
	if err != nil {
		return nil, at, err
	}
	var wrong []error
	for _, path := range paths {
		tail, err := readTail(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			wrong = append(wrong, err)
		}
		for _, text := range slices.Backward(bytes.Split(tail, []byte("\n"))) {
			l, err := logging.ParseLine(text)
			if err != nil { // such as the first line of the tail, which is cut off
				continue
			}
			if l.Time.Before(since) {
				break
			}
			if l.Time.After(at) {
				at = l.Time
			}
			if l.Threshold() >= zapcore.ErrorLevel {
				if last == nil || l.Time.After(last.Time) {
					last = &LoggedError{Time: l.Time, Server: l.Server, Message: message(l)}
				}
				break
			}
		}
	}
	return last, at, errors.Join(wrong...)
}

// readTail reads the end of a file.
func readTail(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if skip := info.Size() - maxLogTail; skip > 0 {
		if _, err := f.Seek(skip, io.SeekStart); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(io.LimitReader(f, maxLogTail))
}

// message is what an error line says, with its error.
func message(l *logging.Line) string {
	words := l.Msg
	for _, f := range l.Fields {
		// zap's and klog's name
		if value := ""; (f.Key == "error" || f.Key == "err") && json.Unmarshal(f.Value, &value) == nil {
			words += ": " + value
			break
		}
	}
	return text.FirstLine(words)
}
