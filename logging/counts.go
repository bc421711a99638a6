package logging

import (
	"sync/atomic"

	"go.uber.org/zap/zapcore"
)

// Counts is how many lines a Log has got since it was made.
type Counts struct {
	// Those that were severe enough to be written, by the severity that they carry. Lines of a verbosity count as Info.
	Debug, Info, Warn, Error, Fatal int64
	// Lost is how many of these did not reach the file or Config.Out or both, as so many were waiting there already, or
	// as it was closed. Not in it is what Config.Brief keeps from Config.Out, and what waited in vain at the end of the
	// program.
	Lost int64
}

// Lines is the number of lines of all severities.
func (c Counts) Lines() int64 { return c.Debug + c.Info + c.Warn + c.Error + c.Fatal }

// Counts returns the numbers so far. They never go down.
func (l *Log) Counts() Counts {
	c := &l.counts
	lost := c.lost.Load() // first, so that it is not more than the lines
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
func (c *counts) add(level zapcore.Level, took bool) {
	switch {
	case level == zapcore.DebugLevel:
		c.debug.Add(1)
	case level <= zapcore.InfoLevel:
		c.info.Add(1)
	case level == zapcore.WarnLevel:
		c.warn.Add(1)
	case level == zapcore.ErrorLevel:
		c.err.Add(1)
	default:
		c.fatal.Add(1)
	}
	if !took {
		c.lost.Add(1)
	}
}
