package configfile

import (
	"strings"
	"testing"
)

// libraryErrors are the errors of the library, each with the line that an editor shows. Most are here twice: for the
// first line, for which the library names another one or none, and for one below.
var libraryErrors = []struct {
	name, text string
	line       int
	problem    string // the library's
}{
	{"colon in a text", "a: b: c\n", 1, "mapping values are not allowed in this context"},
	{"colon in a text, below", "x: 1\na: b: c\ny: 2\n", 2, "mapping values are not allowed in this context"},
	{"deeper key after a text", "x: 1\na: b\n  c: d\n", 3, "mapping values are not allowed in this context"},
	{"no colon", "abc:d\ne: f\n", 2, "mapping values are not allowed in this context"},
	{"no colon, below", "x: 1\nabc:d\n\n\ne: f\n", 2, "could not find expected ':'"},
	{"no colon in the last line", "x: 1\nabc", 2, "could not find expected ':'"},
	{"deeper key", "a: 'x'\n  b: 2\nc: 3\n", 2, "did not find expected key"},
	{"deeper key, below", "# c\nx:\n  a: 1\n b: 2\n\n# d\nc: 3\n", 4, "did not find expected key"},
	{"list in a map", "a: 1\nb: 2\n- c\nd: 3\n", 3, "did not find expected key"},
	{"map in a list", "- a\nb: 1\n", 2, "did not find expected '-' indicator"},
	{"quote in quotes", "a: 'it's'\nb: 1\n", 1, "did not find expected key"},
	{"quote in quotes, below", "x: 1\na: 'it's'\n\n\nb: 1\n", 2, "did not find expected key"},
	{"text after quotes", "x: 1\na:\n  - 'b' c\n  - d\n", 3, "did not find expected '-' indicator"},
	{"shallower item", "a:\n  - x\n - y\nb: 3\nc: 4\n", 3, "did not find expected key"},
	{"list behind a key", "x: 1\na: - b\nc: 1\n", 2, "block sequence entries are not allowed in this context"},
	{"quote not closed", "a: \"b\nc: 3\nd: 4\n", 1, "found unexpected end of stream"},
	{"quote not closed, below", "x: 1\ny: 'z'\na: 'b\nc: 3\n", 3, "found unexpected end of stream"},
	{"quote not closed before ---", "x: 1\na: 'b\n---\nc: 3\n", 3, "found unexpected document indicator"},
	{"bracket not closed", "a: [1, 2\nb: 3\nc: 4\n", 1, "did not find expected ',' or ']'"},
	{"bracket not closed, below", "x: [1]\na: [1, 2\nb: 3\nc: 4\n", 2, "did not find expected ',' or ']'"},
	{"no comma, with brackets inside", "a: [b,\n [c,\n d],\n 'e'\n 'f']\n", 1, "did not find expected ',' or ']'"},
	{"brace not closed", "x: 1\na: {b: 1\nc: 4\nd: 5\n", 2, "did not find expected ',' or '}'"},
	{"wrong bracket", "x: 1\ny: {a: 1,\n z: [b, c}\nq: 3\n", 3, "did not find expected ',' or ']'"},
	{"bracket too many", "a: ]\nb: 1\n", 1, "did not find expected node content"},
	{"comma", "x: 1\na: ,\nb: 1\n", 2, "did not find expected node content"},
	{"@", "a: @x\nb: 1\n", 1, unstartable},
	{"@, below", "b: 1\na: @x\nc: 1\n", 2, unstartable},
	{"@ behind a tab", "a: [\n\tb,\n\t@c]\n", 3, unstartable},
	{"escape", `a: "C:\path"` + "\n", 1, "found unknown escape character"},
	{"escape, below", "x: 1\na: \"\n  C:\\path\"\n", 3, "found unknown escape character"},
	{"short escape", `a: "\u12"`, 1, "did not find expected hexdecimal number"},
	{"surrogate pair", "x: 1\n" + `a: "\ud83d\ude00"`, 2, "found invalid Unicode character escape code"},
	{"*", "a: *.log\n", 1, "did not find expected alphabetic or numeric character"},
	{"&", "x: 1\na: &\nb: 2\n", 2, "did not find expected alphabetic or numeric character"},
	{"text behind |", "x: 1\na: | y\n", 2, "did not find expected comment or line break"},
	{"tag that is not defined", "x: 1\na: !x!y z\nb: 1\n", 2, "found undefined tag handle"},
	{"tag without a name", "a: !<\n", 1, "did not find expected tag URI"},
	{"version", "# c\n%YAML 3.0\n---\na: 1\n", 2, "found incompatible YAML document"},
	{"directive", "%x\na: 1\n", 1, "found unknown directive name"},
	{"text after the end", "a: 1\n...\n\nb: 2\n", 4, "did not find expected <document start>"},
	{"text after the map", "{a: 1}\n\nb: 2\n", 3, "did not find expected <document start>"},
	{"tab", "\ta: 1\n", 1, "found a tab character that violates indentation"},
	{"tab, below", "a:\n\tb: 1\nc: 1\n", 2, "found a tab character that violates indentation"},
	{"tab after a text", "a: 1\n\tb: 1\n", 2, "found a tab character that violates indentation"},
	{"tab after a list", "a:\n  - b\n\t- c\n", 3, "found a tab character that violates indentation"},
	{"tab in a block", "x: 1\na: |\n\tb\nc: 1\n", 3, "found a tab character that violates indentation"},
	{"tab behind a dash", "a:\n- b\n-\tc: 1\n", 3, "found a tab character that violates indentation"},
}

