package logging

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.uber.org/zap/zapcore"
)

// Pipe has the lines written to w, one JSON object each, including what was logged since the Log was made. It is for a
// process that logs through another process, whose Relay takes the lines. It belongs to Config.Files, and is called
// once for each Log.
func (l *Log) Pipe(w io.Writer) error {
	q := l.file.Load()
	if q == nil {
		return errors.New("logging: Pipe without Config.Files")
	}
	q.open(w)
	return nil
}

// Relay writes, unchanged, a line of JSON that a Log of this name in another process has made. An error says why it is
// no such line, and nothing is written then. The level counts in the other process alone.
func (l *Log) Relay(line []byte) error {
	parsed, err := ParseLine(line)
	if err != nil {
		return err
	}
	if parsed.Server != l.name {
		return fmt.Errorf("it is of %s", parsed.Server)
	}
	if !bytes.HasSuffix(line, []byte("\n")) { // its process has ended before it wrote the newline
		line = append(slices.Clip(line), '\n')
	}
	if bytes.IndexByte(line, '\n') < len(line)-1 {
		return errors.New("more than a line")
	}
	level, ok := map[string]zapcore.Level{"debug": zapcore.DebugLevel, "warn": zapcore.WarnLevel, "error": zapcore.ErrorLevel, "fatal": zapcore.DPanicLevel}[parsed.Level]
	if !ok {
		level = zapcore.InfoLevel
	}
	l.put(level, line)
	return nil
}

// put hands an encoded line on to the file and to the screen.
func (l *Log) put(level zapcore.Level, line []byte) {
	took := true
	if file := l.file.Load(); file != nil {
		took = file.put(line)
	}
	if l.shown(level) {
		took = l.logs.display.put(l, line) && took
	}
	l.counts.add(level, took)
}
