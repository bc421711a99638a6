package logging

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap/zapcore"
)

// Line is one line of a log, as it is in a file.
type Line struct {
	Time   time.Time
	Level  string // debug, info, warn, error or fatal
	V      int    // the verbosity, where Level is info
	Server string
	Logger string // may be empty, such as Caller
	Caller string
	Msg    string
	Fields []LineField // in the order in which they were written
}

// LineField is a key and a value.
type LineField struct {
	Key   string
	Value json.RawMessage
}

// ParseLine reads a line that was written as JSON. An error says what the line lacks: it was not written by this
// package, or was cut off.
func ParseLine(text []byte) (*Line, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	l := &Line{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		key, _ := t.(string) // the decoder sees to it
		if err := l.decode(d, key); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("cut off: %w", err)
	}
	if rest := text[d.InputOffset():]; len(bytes.TrimSpace(rest)) > 0 {
		return nil, errors.New("more than a JSON object")
	}
	if l.Time.IsZero() || l.Server == "" {
		return nil, errors.New("no ts or no server in it")
	}
	return l, nil
}

func (ln *Line) decode(d *json.Decoder, key string) error {
	switch key {
	case "ts":
		return d.Decode(&ln.Time)
	case "level":
		return d.Decode(&ln.Level)
	case "v":
		return d.Decode(&ln.V)
	case "server":
		return d.Decode(&ln.Server)
	case "logger":
		return d.Decode(&ln.Logger)
	case "caller":
		return d.Decode(&ln.Caller)
	case "msg":
		return d.Decode(&ln.Msg)
	}
	f := LineField{Key: key}
	if err := d.Decode(&f.Value); err != nil {
		return err
	}
	ln.Fields = append(ln.Fields, f)
	return nil
}

// Threshold is the level that a Log must have for the line to be written.
func (ln *Line) Threshold() zapcore.Level {
	switch ln.Level {
	case "debug":
		return Verbosity(debugVerbosity)
	case "info":
		return Verbosity(ln.V)
	case "warn":
		return zapcore.WarnLevel
	case "error":
		return zapcore.ErrorLevel
	}
	return zapcore.FatalLevel
}
