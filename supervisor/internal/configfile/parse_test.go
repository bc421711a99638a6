package configfile

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// show writes entries in one line, with the lines of keys and values behind an @.
func show(entries []Entry) string {
	var all []string
	for _, e := range entries {
		all = append(all, fmt.Sprintf("%s@%d=%s", e.Key, e.Line, showValue(e.Value)))
	}
	return strings.Join(all, " ")
}

func showValue(v Value) string {
	text := "null"
	switch v.Kind {
	case Text:
		text = fmt.Sprintf("%q", v.Text)
	case List:
		var items []string
		for _, item := range v.List {
			items = append(items, showValue(item))
		}
		text = "[" + strings.Join(items, " ") + "]"
	case Map:
		text = "{" + show(v.Map) + "}"
	}
	return fmt.Sprintf("%s@%d", text, v.ValueLine)
}

// withoutLines returns the entries with all lines being 0, for texts that are laid out differently.
func withoutLines(entries []Entry) []Entry {
	var all []Entry
	for _, e := range entries {
		all = append(all, Entry{e.Key, 0, valueWithoutLines(e.Value)})
	}
	return all
}

func valueWithoutLines(v Value) Value {
	var list []Value
	for _, item := range v.List {
		list = append(list, valueWithoutLines(item))
	}
	return Value{Kind: v.Kind, Text: v.Text, List: list, Map: withoutLines(v.Map)}
}

// parsed is what a test wants of a text.
type parsed struct{ name, text, want string }

func (p parsed) run(t *testing.T) {
	t.Run(p.name, func(t *testing.T) {
		entries, err := Parse([]byte(p.text))
		if err != nil {
			t.Fatal(err)
		}
		if got := show(entries); got != p.want {
			t.Errorf("got  %s\nwant %s", got, p.want)
		}
	})
}

func TestValues(t *testing.T) {
	for _, test := range []parsed{
		{"text is as written", "a: 1.10\nb: 0644\nc: yes\nd: 1_000\ne: 2001-01-01\nf: 0x1F\ng: True\nh: 1e3\n",
			`a@1="1.10"@1 b@2="0644"@2 c@3="yes"@3 d@4="1_000"@4 e@5="2001-01-01"@5 f@6="0x1F"@6 g@7="True"@7 h@8="1e3"@8`},
		{"quotes", "a: '1.10'\nb: \"x\\ty\"\nc: 'it''s'\nd: \"\"\ne: ''\n", `a@1="1.10"@1 b@2="x\ty"@2 c@3="it's"@3 d@4=""@4 e@5=""@5`},
		{"null", "a:\nb: null\nc: ~\nd: Null\n\ne: # c\n", `a@1=null@1 b@2=null@2 c@3=null@3 d@4=null@4 e@6=null@6`},
		{"null without a colon", "? a\n? b", `a@1=null@1 b@2=null@2`},
		{"no null", "a: 'null'\nb: \"~\"\nc: !!str null\nd: nullable\ne: !!str\n", `a@1="null"@1 b@2="~"@2 c@3="null"@3 d@4="nullable"@4 e@5=""@5`},
		{"literal block", "a: |\n  x\n   y\n\nb: |-\n  x\n", `a@1="x\n y\n"@1 b@5="x"@5`},
		{"folded block", "a: >\n  x\n  y\n\nb: >-\n\n  x\n", `a@1="x y\n"@1 b@5="\nx"@5`},
		{"several lines", "a: x\n  y\nb: \"x\n  y\"\nc:\n  x\n", `a@1="x y"@1 b@3="x y"@3 c@5="x"@6`},
		{"list", "a:\n- x\n-\n- - y\n  - z\n", `a@1=["x"@2 null@3 ["y"@4 "z"@5]@4]@2`},
		{"brackets", "a: [x, 1,\n  [y]]\nb: {c: d,\n  e: }\nf: []\ng: {}\n", `a@1=["x"@1 "1"@1 ["y"@2]@2]@1 b@3={c@3="d"@3 e@4=null@4}@3 f@5=[]@5 g@6={}@6`},
		{"map", "a:\n  b:\n    c: 1\n  d: 2\n", `a@1={b@2={c@3="1"@3}@3 d@4="2"@4}@2`},
		{"list of maps", "a:\n- b: 1\n  c: 2\n- {b: 3}\n", `a@1=[{b@2="1"@2 c@3="2"@3}@2 {b@4="3"@4}@4]@2`},
		{"tags", "a: !!str 5\nb: !!int 5\nc: !!float 5\nd: !!bool x\ne: !<tag:yaml.org,2002:str> |\n  x\n",
			`a@1="5"@1 b@2="5"@2 c@3="5"@3 d@4="x"@4 e@5="x\n"@5`},
		{"keys", "true: 1\n443: x\n'q q': y\n1.10: z\n\"<<\": m\n? e\n: f\n!!str t: g\n'': h\nnull: i\n",
			`true@1="1"@1 443@2="x"@2 q q@3="y"@3 1.10@4="z"@4 <<@5="m"@5 e@6="f"@7 t@8="g"@8 @9="h"@9 null@10="i"@10`},
		{"<< as a value", "a: <<\n", `a@1="<<"@1`},
		{"order is that of the file", "z: 1\na: 2\nm: 3\n", `z@1="1"@1 a@2="2"@2 m@3="3"@3`},
		{"tabs that do not indent", "a:\t1\t# c\nb: [x,\n\ty]\nc: \"x\n\ty\"\n", `a@1="1"@1 b@2=["x"@2 "y"@3]@2 c@4="x y"@4`},
		{"other letters", "ключ: 値\n", `ключ@1="値"@1`},
	} {
		test.run(t)
	}
}

