package configfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// readJSON reads a text that is valid JSON into what YAML would be read into.
//
// JSON is YAML, by its specification, but not by the library: that takes no \/ and no surrogate pairs in strings, no
// key that is longer than 1024 characters or has its colon in the next line, and folds strings with U+2028 in them.
func readJSON(text []byte, lines lineStarts, found *problems) *yaml.Node {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber() // keeps what is written
	r := &jsonReader{decoder, text, lines, found}
	return &yaml.Node{Kind: yaml.DocumentNode, Line: 1, Content: []*yaml.Node{r.node()}}
}

type jsonReader struct {
	*json.Decoder
	text  []byte
	lines lineStarts
	found *problems
}

// node reads the next value, or key.
func (r *jsonReader) node() *yaml.Node {
	before := r.InputOffset()
	token, _ := r.Token()    // there is no error: the text is valid
	after := r.InputOffset() // the token ends here, in the line in which it began
	n := &yaml.Node{Kind: yaml.ScalarNode, Line: r.lines.at(int(after) - 1)}
	switch token := token.(type) {
	case json.Delim:
		n.Kind = yaml.SequenceNode
		if token == '{' {
			n.Kind = yaml.MappingNode
		}
		for r.More() {
			n.Content = append(n.Content, r.node()) // keys and values in turn, as in a yaml.Node
		}
		r.Token() // the end of it
	case string:
		n.Value, n.Style = token, yaml.DoubleQuotedStyle
		if strings.ContainsRune(token, utf8.RuneError) && halfPair(r.text[before:after]) {
			r.found.add(n.Line, `half of a surrogate pair stands in a text, which is no character; write both halves, as in "\ud83d\ude00"`)
		}
	case json.Number:
		n.Value = token.String()
	case bool:
		n.Value = "false"
		if token {
			n.Value = "true"
		}
	case nil:
		n.Value, n.Tag = "null", nullTag
	}
	return n
}

var (
	// wholeEscape is what could be taken for half of a pair: an escaped backslash, before a u, and a whole pair.
	wholeEscape = regexp.MustCompile(`\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..`)
	halfEscape  = regexp.MustCompile(`\\u[dD][89a-fA-F]`)
)

// halfPair reports whether a JSON string has half of a surrogate pair in it. The decoder makes U+FFFD of it: another
// text.
func halfPair(raw []byte) bool { return halfEscape.Match(wholeEscape.ReplaceAll(raw, []byte("."))) }

// meantAsJSON finds what is wrong in a text that begins like JSON, and is not. The YAML library would name a bracket
// somewhere before, and YAML's rules. It returns nil if the text does not begin like JSON.
func meantAsJSON(text []byte, lines lineStarts) *Error {
	inner, isMap := bytes.CutPrefix(bytes.TrimSpace(text), []byte("{"))
	wrong, isSyntax := errors.AsType[*json.SyntaxError](json.Unmarshal(text, new(json.RawMessage)))
	if !isMap || !bytes.HasPrefix(bytes.TrimSpace(inner), []byte(`"`)) || !isSyntax {
		return nil
	}
	// The offset is the one after the wrong character.
	line := lines.at(max(int(wrong.Offset)-1, 0))
	return &Error{line, "this is not JSON: " + wrong.Error() + "; correct it here, or at the end of the line before"}
}
