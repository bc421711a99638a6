package logging

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
)

// repeatPause is how long a line is not shown again at first. The pause doubles each time that the line has come again
// meanwhile, up to maxRepeatPause.
const (
	repeatPause    = time.Minute
	maxRepeatPause = time.Hour
)

// maxRepeats is how many lines are remembered. Further ones are shown as they come: texts that are new each time do not
// repeat.
const maxRepeats = 1000

// repeats shows people once what the same place in the code says again and again, in the same words with any values,
// and then how often it was said. Guarded by the lock of the display.
type repeats map[string]*repeat

// repeat is a line that has been shown.
type repeat struct {
	pause time.Duration // until it may be shown again
	more  int           // similar lines meanwhile
}

// show shows a line, unless a similar one has been shown a moment ago. It returns false if the line is lost. The lock
// is held.
func (d *display) show(l *Log, line []byte) bool {
	parsed, err := ParseLine(line)
	if err != nil || parsed.Level == "fatal" {
		return d.queue.put(line)
	}
	key := parsed.kind()
	if r := d.repeats[key]; r != nil {
		r.more++
		return true
	}
	if len(d.repeats) == maxRepeats {
		return d.queue.put(line)
	}
	r := &repeat{pause: repeatPause}
	d.repeats[key] = r
	d.await(l, parsed, key, r)
	return d.queue.put(line)
}

// serial matches a number that differs each time, such as that of gRPC's channels: [Channel #1 SubChannel #3].
var serial = regexp.MustCompile(`#[0-9]+`)

// kind is what similar lines have in common: the place in the code and the message without serial numbers or, if the
// place is unknown, all but the time.
func (ln *Line) kind() string {
	kind := strings.Join([]string{ln.Server, ln.Level, ln.Logger, ln.Caller, ln.Msg}, " ")
	if ln.Caller != "" {
		return serial.ReplaceAllLiteralString(kind, "#")
	}
	for _, f := range ln.Fields {
		kind += " " + f.Key + "=" + string(f.Value)
	}
	return kind
}

// await tells, when the pause is over, how many similar lines there were, if any.
func (d *display) await(l *Log, line *Line, key string, r *repeat) {
	time.AfterFunc(r.pause, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if r.more == 0 {
			delete(d.repeats, key)
			return
		}
		if l.phase == Running || l.all.Load() {
			d.count(l, line, r)
		}
		r.more, r.pause = 0, min(2*r.pause, maxRepeatPause)
		d.await(l, line, key, r)
	})
}

// count shows how many similar lines there were. It is for the screen alone: the files have these lines.
func (d *display) count(l *Log, line *Line, r *repeat) {
	e := zapcore.Entry{Level: zapcore.WarnLevel, LoggerName: line.Logger,
		Message: fmt.Sprintf("%s (%d more like it within %v: the log file has them)", line.Msg, r.more, r.pause)}
	if line.Level == "error" {
		e.Level = zapcore.ErrorLevel
	}
	text, err := encode(l, &e, 0, lineEncoder, nil)
	if err != nil {
		return // there are no values in it that could not be encoded
	}
	defer text.Free()
	d.queue.put(text.Bytes())
}