func TestDocuments(t *testing.T) {
	for _, test := range []parsed{
		{"empty", "", ""},
		{"empty lines", "\n\n", ""},
		{"comments", "# a\n\n# b", ""},
		{"empty document", "---\n", ""},
		{"empty map", "{}\n", ""},
		{"start", "# c\n---\na: 1\n", `a@3="1"@3`},
		{"start in the same line", "--- {a: 1}\n", `a@1="1"@1`},
		{"end", "a: 1\n...\n", `a@1="1"@1`},
		{"both", "---\na: 1\n...\n# c\n", `a@2="1"@2`},
		{"version", "%YAML 1.1\n---\na: 1\n", `a@3="1"@3`},
		{"nothing in the second", "a: 1\n---\n# c\n", `a@1="1"@1`},
		{"nothing in the first", "---\n---\na: 1\n", `a@3="1"@3`},
		{"byte order mark", "\ufeffa: 1\nb: 2\n", `a@1="1"@1 b@2="2"@2`},
		{"byte order mark, then a start", "\ufeff---\na: 1\n", `a@2="1"@2`},
		{"nothing but a byte order mark", "\ufeff", ""},
		{"UTF-16", "\xff\xfea\x00:\x00 \x00\xe4\x00\n\x00b\x00:\x00 \x002\x00", `a@1="ä"@1 b@2="2"@2`},
		{"UTF-16, the other way round, JSON", "\xfe\xff\x00{\x00\"\x00a\x00\"\x00:\x001\x00}", `a@1="1"@1`},
		{"line ends of Windows", "a: 1\r\nb:\r\n- x\r\n", `a@1="1"@1 b@2=["x"@3]@3`},
		{"line ends of old", "a: 1\rb: 2\r", `a@1="1"@1 b@2="2"@2`},
		{"no line end", "a: 1", `a@1="1"@1`},
	} {
		test.run(t)
	}
}

func TestAliases(t *testing.T) {
	for _, test := range []parsed{
		{"text", "a: &x 1.10\nb: *x\n", `a@1="1.10"@1 b@2="1.10"@2`},
		{"in a list", "a: &x y\nb:\n- *x\n- *x\n", `a@1="y"@1 b@2=["y"@3 "y"@4]@3`},
		{"null", "a: &x\nb: *x\n", `a@1=null@1 b@2=null@2`},
		{"what is inside has the lines where it is written", "a: &x\n  b: 1\nc: *x\n", `a@1={b@2="1"@2}@1 c@3={b@2="1"@2}@3`},
		{"of an alias", "a: &x [1]\nb: &y [*x]\nc: *y\n", `a@1=["1"@1]@1 b@2=[["1"@1]@2]@2 c@3=[["1"@1]@2]@3`},
		{"the nearest anchor before", "a: &x 1\nb: *x\nc: &x 2\nd: *x\n", `a@1="1"@1 b@2="1"@2 c@3="2"@3 d@4="2"@4`},
		{"a key", "a: &x y\n*x : z\n", `a@1="y"@1 y@2="z"@2`},
		{"twice, and not inside of each other", "a: &x {b: 1}\nc: [*x, *x]\n", `a@1={b@1="1"@1}@1 c@2=[{b@1="1"@1}@2 {b@1="1"@1}@2]@2`},
	} {
		test.run(t)
	}
}

