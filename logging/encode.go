package logging

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap/buffer"
	"go.uber.org/zap/zapcore"
)

// Format is the shape of a line.
type Format string

const (
	// FormatConsole is for people: time, severity, server, message, key=value.
	FormatConsole Format = "console"
	// FormatJSON is one JSON object a line: ts (RFC 3339, microseconds), level, server, logger, caller, msg, then the
	// fields.
	FormatJSON Format = "json"
)

// ParseFormat reads a Format by its name.
func ParseFormat(text string) (Format, error) {
	switch f := Format(text); f {
	case FormatConsole, FormatJSON:
		return f, nil
	}
	return "", fmt.Errorf("unknown log format %q: use %s or %s", text, FormatConsole, FormatJSON)
}

type encoder interface {
	encode(server string, e zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error)
	// widen makes room for a server's name, where names are aligned.
	widen(server string)
}

func newEncoder(c Config) encoder {
	if c.Format == FormatJSON {
		return jsonEncoder{}
	}
	return &consoleEncoder{color: c.Color}
}

// jsonEncoder writes what zap's own JSON encoder writes, and the server.
type jsonEncoder struct{}

var jsonConfig = zapcore.EncoderConfig{
	TimeKey:    "ts",
	NameKey:    "logger",
	MessageKey: "msg",
	CallerKey:  "caller",
	EncodeTime: func(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
		enc.AppendString(t.Format("2006-01-02T15:04:05.000000Z07:00"))
	},
	EncodeCaller:   zapcore.ShortCallerEncoder,
	EncodeDuration: zapcore.StringDurationEncoder,
	EncodeName:     zapcore.FullNameEncoder,
	LineEnding:     zapcore.DefaultLineEnding,
}

func (jsonEncoder) encode(server string, e zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	enc := zapcore.NewJSONEncoder(jsonConfig)
	enc.AddString("level", severity(e.Level))
	if e.Level < zapcore.InfoLevel {
		enc.AddInt("v", -int(e.Level))
	}
	enc.AddString("server", server)
	return enc.EncodeEntry(e, fields)
}

func (jsonEncoder) widen(string) {}

// consoleEncoder writes lines for people.
type consoleEncoder struct {
	color bool
	width atomic.Int64
}

var (
	pool = buffer.NewPool()
	// serverColors are those of the ANSI palette that are readable on dark and on light ground; red and yellow mean
	// error and warning.
	serverColors = []int{36, 35, 34, 32, 96, 95, 94, 92}
)

func (c *consoleEncoder) widen(server string) {
	for {
		w := c.width.Load()
		if int64(len(server)) <= w || c.width.CompareAndSwap(w, int64(len(server))) {
			return
		}
	}
}

func (c *consoleEncoder) encode(server string, e zapcore.Entry, fields []zapcore.Field) (*buffer.Buffer, error) {
	b := pool.Get()
	b.AppendTime(e.Time, "15:04:05.000")
	b.AppendByte(' ')
	letter := strings.ToUpper(severity(e.Level)[:1])
	switch {
	case !c.color || e.Level < zapcore.WarnLevel:
		b.AppendString(letter)
	case e.Level == zapcore.WarnLevel:
		b.AppendString("\x1b[33m" + letter + "\x1b[0m")
	default:
		b.AppendString("\x1b[31m" + letter + "\x1b[0m")
	}
	b.AppendByte(' ')
	if c.color {
		h := fnv.New32a()
		_, _ = h.Write([]byte(server))
		b.AppendString("\x1b[" + strconv.Itoa(serverColors[h.Sum32()%uint32(len(serverColors))]) + "m")
	}
	b.AppendString(server)
	if c.color {
		b.AppendString("\x1b[0m")
	}
	for i := int64(len(server)); i < c.width.Load(); i++ {
		b.AppendByte(' ')
	}
	b.AppendString("  ")
	if e.LoggerName != "" {
		b.AppendString(e.LoggerName)
		b.AppendString(": ")
	}
	// A line of the log stays one line of the terminal, so that each carries its server's name.
	b.AppendString(strings.ReplaceAll(strings.TrimRight(e.Message, "\n"), "\n", "\n\t"))
	for _, f := range fields {
		appendField(b, f)
	}
	b.AppendByte('\n')
	return b, nil
}

// appendField writes key=value, quoted as Go does where the value is not a plain word.
func appendField(b *buffer.Buffer, f zapcore.Field) {
	m := zapcore.NewMapObjectEncoder()
	f.AddTo(m)
	for _, key := range sortedKeys(m.Fields, f.Key) {
		b.AppendByte(' ')
		b.AppendString(key)
		b.AppendByte('=')
		text, ok := m.Fields[key].(string)
		if !ok {
			text = fmt.Sprint(m.Fields[key])
		}
		if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == '"' || r == '=' || !strconv.IsPrint(r) }) {
			text = strconv.Quote(text)
		}
		b.AppendString(text)
	}
}

// sortedKeys puts the field's own key first: an error adds a second one, KEYVerbose.
func sortedKeys(m map[string]any, first string) []string {
	keys := make([]string, 0, len(m)+1)
	for k := range m {
		if k != first && k != first+"Verbose" {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	if _, ok := m[first]; ok {
		keys = slices.Insert(keys, 0, first)
	}
	return keys
}
