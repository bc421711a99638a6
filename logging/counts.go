package logging

import (
	"sync/atomic"

	"go.uber.org/zap/zapcore"
)

// Counts is how many lines a Log has got since it was made.
type Counts struct {
	// Lines that were severe enough to be written, by severity. Those of a verbosity count as Info.
	Debug, Info, Warn, Error, Fatal int64
	// Lost is how many of these did not reach the file, or Config.Out, or both, because too many were waiting already,
	// or it was closed. It excludes what Config.Brief keeps from Config.Out, and what waited in vain at the end of the
	// program.
	Lost int64
}

// Lines is the number of lines of all severities.
func (ct Counts) Lines() int64 { return ct.Debug + ct.Info + ct.Warn + ct.Error + ct.Fatal }

// Counts returns the numbers so far. They never go down.
func (l *Log) Counts() Counts {
	c := &l.counts
	lost := c.lost.Load() // read first, so that it is not more than the lines
	return Counts{
		Debug: c.debug.Load(),
		Info:  c.info.Load(),
		Warn:  c.warn.Load(),
		Error: c.err.Load(),
		Fatal: c.fatal.Load(),
		Lost:  lost,
	}
}

// counts is what Counts are made of. Each line costs one addition.
type counts struct {
	debug, info, warn, err, fatal, lost atomic.Int64
}

// add counts a line. The cases are those of severity.
func (cs *counts) add(level zapcore.Level, took bool) {
	switch {
	case level == zapcore.DebugLevel:
		cs.debug.Add(1)
	case level <= zapcore.InfoLevel:
		cs.info.Add(1)
	case level == zapcore.WarnLevel:
		cs.warn.Add(1)
	case level == zapcore.ErrorLevel:
		cs.err.Add(1)
	default:
		cs.fatal.Add(1)
	}
	if !took {
		cs.lost.Add(1)
	}
}
