package logging

import (
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"
)

// Log is one server's place in the logs. Its methods may be called from several goroutines at once.
type Log struct {
	name   string
	head   string // the part of each line that names the server: `,"server":"db",`
	logs   *Logs
	labels context.Context // carries the pprof label; never replaced, so that its pointer stays the same
	zap    *zap.Logger

	level   atomic.Int32 // a zapcore.Level
	vmodule atomic.Pointer[vmodule]
	all     atomic.Bool // Config.Brief does not hold for this one
	file    atomic.Pointer[queue]
	fatal   atomic.Pointer[spoken] // the last line of fatal severity
	err     atomic.Pointer[spoken] // the last line of level error
	counts  counts

	// guarded by the lock of the display
	phase Phase
	held  [][]byte
}

func newLog(ls *Logs, name string) *Log {
	quoted, _ := json.Marshal(name) // it cannot fail for a string
	l := &Log{
		name:   name,
		head:   `,"server":` + string(quoted) + ",",
		logs:   ls,
		labels: pprof.WithLabels(context.Background(), pprof.Labels(LabelKey, name)),
	}
	l.level.Store(int32(ls.config.Level))
	l.all.Store(!ls.config.Brief)
	if ls.config.Files {
		l.file.Store(newQueue(name, ls.trouble.tell))
	}
	l.zap = zap.New(&core{logs: ls, log: l, enc: lineEncoder}, zap.AddCaller())
	return l
}

// Name is the server's name.
func (l *Log) Name() string { return l.name }

// Zap returns the server's logger.
func (l *Log) Zap() *zap.Logger { return l.zap }

// Slog returns the server's logger as one of the standard library's.
func (l *Log) Slog() *slog.Logger { return newSlog(l.zap.Core()) }

// Logr returns the server's logger as one of logr's, which Kubernetes' libraries take from a context.
func (l *Log) Logr() logr.Logger { return logr.New(&sink{logs: l.logs, log: l, sites: contextSites}) }

func newSlog(c zapcore.Core) *slog.Logger {
	// Without AddStacktraceAt each error comes with a stack.
	return slog.New(zapslog.NewHandler(c, zapslog.WithCaller(true), zapslog.AddStacktraceAt(slog.Level(math.MaxInt))))
}

// Level is the least severe level that is written.
func (l *Log) Level() zapcore.Level { return zapcore.Level(l.level.Load()) }

// SetLevel changes the level, with effect at once.
func (l *Log) SetLevel(level zapcore.Level) {
	l.level.Store(int32(level))
	l.logs.changed()
}

// SetVModule gives some source files a higher verbosity, with effect at once. text is what klog's flag vmodule takes:
// FILE=N, separated by commas, FILE being a name without its folder and without ".go", with wildcards as in path.Match.
// It holds for lines written through klog and logr, and replaces what was set before.
func (l *Log) SetVModule(text string) error {
	m, err := parseVModule(text)
	if err != nil {
		return err
	}
	l.vmodule.Store(m)
	l.logs.changed()
	return nil
}

// ShowAll has Config.Out get all that is written, even if Config.Brief is set.
func (l *Log) ShowAll() { l.all.Store(true) }

// spoken is what was logged, and when.
type spoken struct {
	time    time.Time
	message string
}

// LastFatal is the message of the last line of fatal severity, and when it was logged, or "".
func (l *Log) LastFatal() (message string, at time.Time) { return lastSpoken(&l.fatal) }

// LastError is the message of the last line of level error, and when it was logged, or "".
func (l *Log) LastError() (message string, at time.Time) { return lastSpoken(&l.err) }

func lastSpoken(p *atomic.Pointer[spoken]) (string, time.Time) {
	if s := p.Load(); s != nil {
		return s.message, s.time
	}
	return "", time.Time{}
}

// enabled reports whether a line of that threshold is written somewhere.
func (l *Log) enabled(level zapcore.Level) bool {
	return level >= zapcore.Level(l.level.Load()) && (l.file.Load() != nil || l.shown(level))
}

// maybeEnabled is enabled for a line whose source file is not known yet.
func (l *Log) maybeEnabled(level zapcore.Level) bool {
	if l.enabled(level) {
		return true
	}
	m := l.vmodule.Load()
	return m != nil && level >= m.most
}

// enabledIn is enabled for a line from that source file.
func (l *Log) enabledIn(level zapcore.Level, file string) bool {
	if l.enabled(level) {
		return true
	}
	m := l.vmodule.Load()
	return m != nil && m.enabled(level, file)
}

// shown reports whether lines of that level are for Config.Out.
func (l *Log) shown(level zapcore.Level) bool {
	if l.logs.display == nil || l.all.Load() {
		return l.logs.display != nil
	}
	return level >= zapcore.WarnLevel && (!l.logs.config.Quiet || l == l.logs.program)
}

// write writes one line. v is the verbosity of a line of info level; enc has the fields that its logger has already.
func (l *Log) write(e *zapcore.Entry, v int, enc zapcore.Encoder, fields []zapcore.Field) error {
	switch {
	case e.Level > zapcore.ErrorLevel:
		l.fatal.Store(&spoken{time.Now(), e.Message})
	case e.Level == zapcore.ErrorLevel:
		l.err.Store(&spoken{time.Now(), e.Message})
	}
	line, err := encode(l, e, v, enc, fields)
	if err != nil {
		return err
	}
	defer line.Free()
	l.put(e.Level, line.Bytes())
	return nil
}

// Record writes an entry to the server's file alone, if it is severe enough. It is for what people are shown in another
// way.
func (l *Log) Record(e zapcore.Entry, fields ...zapcore.Field) error {
	file := l.file.Load()
	if file == nil || threshold(e.Level) < l.Level() {
		return nil
	}
	line, err := encode(l, &e, 0, lineEncoder, fields)
	if err != nil {
		return err
	}
	defer line.Free()
	l.counts.add(e.Level, file.put(line.Bytes()))
	return nil
}
