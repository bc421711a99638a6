package logging

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// TimeLayout is how lines write the time: RFC 3339 with microseconds. It is in UTC, so that lines of several files can
// be put in order as text.
const TimeLayout = "2006-01-02T15:04:05.000000Z07:00"

// lineEncoder encodes a line from its message on. zap has no place for what comes before, in this order.
var lineEncoder = zapcore.NewJSONEncoder(zapcore.EncoderConfig{
	MessageKey:    "msg",
	StacktraceKey: "stacktrace",
	EncodeTime: func(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
		enc.AppendString(t.Format(TimeLayout))
	},
	EncodeDuration: zapcore.StringDurationEncoder,
	LineEnding:     zapcore.DefaultLineEnding,
})

var (
	buffers = buffer.NewPool()
	now     = time.Now
)

// encode makes the line: one JSON object with ts, level, v, server, logger, caller, msg, and then the fields.
func encode(l *Log, e *zapcore.Entry, v int, enc zapcore.Encoder, fields []zapcore.Field) (*buffer.Buffer, error) {
	rest, err := encodeRest(e, enc, fields)
	if err != nil {
		return nil, err
	}
	b := buffers.Get()
	b.AppendString(`{"ts":"`)
	t := e.Time
	if t.IsZero() {
		t = now()
	}
	b.AppendTime(t.UTC(), TimeLayout)
	b.AppendString(`","level":"`)
	b.AppendString(severity(e.Level))
	b.AppendByte('"')
	if e.Level == zapcore.InfoLevel || e.Level < zapcore.DebugLevel {
		b.AppendString(`,"v":`)
		b.AppendInt(int64(max(v, -int(e.Level))))
	}
	b.AppendString(l.head)
	if e.LoggerName != "" {
		b.AppendString(`"logger":`)
		appendString(b, e.LoggerName)
		b.AppendByte(',')
	}
	if e.Caller.Defined {
		b.AppendString(`"caller":`)
		appendCaller(b, e.Caller)
		b.AppendByte(',')
	}
	_, _ = b.Write(rest.Bytes()[1:]) // without its opening brace; it cannot fail
	rest.Free()
	return b, nil
}

// appendString appends text as a string of JSON.
func appendString(b *buffer.Buffer, text string) {
	if isPlain(text) {
		b.AppendByte('"')
		b.AppendString(text)
		b.AppendByte('"')
		return
	}
	quoted, _ := json.Marshal(text) // it cannot fail for a string
	_, _ = b.Write(quoted)
}

// isPlain reports whether JSON writes each letter of the text as it is.
func isPlain(text string) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' || c > '~' {
			return false
		}
	}
	return true
}

// appendCaller appends "FOLDER/FILE.go:LINE", as zap's ShortCallerEncoder does, but without making a string of it
// first.
func appendCaller(b *buffer.Buffer, c zapcore.EntryCaller) {
	file := c.File
	if i := strings.LastIndexByte(file, '/'); i >= 0 {
		file = file[strings.LastIndexByte(file[:i], '/')+1:]
	}
	if !isPlain(file) {
		appendString(b, c.TrimmedPath())
		return
	}
	b.AppendByte('"')
	b.AppendString(file)
	b.AppendByte(':')
	b.AppendInt(int64(c.Line))
	b.AppendByte('"')
}

// encodeRest encodes what comes behind the server. If the code of a value panics, the line is written all the same, and
// the server goes on.
func encodeRest(e *zapcore.Entry, enc zapcore.Encoder, fields []zapcore.Field) (b *buffer.Buffer, err error) {
	defer func() {
		if recover() != nil {
			b, err = enc.EncodeEntry(*e, unreserved(harmless(fields)))
		}
	}()
	return enc.EncodeEntry(*e, unreserved(fields))
}

// harmless returns the fields with a text in place of those that panic.
func harmless(fields []zapcore.Field) []zapcore.Field {
	fields = slices.Clone(fields)
	for i, f := range fields {
		func() {
			defer func() {
				if v := recover(); v != nil {
					fields[i] = zap.String(cmp.Or(f.Key, "inline"), panicked(v))
				}
			}()
			f.AddTo(lineEncoder.Clone())
		}()
	}
	return fields
}

// panicked is what stands for a value whose code panicked.
func panicked(v any) string { return fmt.Sprintf("(PANIC: %v)", v) }

// reserved reports whether each line has this key. A second value of it would hide the first one from readers of JSON.
func reserved(key string) bool {
	switch key {
	case "ts", "level", "v", "server", "logger", "caller", "msg":
		return true
	}
	return false
}

// unreserved returns the fields with other keys in place of reserved ones: fields.KEY.
func unreserved(fields []zapcore.Field) []zapcore.Field {
	if !slices.ContainsFunc(fields, func(f zapcore.Field) bool { return reserved(f.Key) || f.Type == zapcore.InlineMarshalerType }) {
		return fields
	}
	var renamed []zapcore.Field // the caller's are the caller's
	for _, f := range fields {
		if f.Type != zapcore.InlineMarshalerType {
			if reserved(f.Key) {
				f.Key = "fields." + f.Key
			}
			renamed = append(renamed, f)
			continue
		}
		// Its keys are known when it has been encoded.
		inline := zapcore.NewMapObjectEncoder()
		f.AddTo(inline)
		if !slices.ContainsFunc(slices.Collect(maps.Keys(inline.Fields)), reserved) {
			renamed = append(renamed, f)
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(inline.Fields)) {
			renamed = append(renamed, unreserved([]zapcore.Field{zap.Any(key, inline.Fields[key])})...)
		}
	}
	return renamed
}
