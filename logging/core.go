package logging

import (
	"go.uber.org/zap/zapcore"
)

// Placing returns a core for loggers of the whole process: each entry goes to the Log that Place finds.
func (ls *Logs) Placing() zapcore.Core { return &core{logs: ls, enc: lineEncoder} }

// core is the zapcore.Core of one server or, if log is nil, of whichever server's goroutine uses it.
type core struct {
	logs *Logs
	log  *Log
	enc  zapcore.Encoder // has the fields that were added by With
}

func (c *core) Enabled(level zapcore.Level) bool {
	log := c.log
	if log == nil {
		log = c.logs.peek()
	}
	return log.enabled(threshold(level))
}

func (c *core) With(fields []zapcore.Field) zapcore.Core {
	enc := c.enc.Clone()
	for _, f := range unreserved(harmless(fields)) {
		f.AddTo(enc)
	}
	return &core{logs: c.logs, log: c.log, enc: enc}
}

func (c *core) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	log := c.log
	if log == nil {
		log = c.logs.Place()
	}
	err := log.write(&e, 0, c.enc, fields)
	if e.Level > zapcore.ErrorLevel {
		c.logs.Flush() // the logger may end the process now, or the goroutine
	}
	return err
}

func (c *core) Sync() error {
	c.logs.Flush()
	return nil
}
