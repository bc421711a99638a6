package logging

import (
	"fmt"
	"sync"

	"github.com/go-logr/logr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Sink returns a logr.LogSink for a logger of the whole process: each line goes to the Log that Place finds.
//
// severity is for process-wide loggers that hand warnings on as Info. It is asked once for each place in the code that
// logs, and is given the names of the functions that were called from there, the innermost first. What it returns is
// the severity of an Info line with verbosity 0. It may be nil.
func (ls *Logs) Sink(severity func(functions []string) zapcore.Level) logr.LogSink {
	return (&sink{logs: ls, sites: &sites{severity: severity}}).withDepths()
}

// sink is a logr.LogSink. It writes to log or, where that is nil, to the Log that Place finds.
type sink struct {
	logs   *Logs
	log    *Log
	sites  *sites
	name   string
	values []any
	depth  int     // the number of functions between Info, or Error, and the caller
	deeper []*sink // the same for each depth; see WithCallDepth
}

var (
	_ logr.LogSink          = (*sink)(nil)
	_ logr.CallDepthLogSink = (*sink)(nil)
)

// contextSites are those of loggers that know their server.
var contextSites = &sites{}

func (s *sink) Init(info logr.RuntimeInfo) { s.depth = info.CallDepth }

// find returns the Log that lines go to here. placed is false if that is the program's because none is found. A line
// asks once: where the goroutine has no label, this walks the stack.
func (s *sink) find() (log *Log, placed bool) {
	if s.log != nil {
		return s.log, true
	}
	if log = s.logs.Find(); log != nil {
		return log, true
	}
	return s.logs.program, false
}

// Enabled lets through lines that may turn out to be more severe, or may come from a file with a verbosity of its own.
// Info decides.
func (s *sink) Enabled(v int) bool {
	if v == 0 && s.sites.severity != nil {
		return true
	}
	log, _ := s.find()
	return log.maybeEnabled(Verbosity(v))
}

func (s *sink) Info(v int, msg string, keysAndValues ...any) {
	log, placed := s.find()
	level := Verbosity(v)
	unusual := v == 0 && s.sites.severity != nil
	if !unusual && !log.maybeEnabled(level) {
		return
	}
	at := s.sites.find(s.depth)
	e := zapcore.Entry{LoggerName: s.name, Message: msg, Caller: at.caller, Level: zapcore.InfoLevel}
	if unusual && at.level != zapcore.InfoLevel {
		e.Level, level = at.level, at.level
	}
	if log.enabledIn(level, at.caller.File) {
		s.write(log, placed, &e, v, nil, keysAndValues)
	}
}

func (s *sink) Error(err error, msg string, keysAndValues ...any) {
	e := zapcore.Entry{LoggerName: s.name, Message: msg, Caller: s.sites.find(s.depth).caller, Level: zapcore.ErrorLevel}
	if log, placed := s.find(); log.enabled(e.Level) {
		s.write(log, placed, &e, 0, err, keysAndValues)
	}
}

// fieldsPool has memory for the fields of a line.
var fieldsPool = sync.Pool{New: func() any { return new([]zapcore.Field) }}

func (s *sink) write(log *Log, placed bool, e *zapcore.Entry, v int, err error, keysAndValues []any) {
	if !placed {
		s.logs.unplaced.Add(1)
	}
	pooled := fieldsPool.Get().(*[]zapcore.Field)
	fs := (*pooled)[:0]
	if err != nil {
		fs = append(fs, zap.NamedError("err", err))
	}
	fs = appendFields(fs, s.values)
	fs = appendFields(fs, keysAndValues)
	// The line itself tells what could not be encoded; there is nobody else to tell.
	_ = log.write(e, v, lineEncoder, fs)
	clear(fs)
	*pooled = fs
	fieldsPool.Put(pooled)
}

func (s *sink) WithValues(keysAndValues ...any) logr.LogSink {
	c := *s
	// Not encoded yet: most loggers with values never write a line. klog's own do the same.
	c.values = append(s.values[:len(s.values):len(s.values)], keysAndValues...)
	if len(keysAndValues)%2 == 1 {
		c.values = append(c.values, missing)
	}
	c.deeper = nil
	return &c
}

func (s *sink) WithName(name string) logr.LogSink {
	c := *s
	if c.name != "" {
		c.name += "."
	}
	c.name += name
	c.deeper = nil
	return &c
}

// WithCallDepth is called by klog for each line. A process-wide sink has the results ready, to save memory.
func (s *sink) WithCallDepth(depth int) logr.LogSink {
	if to := s.depth + depth; 0 <= to && to < len(s.deeper) {
		return s.deeper[to]
	}
	c := *s
	c.depth += depth
	return &c
}

func (s *sink) withDepths() *sink {
	deeper := make([]*sink, maxFrames)
	for depth := range deeper {
		c := *s
		c.depth, c.deeper = depth, deeper
		deeper[depth] = &c
	}
	first := *deeper[0] // Init changes it
	return &first
}

// missing is logr's convention for an odd number of keys and values.
const missing = "(MISSING)"

// appendFields adds logr's keys and values as zap's fields.
func appendFields(fs []zapcore.Field, keysAndValues []any) []zapcore.Field {
	for i := 0; i < len(keysAndValues); i += 2 {
		key, ok := keysAndValues[i].(string)
		if !ok {
			key = fmt.Sprint(keysAndValues[i])
		}
		if i+1 == len(keysAndValues) {
			return append(fs, zap.String(key, missing))
		}
		fs = append(fs, field(key, keysAndValues[i+1]))
	}
	return fs
}

func field(key string, value any) zapcore.Field {
	if m, ok := value.(logr.Marshaler); ok {
		value = marshalLog(m)
	}
	if err, ok := value.(error); ok {
		return zap.NamedError(key, err)
	}
	return zap.Any(key, value)
}

// marshalLog is the value in the form in which it wants to be logged.
func marshalLog(m logr.Marshaler) (value any) {
	defer func() {
		if v := recover(); v != nil { // a nil pointer, most often
			value = panicked(v)
		}
	}()
	return m.MarshalLog()
}
