package logging

import (
	"context"
	"io"
	"runtime/pprof"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Config says where the lines go and how they look. The zero value of a field means its default.
type Config struct {
	// Out receives the lines, one write each. Default: they are dropped.
	Out io.Writer
	// Format is FormatConsole (the default) or FormatJSON.
	Format Format
	// Color writes severities and server names in colour, in the console format.
	Color bool
	// Level is the least severe level that is written, for each Log that is not set otherwise. Default: info.
	Level zapcore.Level
	// Quiet keeps from the output what servers say while they start and stop (Log.SetPhase), unless a start fails. They
	// complain much about what is not there yet, and about what has been closed under them.
	Quiet bool
	// Program is the name that lines carry which belong to no server. Default: "main".
	Program string
}

// Logs is where the lines of all servers come together. Its methods may be called from several goroutines at once.
type Logs struct {
	enc      encoder
	level    zapcore.Level
	quiet    bool
	program  *Log
	unplaced atomic.Int64

	mu  sync.Mutex // guards out and all
	out io.Writer
	all map[string]*Log
}

// New returns Logs that write as c says.
func New(c Config) *Logs {
	if c.Out == nil {
		c.Out = io.Discard
	}
	if c.Program == "" {
		c.Program = "main"
	}
	ls := &Logs{enc: newEncoder(c), level: c.Level, quiet: c.Quiet, out: c.Out, all: map[string]*Log{}}
	ls.program = ls.Server(c.Program)
	return ls
}

// Server returns the Log of the named server, and makes it at the first call.
func (ls *Logs) Server(name string) *Log {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l := ls.all[name]; l != nil {
		return l
	}
	l := &Log{
		name:   name,
		logs:   ls,
		level:  zap.NewAtomicLevelAt(ls.level),
		labels: pprof.WithLabels(context.Background(), pprof.Labels(LabelKey, name)),
	}
	l.zap = zap.New(&core{logs: ls, log: l}, zap.AddCaller())
	ls.all[name] = l
	ls.enc.widen(name)
	return l
}

// Program returns the Log of the program itself: lines that belong to no server.
func (ls *Logs) Program() *Log { return ls.program }

// Place returns the Log of the goroutine that is running. If no server started it, that is the program's, and the line
// is counted as unplaced.
func (ls *Logs) Place() *Log {
	l := ls.owner()
	if l == nil {
		ls.unplaced.Add(1)
		return ls.program
	}
	return l
}

// Peek is Place without counting: to ask for a level is not to write.
func (ls *Logs) Peek() *Log {
	if l := ls.owner(); l != nil {
		return l
	}
	return ls.program
}

// owner is Owner, if that is one of ls.
func (ls *Logs) owner() *Log {
	if l := Owner(); l != nil && l.logs == ls {
		return l
	}
	return nil
}

// Unplaced is the number of lines so far that Place could give to no server.
func (ls *Logs) Unplaced() int64 { return ls.unplaced.Load() }

// MostVerbose is the lowest level of all servers: a process-wide logger has to let through that much.
func (ls *Logs) MostVerbose() zapcore.Level {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	lowest := ls.level
	for _, l := range ls.all {
		lowest = min(lowest, l.level.Level())
	}
	return lowest
}

func (ls *Logs) write(l *Log, e zapcore.Entry, fields []zapcore.Field) error {
	buf, err := ls.enc.encode(l.name, e, fields)
	if err != nil {
		return err
	}
	defer buf.Free()
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l.pass(buf.Bytes()) {
		_, err = ls.out.Write(buf.Bytes())
	}
	return err
}

// Log is one server's place in the logs. Its methods may be called from several goroutines at once.
type Log struct {
	name   string
	logs   *Logs
	level  zap.AtomicLevel
	labels context.Context // carries the pprof label; one for good, so that its pointer stays the same
	zap    *zap.Logger

	// guarded by the lock of logs
	phase Phase
	held  [][]byte
}

// Name is the server's name.
func (l *Log) Name() string { return l.name }

// Zap returns the server's logger.
func (l *Log) Zap() *zap.Logger { return l.zap }

// Level is the least severe level that is written. A change takes effect at once.
func (l *Log) Level() zap.AtomicLevel { return l.level }

// Placing returns a core for loggers of the whole process: each entry goes to the Log of the goroutine that writes it.
func (ls *Logs) Placing() zapcore.Core { return &core{logs: ls} }

// core is the zapcore.Core of one server or, if log is nil, of whichever server's goroutine uses it.
type core struct {
	logs   *Logs
	log    *Log
	fields []zapcore.Field
}

func (c *core) Enabled(level zapcore.Level) bool {
	log := c.log
	if log == nil {
		log = c.logs.Peek()
	}
	return log.level.Enabled(level)
}

func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{logs: c.logs, log: c.log, fields: append(c.fields[:len(c.fields):len(c.fields)], fields...)}
}

func (c *core) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	if len(c.fields) > 0 {
		fields = append(c.fields[:len(c.fields):len(c.fields)], fields...)
	}
	log := c.log
	if log == nil {
		log = c.logs.Place()
	}
	return c.logs.write(log, e, fields)
}

func (c *core) Sync() error { return nil }
