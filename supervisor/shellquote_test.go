package supervisor

import (
	"os/exec"
	"testing"
)

// A shell makes of the word what it was made of, and it is one line.
func TestShellQuote(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Log("without bash only the texts are compared")
	}
	for text, want := range map[string]string{
		"":                     `''`,
		"/home/you/.local/a-b": `/home/you/.local/a-b`,
		"a=b,c:d@e%f+g":        `a=b,c:d@e%f+g`,
		"a b":                  `'a b'`,
		"~/a":                  `'~/a'`,
		"a'b":                  `'a'\''b'`,
		"a\"$b`c\\d*":          "'a\"$b`c\\d*'",
		"grün":                 `'grün'`,
		"a\nb'\\\t":            `$'a\nb\'\\\t'`,
		"\x1b[2Jü\xff1":        `$'\033[2Jü\3771'`,
		"\u202e":               `$'\342\200\256'`,
	} {
		got := ShellQuote(text)
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
		if bash == "" {
			continue
		}
		if out, err := exec.Command(bash, "-c", "printf %s "+got).Output(); err != nil || string(out) != text {
			t.Errorf("bash makes %q of %s, want %q (%v)", out, got, text, err)
		}
	}
}
