package configfile

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// mustFail checks the errors of a text, all of them, and that they are what the contract says.
func mustFail(t *testing.T, text, want string) {
	t.Helper()
	entries, err := Parse([]byte(text))
	if err == nil {
		t.Fatalf("no error, but %s", show(entries))
	}
	if err.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", err, want)
	}
	if entries != nil {
		t.Errorf("entries beside an error: %s", show(entries))
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%T is not joined", err)
	}
	for _, err := range joined.Unwrap() {
		if _, ok := err.(*Error); !ok {
			t.Errorf("%T is among the errors", err)
		}
	}
}

func TestWhatIsNotSupported(t *testing.T) {
	const rest = " is not supported here; remove it, or put the text in quotes if it is one"
	const noMap = "line 1: a key is a map or a list here, and has to be a text; put a text that begins with { or [ in quotes"
	for _, test := range []struct{ name, text, want string }{
		{"list at the top", "# c\n- a\n", `line 2: the file is a list, and has to be a map; write "key: value" lines`},
		{"text at the top", "\na:b\n", `line 2: the file is a text, and has to be a map; write "key: value" lines, with a space behind the colon`},
		{"null at the top", "null", `line 1: the file is a text, and has to be a map; write "key: value" lines, with a space behind the colon`},
		{"list in JSON", "\n[1]", `line 2: the file is a list, and has to be a map; write "key: value" lines`},
		{"second document", "a: 1\n\n---\n# c\nb: 2\n", "line 3: a second document begins here; remove the ---, or all that follows"},
		{"second document, after empty ones", "---\na: 1\n---\n---\nb\n---\nc: @\n", "line 4: a second document begins here; remove the ---, or all that follows"},
		{"key twice", "a: 1\nb: 2\n\"a\": 3\n", `line 3: key "a" stands here and in line 1; remove one of them`},
		{"key three times", "x:\n  a: 1\n  a: 2\n  a: 3\n", "line 3: key \"a\" stands here and in line 2; remove one of them\n" +
			`line 4: key "a" stands here and in line 2; remove one of them`},
		{"number and text as key", "{1: a,\n '1': b}", `line 2: key "1" stands here and in line 1; remove one of them`},
		{"key twice in JSON", "{\"a\": 1,\n\"b\": {\"c\": 1,\n\n\"c\": 2}}", `line 4: key "c" stands here and in line 2; remove one of them`},
		{"list as key", "[a]: b\n", noMap},
		{"map as key", "? {a: b}\n: c\n", noMap},
		{"template", "a: {{ x }}\n", noMap},
		{"alias of a map as key", "a: &x {}\n*x : b\n", strings.Replace(noMap, "line 1", "line 2", 1)},
		{"no key", "?\n: b\n", `line 1: a colon stands here without a key before it; write "key: value"`},
		{"merge key", "a: &x {b: 1}\nc:\n  <<: *x\n", "line 3: merge keys (<<) are not supported; write the keys themselves"},
		{"merge key with a tag", "!!merge x: {}\n", "line 1: merge keys (<<) are not supported; write the keys themselves"},
		{"tags", "a: !!binary aGk=\nb: !custom x\nc: !!null\nd: !!timestamp 2001-01-01\n", "line 1: tag \"!!binary\"" + rest + "\nline 2: tag \"!custom\"" + rest +
			"\nline 3: tag \"!!null\"" + rest + "\nline 4: tag \"!!timestamp\"" + rest},
		{"tags of maps and lists", "a: !!map {}\nb: !!str [x]\nc: !!set\n  ? x\n", "line 1: tag \"!!map\"" + rest + "\nline 2: tag \"!!str\"" + rest + "\nline 3: tag \"!!set\"" + rest},
		{"tag with a line end", "a: !x%0Ay z\n", "line 1: tag \"!x\\ny\"" + rest},
		{"tag of all", "--- !x\na: 1\n", "line 1: tag \"!x\"" + rest},
		{"tag of a key", "!x a: 1\n!<tag:example.org,2000:y> b: 1\n", "line 1: tag \"!x\"" + rest + "\nline 2: tag \"tag:example.org,2000:y\"" + rest},
		{"several errors, by their lines", "a: &x {<<: 1}\nb: !y 1\nb: *x\n", "line 1: merge keys (<<) are not supported; write the keys themselves\n" +
			"line 2: tag \"!y\"" + rest + "\nline 3: key \"b\" stands here and in line 2; remove one of them"},
		{"half a surrogate pair", `{"a": "x \ud83d"}`, `line 1: half of a surrogate pair stands in a text, which is no character; write both halves, as in "\ud83d\ude00"`},
		{"half a pair as a key", "{\n\"\\\\\\ude00\": 1}", `line 2: half of a surrogate pair stands in a text, which is no character; write both halves, as in "\ud83d\ude00"`},
	} {
		t.Run(test.name, func(t *testing.T) { mustFail(t, test.text, test.want) })
	}
}