func TestJSON(t *testing.T) {
	long := strings.Repeat("k", 2000)
	for _, test := range []parsed{
		{"all kinds", `{"a": "x", "b": 1.10, "c": true, "d": false, "e": null, "f": ["y", 2], "g": {"h": "z"}, "i": [], "j": {}}`,
			`a@1="x"@1 b@1="1.10"@1 c@1="true"@1 d@1="false"@1 e@1=null@1 f@1=["y"@1 "2"@1]@1 g@1={h@1="z"@1}@1 i@1=[]@1 j@1={}@1`},
		{"numbers", `{"a":1e3,"b":-0.0,"c":123456789012345678901234567890,"d":1E+400}`,
			`a@1="1e3"@1 b@1="-0.0"@1 c@1="123456789012345678901234567890"@1 d@1="1E+400"@1`},
		{"lines", "{\n\n  \"a\": 1,\n  \"b\": [\n    2,\n    {\"c\":\n 3}\n  ]\n}\n", `a@3="1"@3 b@4=["2"@5 {c@6="3"@7}@6]@4`},
		{"tabs", "{\n\t\"a\": 1,\n\t\"b\": {\n\t\t\"c\":\t2\n\t}\n}\n", `a@2="1"@2 b@3={c@4="2"@4}@3`},
		{"lines of Windows", "{\r\n\t\"a\": 1,\r\n\t\"b\": 2\r\n}", `a@2="1"@2 b@3="2"@3`},
		{"escapes", `{"a": "\/ \" \\ \b \u00e9 \n"}`, `a@1="/ \" \\ \b é \n"@1`},
		{"surrogate pairs", `{"\ud83d\ude00": "\uD83D\uDE00 \\ud83d \ud83d\ude00"}`, `😀@1="😀 \\ud83d 😀"@1`},
		{"what looks like half a pair", `{"a": "\ufffd", "b": "\\ud83d ` + "\ufffd" + `"}`, `a@1="�"@1 b@1="\\ud83d �"@1`},
		{"values in the next line", "{\"a\":\n null,\n\"b\":\n\"\"}", `a@1=null@2 b@3=""@4`},
		{"colon in the next line", "{\"a\"\n:\n1}", `a@1="1"@3`},
		{"long key", `{"` + long + `": 1}`, long + `@1="1"@1`},
		{"what YAML takes for the end of a line", "{\"a\": \"x \u2028 y \u0085 z\", \"b\": 1}", `a@1="x \u2028 y \u0085 z"@1 b@1="1"@1`},
		{"what YAML does not take", "{\"a\": \"\x7f\ufeff\"}", `a@1="\x7f\ufeff"@1`},
		{"texts that mean something in YAML", `{"<<": "null", "~": "*x", "": "# c"}`, `<<@1="null"@1 ~@1="*x"@1 @1="# c"@1`},
		{"byte order mark", "\ufeff{\"a\": 1}", `a@1="1"@1`},
		{"with a comment it is YAML", "# c\n{\"a\": 1, # d\n\"b\": 2,}", `a@2="1"@2 b@3="2"@3`},
	} {
		test.run(t)
	}
}

// The same config is the same, however it is written.
func TestJSONEqualsYAML(t *testing.T) {
	yamlText := `
address: 0.0.0.0
port: 443
ratio: 1.10
big: 1e3
on: true
off:
names: [a, "b c", 'null']
labels:
  app: x
  "1": "2"
rules:
- {name: r, paths: [/, /x]}
- name: s
  text: |
    one
    two
smile: 😀
`
	jsonText := `{"address": "0.0.0.0", "port": 443, "ratio": 1.10, "big": 1e3, "on": true, "off": null,
	"names": ["a", "b c", "null"], "labels": {"app": "x", "1": "2"},
	"rules": [{"name": "r", "paths": ["\/", "/x"]}, {"name": "s", "text": "one\ntwo\n"}], "smile": "\ud83d\ude00"}`
	if !json.Valid([]byte(jsonText)) {
		t.Fatal("this is not JSON")
	}
	fromYAML, err := Parse([]byte(yamlText))
	fromJSON, err2 := Parse([]byte(jsonText))
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(withoutLines(fromYAML), withoutLines(fromJSON)); diff != "" {
		t.Errorf("YAML (-) and JSON (+) differ:\n%s", diff)
	}
}
