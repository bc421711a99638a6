package text

import "testing"

func TestWrap(t *testing.T) {
	for _, test := range []struct {
		name, text, indent string
		columns            int
		want               string
	}{
		{"empty", "", "  ", 10, ""},
		{"blank", " \n\t ", "  ", 10, ""},
		{"one line", "one two", "", 10, "one two\n"},
		{"just fits", "one two34", "", 9, "one two34\n"},
		{"one too long", "one two345", "", 9, "one\ntwo345\n"},
		{"the indentation counts", "one two", "  ", 8, "  one\n  two\n"},
		{"long word", "a extraordinary b", "", 5, "a\nextraordinary\nb\n"},
		{"spaces and line breaks are one space", "one \n two\tthree", "", 20, "one two three\n"},
		{"paragraphs", "one\n\ntwo\n\n\n\nthree", " ", 20, " one\n\n two\n\n three\n"},
		{"letters are counted, not bytes", "äöü äöü", "", 7, "äöü äöü\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Wrap(test.text, test.indent, test.columns); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