func TestLibraryErrors(t *testing.T) {
	for _, test := range libraryErrors {
		t.Run(test.name, func(t *testing.T) {
			text := words[test.problem]
			if text == "" {
				t.Fatalf("there are no words for %q", test.problem)
			}
			mustFail(t, test.text, (&Error{test.line, text}).Error())
		})
	}
}

func TestUnknownAnchor(t *testing.T) {
	const want = ": *log stands for what has the anchor &log, and nothing before has it; put the text in quotes if it is one"
	mustFail(t, "a: *log\n", "line 1"+want)
	mustFail(t, "# *log\nb: '*log'\n\na: *log\nc: *log\nd: &log 1\n", "line 4"+want)
}

// Errors without words of ours come in the library's.
func TestOtherLibraryError(t *testing.T) {
	mustFail(t, "x: 1\na: |0\n  b\n", "line 2: this cannot be read as YAML: found an indentation indicator equal to 0; put the text in quotes if it is one")
}

// The words say what to do, so each has two parts.
func TestWords(t *testing.T) {
	for problem, text := range words {
		if !strings.Contains(text, "; ") || strings.HasSuffix(text, ".") {
			t.Errorf("%s: %q does not say what to do", problem, text)
		}
	}
}

// A text that begins as JSON is told what is wrong with it as JSON: YAML's errors name the bracket that is around.
func TestBrokenJSON(t *testing.T) {
	const rest = "; correct it here, or at the end of the line before"
	for _, test := range []struct{ name, text, want string }{
		{"no comma", "{\n  \"a\": 1,\n  \"b\": 2\n  \"c\": 3\n}\n", "line 4: this is not JSON: invalid character '\"' after object key:value pair" + rest},
		{"wrong bracket", "{\n\t\"a\": 1,\n\t\"b\": [1, 2}\n}\n", "line 3: this is not JSON: invalid character '}' after array element" + rest},
		{"not closed", "{\"a\": 1,\n\"b\": [\n", "line 2: this is not JSON: unexpected end of JSON input" + rest},
		{"two of them", "{\"a\": 1}\n{\"a\": 1}\n", "line 2: this is not JSON: invalid character '{' after top-level value" + rest},
		{"begins as YAML", "{\n a: 1,\n b: [}\n", "line 3: " + words["did not find expected node content"]},
	} {
		t.Run(test.name, func(t *testing.T) { mustFail(t, test.text, test.want) })
	}
}

// A second error is found behind the end of what could be read.
func TestErrorsBesideTheLibrarys(t *testing.T) {
	mustFail(t, "a: 1\na: 2\n---\nb: @\n", "line 2: key \"a\" stands here and in line 1; remove one of them\nline 4: "+words[unstartable])
}
