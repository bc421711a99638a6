// Package configfile reads config files, strictly, and knows the line of everything in them. It knows no flag: what
// keys there may be, and what their values mean, is for others to say, who can name the line in what they say.
//
// A file is one YAML document, or JSON, and a map at the top. Its contract:
//
//   - Text is what is written, without the quotes: 1.10 is "1.10", 0644 is "0644", yes is "yes", in JSON as in YAML.
//     Nothing is a number or a truth here, so nothing is lost on the way to a flag.
//   - What is probably a mistake is an error: a key that stands twice, a second document, a tag that nobody reads, a
//     merge key, an invisible character. So is what is too much: a text longer than [MaxSize], nesting or aliases
//     without end.
//   - Each error names a line and says what to do. All are told that can be found at once: where the text is no YAML,
//     that is one.
//
// The text is in UTF-8, or in UTF-16 with the mark that says so. The YAML is that of go.yaml.in/yaml/v3, with these
// differences: characters that it takes for ends of lines, as YAML 1.1 did, and editors do not (U+0085, U+2028, U+2029)
// have to be written as escapes, so that its lines are those of an editor.
package configfile

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/seed-200a7251/km/supervisor/charset"
)

// MaxSize is the length, in bytes, of the longest text that is read. Config files have some kilobytes; what is longer
// is another file, named by mistake.
const MaxSize = 1 << 20

// maxErrors is how many errors are told at most. A file that is not meant to be a config file could have one per line.
const maxErrors = 50

// Kind is what a [Value] is.
type Kind int

const (
	// Null is no value: nothing behind the colon, or null, or ~.
	Null Kind = iota
	// Text is any other single value, be it quoted or not.
	Text
	// List is a list of values.
	List
	// Map is keys and their values.
	Map
)

// Entry is one key of a map and its value.
type Entry struct {
	// Key is the key as it is written, without quotes. It may be empty, if it is quoted in the file.
	Key string
	// Line is the line of the key, from 1.
	Line int
	Value
}

// Value is what stands behind a key, or in a list. Only the field for its Kind is set.
type Value struct {
	Kind Kind
	// ValueLine is the line where the value begins, from 1. The value of an alias (*x) begins where the alias stands;
	// what is inside of it has the lines where it is written.
	ValueLine int
	// Text is the scalar as it is written, without quotes: 1.10 is "1.10", 0644 is "0644", yes is "yes". Escapes in
	// quotes, and line breaks in block scalars (| and >), are resolved.
	Text string
	List []Value
	// Map has the entries in the order of the file. No key is in it twice.
	Map []Entry
}

// Error is what is wrong in one line of a file.
type Error struct {
	Line int // from 1
	Text string
}

// Error is the line and the text: "line 12: tag !x is not supported; remove it".
func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Text) }

// Parse reads the text of a config file. It returns the entries of the map at the top, in the order of the file; none
// if there is nothing in the text but comments.
//
// The error is an [errors.Join] of [*Error]s, in the order of their lines. There are no entries then. Whatever the text
// is, Parse does not panic, and ends: at the latest after some seconds, if a text of MaxSize has an error far down.
func Parse(text []byte) ([]Entry, error) {
	if len(text) > MaxSize {
		return nil, errors.Join(&Error{1, fmt.Sprintf("the file has %d bytes, and at most %d are read; name a config file",
			len(text), MaxSize)})
	}
	text, err := charset.Decode(text)
	if err != nil {
		return nil, errors.Join(&Error{1, err.Error()})
	}
	lines := linesOf(text)
	var found problems
	var document *yaml.Node
	checkUTF8(text, lines, &found)
	switch {
	case found.any():
	case json.Valid(text):
		document = readJSON(text, lines, &found)
	default:
		document = readYAML(text, lines, &found)
	}
	var entries []Entry
	if document != nil {
		entries = (&converter{problems: &found}).top(document)
	}
	if found.any() {
		return nil, found.join()
	}
	return entries, nil
}

// problems are the errors that were found so far.
type problems struct {
	errors []*Error
	more   bool // there are more than maxErrors
}

// add adds an error. One that is known is not added again: what an alias repeats is told once.
func (pr *problems) add(line int, format string, args ...any) {
	e := &Error{line, fmt.Sprintf(format, args...)}
	switch {
	case slices.ContainsFunc(pr.errors, func(known *Error) bool { return *known == *e }):
	case len(pr.errors) == maxErrors:
		pr.more = true
	default:
		pr.errors = append(pr.errors, e)
	}
}

func (pr *problems) any() bool { return len(pr.errors) > 0 }

// join makes one error of all, in the order of their lines.
func (pr *problems) join() error {
	slices.SortStableFunc(pr.errors, func(a, b *Error) int { return cmp.Compare(a.Line, b.Line) })
	var all []error
	for _, e := range pr.errors {
		all = append(all, e)
	}
	if pr.more {
		all = append(all, &Error{pr.errors[len(pr.errors)-1].Line, "there are more errors; correct these first"})
	}
	return errors.Join(all...)
}
