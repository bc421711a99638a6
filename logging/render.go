package logging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode"
)

// Format is the shape of a line.
type Format string

const (
	// FormatConsole is for people: time, severity, server, message, key=value.
	FormatConsole Format = "console"
	// FormatJSON is one JSON object a line: ts (RFC 3339, microseconds), level, v, server, logger, caller, msg, then
	// the fields.
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

// Renderer turns a line of JSON into what people, or programs, read. Fields are not to be changed after the first call.
type Renderer struct {
	Format Format // default: FormatConsole
	Color  bool   // for severities and server names, in the console format
	// Date writes the day beside the time of day, in the console format.
	Date  bool
	width atomic.Int64
}

// Widen makes room for a server's name, where names are aligned.
func (rd *Renderer) Widen(server string) {
	for {
		w := rd.width.Load()
		if int64(len(server)) <= w || rd.width.CompareAndSwap(w, int64(len(server))) {
			return
		}
	}
}

// Append appends a rendered line to b. What is not a line of this package's is left as it is.
func (rd *Renderer) Append(b, line []byte) []byte {
	if rd.Format == FormatJSON {
		return append(b, line...)
	}
	l, err := ParseLine(line)
	if err != nil {
		return append(b, line...)
	}
	layout := "15:04:05.000"
	if rd.Date {
		layout = "2006-01-02 15:04:05.000"
	}
	b = l.Time.Local().AppendFormat(b, layout)
	b = append(b, ' ')
	b = rd.appendSeverity(b, l.Level)
	b = append(b, ' ')
	b = rd.appendServer(b, l.Server)
	b = append(b, "  "...)
	if l.Logger != "" {
		b = append(b, word(l.Logger)...)
		b = append(b, ": "...)
	}
	// The second and further lines of a message are indented, so that each line that begins with a time begins an
	// entry.
	b = append(b, strings.ReplaceAll(printable(strings.TrimRight(l.Msg, "\n")), "\n", "\n\t")...)
	for _, f := range l.Fields {
		b = appendValue(append(appendWord(append(b, ' '), f.Key), '='), f)
	}
	return append(b, '\n')
}

const (
	red    = 31
	yellow = 33
)

// serverColors are those of the ANSI palette that are readable on dark and on light ground; red and yellow mean error
// and warning.
var serverColors = []int{36, 35, 34, 32, 96, 95, 94, 92}

// appendSeverity appends one letter.
func (rd *Renderer) appendSeverity(b []byte, level string) []byte {
	letter := "?"
	if level != "" && 'a' <= level[0] && level[0] <= 'z' {
		letter = strings.ToUpper(level[:1])
	}
	switch level {
	case "warn":
		return rd.paint(b, yellow, letter)
	case "error", "fatal":
		return rd.paint(b, red, letter)
	}
	return append(b, letter...)
}

func (rd *Renderer) appendServer(b []byte, server string) []byte {
	h := fnv.New32a()
	_, _ = h.Write([]byte(server))
	b = rd.paint(b, serverColors[h.Sum32()%uint32(len(serverColors))], word(server))
	for i := int64(len(server)); i < rd.width.Load(); i++ {
		b = append(b, ' ')
	}
	return b
}

func (rd *Renderer) paint(b []byte, color int, text string) []byte {
	if !rd.Color {
		return append(b, text...)
	}
	b = strconv.AppendInt(append(b, "\x1b["...), int64(color), 10)
	return append(append(append(b, 'm'), text...), "\x1b[0m"...)
}

// appendValue appends a value as klog's text does: strings in quotes if they are not plain words, and text of several
// lines between < and >.
func appendValue(b []byte, f LineField) []byte {
	var text string
	if f.Value[0] == '{' {
		if ref := reference(f.Value); ref != "" {
			return appendWord(b, ref)
		}
	}
	if f.Value[0] != '"' || json.Unmarshal(f.Value, &text) != nil {
		return append(b, word(string(f.Value))...)
	}
	if strings.Contains(strings.TrimRight(text, "\n"), "\n") {
		b = append(b, "<\n\t"...)
		b = append(b, strings.ReplaceAll(printable(strings.TrimRight(text, "\n")), "\n", "\n\t")...)
		return append(b, "\n >"...)
	}
	return appendWord(b, text)
}

// appendWord appends text, in quotes if it is not a plain word.
func appendWord(b []byte, text string) []byte {
	if text == "" || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c == '"' || c == '=' || !strconv.IsPrint(c) }) {
		return strconv.AppendQuote(b, text)
	}
	return append(b, text...)
}

// reference is NAMESPACE/NAME, as klog writes a reference to an object of Kubernetes; "" if the value is no such
// reference.
func reference(value json.RawMessage) string {
	var object struct{ Name, Namespace string }
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	switch {
	case d.Decode(&object) != nil || object.Name == "":
		return ""
	case object.Namespace == "":
		return object.Name
	}
	return object.Namespace + "/" + object.Name
}

// printable is text in which nothing except tabs and ends of lines moves the cursor or changes a terminal's state.
func printable(text string) string {
	return escape(text, func(c rune) bool { return unicode.IsControl(c) && c != '\n' && c != '\t' })
}

// word is printable text on one line.
func word(text string) string { return escape(text, unicode.IsControl) }

// escape writes some letters as Go does.
func escape(text string, which func(rune) bool) string {
	if !strings.ContainsFunc(text, which) {
		return text
	}
	var b strings.Builder
	for _, c := range text {
		if which(c) {
			quoted := strconv.QuoteRune(c)
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}
