// Package klogs brings klog's lines, and those of Kubernetes' contextual loggers, to the loggers of package logging.
package klogs

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"github.com/go-logr/logr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"

	"github.com/seed-200a7251/km/logging"
)

// Install makes ls the destination of everything that is logged with klog in this process. klog's logger is one
// variable without a lock, so Install belongs before the first server's start. klog has nothing to flush: nothing is
// buffered here.
//
// exit is called where klog would end the process: after a line at level Fatal, and by klog.FlushAndExit. It gets the Log of
// the goroutine's server, or nil if no server started it, what was logged last at that level, and the exit code. When it
// returns, the goroutine is ended: klog's callers do not expect to go on.
func Install(ls *logging.Logs, exit func(l *logging.Log, err error, code int)) {
	s := &sink{logs: ls, fatal: &sync.Map{}}
	// Contextual: code that takes its logger from a context which carries none gets ours too, with its V and names,
	// instead of a text line from klog.
	klog.SetLoggerWithOptions(logr.New(s), klog.ContextualLogger(true))
	klog.OsExit = func(code int) {
		owner := logging.Owner()
		err := fmt.Errorf("it ended itself with exit code %d; its last lines in the log say why", code)
		if message, ok := s.fatal.Load(owner); ok {
			err = errors.New(message.(string))
		}
		exit(owner, err, code)
		runtime.Goexit()
	}
	SetVerbosity(ls)
}

// SetVerbosity sets klog's global verbosity to the highest that a server of ls asks for: klog drops what is above
// before it asks any logger. Call it again when a server's level has changed.
func SetVerbosity(ls *logging.Logs) {
	var level klog.Level
	v := max(0, -int(ls.MostVerbose()))
	// Set fails only for what is not a number.
	_ = level.Set(fmt.Sprint(v))
}

// NewContext returns ctx with the server's logger in it, where klog.FromContext finds it.
func NewContext(ctx context.Context, l *logging.Log) context.Context {
	return logr.NewContext(ctx, logr.New(&sink{log: l}))
}

// sink is a logr.LogSink. It writes to log or, where that is nil, to the Log of the goroutine that writes.
type sink struct {
	logs   *logging.Logs
	log    *logging.Log
	name   string
	values []zapcore.Field
	depth  int
	fatal  *sync.Map // the last fatal message, by the *logging.Log of its goroutine
}

var (
	_ logr.LogSink          = (*sink)(nil)
	_ logr.CallDepthLogSink = (*sink)(nil)
)

func (s *sink) Init(info logr.RuntimeInfo) { s.depth = info.CallDepth }

func (s *sink) peek() *logging.Log {
	if s.log != nil {
		return s.log
	}
	return s.logs.Peek()
}

func (s *sink) place() *logging.Log {
	if s.log != nil {
		return s.log
	}
	return s.logs.Place()
}

// Enabled lets all of verbosity 0 through that may come from klog: its warnings come as Info, too, and whether a line is
// one, Info finds out.
func (s *sink) Enabled(v int) bool { return v == 0 && s.log == nil || s.enabled(logging.Verbosity(v)) }

func (s *sink) enabled(level zapcore.Level) bool { return s.peek().Zap().Core().Enabled(level) }

func (s *sink) Info(v int, msg string, keysAndValues ...any) {
	level := logging.Verbosity(v)
	caller, said := s.caller()
	switch said {
	case "Warning":
		level = zapcore.WarnLevel
	case "Fatal":
		// Not zap's own Fatal: that ends the process before klog asks whether it may.
		level = zapcore.DPanicLevel
		if s.fatal != nil {
			s.fatal.Store(logging.Owner(), msg)
		}
	}
	if !s.enabled(level) {
		return
	}
	s.write(level, msg, caller, fields(nil, keysAndValues))
}

func (s *sink) Error(err error, msg string, keysAndValues ...any) {
	caller, _ := s.caller()
	var fs []zapcore.Field
	if err != nil {
		fs = append(fs, zap.NamedError("err", err))
	}
	s.write(zapcore.ErrorLevel, msg, caller, fields(fs, keysAndValues))
}

func (s *sink) write(level zapcore.Level, msg string, caller zapcore.EntryCaller, fs []zapcore.Field) {
	log := s.place().Zap()
	if s.name != "" {
		log = log.Named(s.name)
	}
	ce := log.WithOptions(zap.WithCaller(false)).Check(level, msg)
	if ce == nil {
		return
	}
	ce.Caller = caller
	if len(s.values) > 0 {
		fs = append(s.values[:len(s.values):len(s.values)], fs...)
	}
	ce.Write(fs...)
}

func (s *sink) WithValues(keysAndValues ...any) logr.LogSink {
	c := *s
	c.values = fields(s.values[:len(s.values):len(s.values)], keysAndValues)
	return &c
}

func (s *sink) WithName(name string) logr.LogSink {
	c := *s
	if c.name != "" {
		c.name += "."
	}
	c.name += name
	return &c
}

func (s *sink) WithCallDepth(depth int) logr.LogSink {
	c := *s
	c.depth += depth
	return &c
}

// caller finds who logged. klog hands Warning and Fatal and their kin on as Info: which it was is told by the function of
// klog's that the caller called, which is the frame just below. said is "Warning", "Fatal" or "".
func (s *sink) caller() (caller zapcore.EntryCaller, said string) {
	const own = 3 // runtime.Callers, caller, and Info or Error
	var pcs [2]uintptr
	// One frame earlier than the caller's: klog's function, if it came through klog.
	n := runtime.Callers(own+s.depth-1, pcs[:])
	frames := runtime.CallersFrames(pcs[:n])
	via, more := frames.Next()
	if !more {
		return zapcore.EntryCaller{}, ""
	}
	frame, _ := frames.Next()
	if name, ok := strings.CutPrefix(via.Function, "k8s.io/klog/v2."); ok {
		switch {
		case strings.HasPrefix(name, "Warning"):
			said = "Warning"
		case strings.HasPrefix(name, "Fatal"), strings.HasPrefix(name, "Exit"):
			said = "Fatal"
		}
	}
	return zapcore.EntryCaller{Defined: true, PC: frame.PC, File: frame.File, Line: frame.Line, Function: frame.Function}, said
}

// fields turns logr's keys and values into zap's fields, behind those given.
func fields(fs []zapcore.Field, keysAndValues []any) []zapcore.Field {
	for i := 0; i < len(keysAndValues); i += 2 {
		key, ok := keysAndValues[i].(string)
		if !ok {
			key = fmt.Sprint(keysAndValues[i])
		}
		if i+1 == len(keysAndValues) {
			// logr's convention for an odd number of arguments
			return append(fs, zap.String(key, "(MISSING)"))
		}
		fs = append(fs, field(key, keysAndValues[i+1]))
	}
	return fs
}

func field(key string, value any) zapcore.Field {
	switch v := value.(type) {
	case klog.ObjectRef: // a logr.Marshaler too, but NAMESPACE/NAME is what people look for
		return zap.String(key, v.String())
	case logr.Marshaler:
		return zap.Any(key, v.MarshalLog())
	case error:
		return zap.NamedError(key, v)
	default:
		return zap.Any(key, value)
	}
}
