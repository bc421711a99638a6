package supervisor

import (
	"os/exec"
	"testing"
)

func TestShellQuote(t *testing.T) {
	for word, want := range map[string]string{
		"logs": "logs", "--name=two": "--name=two", "--data-dir=/tmp/a-b_c.d": "--data-dir=/tmp/a-b_c.d", "-": "-",
		"--data-dir=a b": "--data-dir='a b'", "--a.b==c": "--a.b='=c'", "--x=--y=z z": "--x=--y='z z'", "--x=": "--x=", "--x y=z": "'--x y=z'", "unix:///x?y": "'unix:///x?y'",
		"": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$HOME": "'$HOME'", "*": "'*'", "~": "'~'", "#": "'#'", "=x": "'=x'", "ä": "'ä'",
		"a\nb": `$'a\012b'`, "a'\\\x1b": `$'a\'\\\033'`, "\xff1": `$'\3771'`,
	} {
		if got := ShellQuote(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}

// A shell takes it for what it is.
func TestShellQuoteInShell(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("there is no bash")
	}
	for _, word := range []string{"plain", "", "a b", "it's", `"`, `\`, "`id`", "$(id)", "a\nb", "\t'\\", "\x1b[2J", "\xff\xfe", "ä\x7f1", "!!", "{a,b}", "-n", "--x=a b", "--x==b"} {
		out, err := exec.Command(bash, "-c", "printf %s "+ShellQuote(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q: %q, %v", word, out, err)
		}
	}
}
