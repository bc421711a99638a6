package configfile

import (
	"strings"
	"testing"
)

func TestScalar(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "''"},
		{"a", "a"},
		{"1.10", "1.10"},
		{"0644", "0644"},
		{"-1", "-1"},
		{".5", ".5"},
		{"--a=b", "--a=b"},
		{"../x", "../x"},
		{"true", "true"},
		{"null", "'null'"},
		{"NULL", "'NULL'"},
		{"~", "'~'"},
		{"nullable", "nullable"},
		{"/var/lib/x", "/var/lib/x"},
		{"127.0.0.1:8080", "127.0.0.1:8080"},
		{"::1", "'::1'"},
		{"https://x:443/y?z=1", "'https://x:443/y?z=1'"},
		{"https://x:443/y", "https://x:443/y"},
		{"Node,RBAC", "Node,RBAC"},
		{"a=b,c=d", "a=b,c=d"},
		{"größe", "größe"},
		{"key:", "'key:'"},
		{"a: b", "'a: b'"},
		{"a b", "'a b'"},
		{" a", "' a'"},
		{"a ", "'a '"},
		{"a #b", "'a #b'"},
		{"#a", "'#a'"},
		{"- a", "'- a'"},
		{"-", "'-'"},
		{"---", "'---'"},
		{"...", "'...'"},
		{"<<", "'<<'"},
		{"*x", "'*x'"},
		{"&x", "'&x'"},
		{"!x", "'!x'"},
		{"@x", "'@x'"},
		{"%x", "'%x'"},
		{"[a]", "'[a]'"},
		{"{{ x }}", "'{{ x }}'"},
		{`C:\path`, `'C:\path'`},
		{`say "x"`, `'say "x"'`},
		{"it's", "'it''s'"},
		{"a\nb", `"a\nb"`},
		{"a\tb\"\\", `"a\tb\"\\"`},
		{"\x00\r\x7f\u0085", `"\x00\x0d\x7f\x85"`},
		{"\u2028\ufeff\U000e0001", `"\u2028\ufeff\U000e0001"`},
		{"😀", "'😀'"},
		{"a\u00a0b", `"a\xa0b"`},
	} {
		got, err := Scalar(test.text)
		if err != nil || got != test.want {
			t.Errorf("%q: got %s, %v, want %s", test.text, got, err, test.want)
		}
		mustReadBack(t, test.text)
	}
	if got, err := Scalar("a\xff"); err == nil || got != "" || err.Error() != "the text is not UTF-8, and YAML can hold no other; encode it, in base64 for example" {
		t.Errorf("what is not UTF-8: %s, %v", got, err)
	}
}

// mustReadBack checks that Parse reads what Scalar returns as the same text, wherever it may stand.
func mustReadBack(t *testing.T, text string) {
	t.Helper()
	scalar, err := Scalar(text)
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(scalar, "\n\r") {
		t.Fatalf("%q has several lines", scalar)
	}
	places := []string{"k: " + scalar + "\n", "k: " + scalar + " # c\nl: m\n", "k: " + scalar, "k:\n- " + scalar + "\n", "k:\n  k: " + scalar + "\n"}
	if quoted := strings.ContainsAny(scalar[:1], `'"`); quoted || !strings.Contains(scalar, ",") {
		places = append(places, "k: ["+scalar+", "+scalar+"]\n")
	}
	for _, place := range places {
		entries, err := Parse([]byte(place))
		if err != nil {
			t.Fatalf("%q is not read back: %v", place, err)
		}
		v := entries[0].Value
		switch v.Kind {
		case List:
			v = v.List[0]
		case Map:
			v = v.Map[0].Value
		}
		if entries[0].Key != "k" || v.Kind != Text || v.Text != text {
			t.Fatalf("%q is read back as %s", place, show(entries))
		}
	}
}