func TestCharacters(t *testing.T) {
	const unseen = " cannot be seen, and stands here; remove it, or write "
	for _, test := range []struct{ name, text, want string }{
		{"Latin 1", "a: 1\nb: \xe4\nc: \xe4\n", "line 2: byte 0xe4 is not UTF-8; save the file as UTF-8"},
		{"Latin 1 in JSON", "{\"a\":\n\"\xe4\"}", "line 2: byte 0xe4 is not UTF-8; save the file as UTF-8"},
		{"UTF-16 without a mark", "a\x00:\x00 \x001\x00", "line 1: it is encoded as UTF-16, without the mark (BOM) that says so; save it as UTF-8"},
		{"UTF-16, the other way round", "\x00a\x00:", "line 1: it is encoded as UTF-16, without the mark (BOM) that says so; save it as UTF-8"},
		{"UTF-16, cut", "\xfe\xff\x00a\x00", "line 1: it is encoded as UTF-16, and damaged; save it as UTF-8"},
		{"UTF-16, with a mistake", "\xff\xfea\x00:\x00 \x001\x00\n\x00b\x00", "line 2: there is no colon behind the key; write \"key: value\", with a space behind the colon"},
		{"NUL bytes", "a: 1\nb: \x00\x00\n\x00", "line 2: a NUL byte stands here: this is no text, or it is encoded as UTF-16; save it as UTF-8\n" +
			"line 3: a NUL byte stands here: this is no text, or it is encoded as UTF-16; save it as UTF-8"},
		{"controls", "a: \x07\x08\nb: 1\n# \x7f\n", "line 1: the character U+0007" + unseen + `"\u0007" in double quotes` +
			"\nline 3: the character U+007F" + unseen + `"\u007f" in double quotes`},
		{"line separators", "a: x\u2028b: y\u0085c: z\r\nd: \u2029", "line 1: the character U+2028" + unseen + `"\u2028" in double quotes` +
			"\nline 2: the character U+2029" + unseen + `"\u2029" in double quotes`},
		{"next line", "a: x\u0085b: y", "line 1: the character U+0085" + unseen + `"\u0085" in double quotes`},
		{"byte order mark inside", "a: 1\n\ufeffb: 2\n", "line 2: the character U+FEFF" + unseen + `"\ufeff" in double quotes`},
		{"two byte order marks", "\ufeff\ufeffa: 1\n", "line 1: the character U+FEFF" + unseen + `"\ufeff" in double quotes`},
		{"no character", "a: '\ufffe'\n", "line 1: the character U+FFFE" + unseen + `"\ufffe" in double quotes`},
	} {
		t.Run(test.name, func(t *testing.T) { mustFail(t, test.text, test.want) })
	}
	// That is what the errors say to do.
	parsed{"escapes", `a: "\u0007\u007f\u2028\u2029\u0085\ufeff\ufffe\0"`, `a@1="\a\x7f\u2028\u2029\u0085\ufeff\ufffe\x00"@1`}.run(t)
}

func TestLimits(t *testing.T) {
	const deep = ": maps and lists are nested more than 10 deep here; nest them less, or put the text in quotes if it is one"
	const endless = ": *x stands inside of what it stands for, without end; remove it"
	const many = ": there are more than 100000 values, with what aliases stand for; write fewer"
	bomb := "a0: &a0 [x, x]\n"
	for i := 1; i < 9; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1)
	}
	chain := "a0: &a0 x\n"
	for i := 1; i < 12; i++ {
		chain += fmt.Sprintf("a%d: &a%d [*a%d]\n", i, i, i-1)
	}
	for _, test := range []struct{ name, text, want string }{
		{"too long", "#" + strings.Repeat("x", MaxSize), "line 1: the file has 1048577 bytes, and at most 1048576 are read; name a config file"},
		{"11 levels", "a:\n  " + strings.Repeat("[", 10) + strings.Repeat("]", 10), "line 2" + deep},
		{"11 levels of maps", "a: " + strings.Repeat("{a: ", 10) + strings.Repeat("}", 10), "line 1" + deep},
		{"11 levels in JSON", `{"a":` + strings.Repeat("[", 10) + strings.Repeat("]", 10) + "}", "line 1" + deep},
		{"more levels than the library has", "a:\n- " + strings.Repeat("[", 20_000), "line 2" + deep},
		{"more levels than JSON has", strings.Repeat(`{"a":`, 20_000), "line 1: this is not JSON: invalid character '{' exceeded max depth; correct it here, or at the end of the line before"},
		{"levels by aliases", chain, "line 11" + deep + "\nline 12" + deep},
		{"alias of itself", "a: &x [*x]\n", "line 1" + endless},
		{"alias of what it is in, further up", "a: &x\n  b:\n  - c: *x\n", "line 3" + endless},
		{"alias of all", "--- &x\na: 1\nb: *x\n", "line 3" + endless},
		{"alias of itself, in another", "a: &x [&y [*x]]\nb: *y\n", "line 1" + endless},
		{"aliases of aliases", bomb, "line 6" + many},
		{"many values", "a: [" + strings.Repeat("\n1,", maxValues) + "]\n", "line 100000" + many},
	} {
		// What is not limited would not end before the test binary's own limit.
		t.Run(test.name, func(t *testing.T) { mustFail(t, test.text, test.want) })
	}
	for _, text := range []string{
		strings.Repeat("#", MaxSize),
		"a: " + strings.Repeat("[", 9) + strings.Repeat("]", 9),
		"a: [" + strings.Repeat("1,", maxValues-3) + "1]\n",
	} {
		if _, err := Parse([]byte(text)); err != nil {
			t.Errorf("%.20s... is within the limits: %s", text, err)
		}
	}
}

func TestManyErrors(t *testing.T) {
	_, err := Parse([]byte(strings.Repeat("a: 1\n", 10_000)))
	all := strings.Split(err.Error(), "\n")
	if len(all) != maxErrors+1 || all[maxErrors-1] != `line 51: key "a" stands here and in line 1; remove one of them` ||
		all[maxErrors] != "line 51: there are more errors; correct these first" {
		t.Errorf("got %d errors, the last ones %q", len(all), all[max(0, len(all)-2):])
	}
	one, ok := errors.AsType[*Error](err)
	if !ok || *one != (Error{2, `key "a" stands here and in line 1; remove one of them`}) {
		t.Errorf("the first one is %v", one)
	}
}
