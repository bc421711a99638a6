package text

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
	for word, want := range map[string]string{
		"logs": "logs", "--name=two": "--name=two", "--data-dir=/tmp/a-b_c.d": "--data-dir=/tmp/a-b_c.d", "-": "-", "-n": "-n",
		"--data-dir=a b": "--data-dir='a b'", "--a.b==c": "--a.b='=c'", "--x=--y=z z": "--x=--y='z z'", "--x=": "--x=", "--x y=z": "'--x y=z'",
		"unix:///x?y": "'unix:///x?y'", "a=b,c:d@e%f+g": "a=b,c:d@e%f+g", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$HOME": "'$HOME'",
		"$(id)": "'$(id)'", "*": "'*'", "~/a": "'~/a'", "#": "'#'", "=x": "'=x'", "ä": "'ä'", "!!": "'!!'", "{a,b}": "'{a,b}'",
		"a\"$b`c\\d*":   "'a\"$b`c\\d*'",
		"a\nb'\\\t":     `$'a\nb\'\\\t'`,
		"\x1b[2Jü\xff1": `$'\033[2Jü\3771'`,
		"ä\x7f1":        `$'ä\1771'`,
		"\u202e":        `$'\342\200\256'`,
	} {
		got := ShellQuote(word)
		if got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
		if bash == "" {
			continue
		}
		if out, err := exec.Command(bash, "-c", "printf %s "+got).Output(); err != nil || string(out) != word {
			t.Errorf("bash makes %q of %s, want %q (%v)", out, got, word, err)
		}
	}
}
