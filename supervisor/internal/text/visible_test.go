package text

import (
	"errors"
	"strings"
	"testing"
)

func TestOneLine(t *testing.T) {
	long := strings.Repeat("ä", 101)
	for text, want := range map[string]string{
		"short":                "short",
		"one\ntwo":             "one",
		long[:200]:             long[:200], // a hundred letters
		long:                   long[:198] + "…",
		long[:2] + "\n" + long: "ä",
	} {
		if got := OneLine(errors.New(text)); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"two\nlines, a\ttab, ü数…":      "two\nlines, a\ttab, ü数…",
		"\x1b[2Jgone\r\a\x9b1A":        `\x1b[2Jgone\r\a` + "\uFFFD1A",
		"csi \u009b1A, back \u202e\b.": `csi \u009b1A, back \u202e\b.`,
	} {
		if got := Visible(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	if got := VisibleWord("a\nb\tc\x1b"); got != `a\nb\tc\x1b` {
		t.Errorf("%q", got)
	}
}
