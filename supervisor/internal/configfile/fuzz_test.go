package configfile

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// Beside these seeds there are some in testdata/fuzz.
var seeds = []string{
	"", "# c\n", "---\na: 1\n...\n", "a: 1\n---\nb: 2\n", "\ufeffa: 1\r\nb: 2\r",
	"a: &x [1, 'b', \"\\u0041\"]\nb: *x\n*x : y\n", "a: &x [*x]\n", "<<: {a: 1}\na: 1\na: 2\n",
	"a: |\n  x\nb: >-\n  y\n\n  z\n# c\n", "? a\n: - b\n  - !!str c\n", "a:\n\tb: 1\n", "a: [b,\n c\nd: }\n",
	"{\"a\": [1e3, null, true, \"\\ud83d\\ude00\\/\"],\n\t\"b\": {\"c\": -1}}", "{\"a\": 1\n\"b\": 2}", "a: \u2028\x00\xff",
	"%YAML 1.1\n%TAG ! tag:x,2000:\n--- !<y> # c\n",
}

// FuzzParse checks what holds for any text: that there is no panic, that each error is about a line of the text, and
// that JSON means what it means as YAML.
func FuzzParse(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := Parse(text)
		again, errAgain := Parse(text)
		if !reflect.DeepEqual(entries, again) || !reflect.DeepEqual(err, errAgain) {
			t.Fatalf("once %s, %v; and then %s, %v", show(entries), err, show(again), errAgain)
		}
		lines := 1 + strings.Count(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n") + strings.Count(strings.ReplaceAll(string(text), "\r\n", ""), "\r")
		if err != nil {
			checkErrors(t, err, lines)
		}
		checkLines(t, Value{Kind: Map, ValueLine: 1, Map: entries}, lines)
		if !json.Valid(text) {
			return
		}
		// With a comment before it, it is not JSON. YAML does not take all that JSON does.
		if asYAML, yamlErr := Parse(append([]byte("#\n"), text...)); yamlErr == nil {
			if err != nil || !reflect.DeepEqual(withoutLines(entries), withoutLines(asYAML)) {
				t.Fatalf("as JSON it is %s, %v; as YAML %s", show(entries), err, show(asYAML))
			}
		}
	})
}

// checkErrors checks that all errors are about a line.
func checkErrors(t *testing.T, err error, lines int) {
	for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Line < 1 || e.Line > lines || e.Text == "" {
			t.Fatalf("the text has %d lines, and the error is %q", lines, err)
		}
		if !utf8.ValidString(e.Text) || strings.Contains(e.Text, "\n") {
			t.Fatalf("the error is not one line: %q", e.Text)
		}
	}
}

// checkLines checks that all of v is in a line, and that only the field for its kind is set.
func checkLines(t *testing.T, v Value, lines int) {
	if v.ValueLine < 1 || v.ValueLine > lines {
		t.Fatalf("the text has %d lines, and %s is in %d", lines, showValue(v), v.ValueLine)
	}
	if v.Kind != Text && v.Text != "" || v.Kind != List && v.List != nil || v.Kind != Map && v.Map != nil {
		t.Fatalf("it is of several kinds: %+v", v)
	}
	for _, item := range v.List {
		checkLines(t, item, lines)
	}
	for _, e := range v.Map {
		if e.Line < 1 || e.Line > lines {
			t.Fatalf("the text has %d lines, and %q is in %d", lines, e.Key, e.Line)
		}
		checkLines(t, e.Value, lines)
	}
}

// FuzzScalar checks that any text that YAML can hold is read back.
func FuzzScalar(f *testing.F) {
	for _, seed := range append(seeds, "null", "~", "it's", "a: b #c", "a:", "-", "- a", "--- ", "1.10", "a,b", "a\u00a0b", "\U000e0001\\\"") {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if utf8.ValidString(text) {
			mustReadBack(t, text)
		} else if _, err := Scalar(text); err == nil {
			t.Fatalf("%q is not UTF-8, and there is no error", text)
		}
	})
}
