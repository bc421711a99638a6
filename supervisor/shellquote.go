package supervisor

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plainWord has no character that means something to a shell.
var plainWord = regexp.MustCompile(`^[\w./-][\w./:=@%+,-]*$`)

// flagWithValue is a flag as it may stand before the quotes around its value.
var flagWithValue = regexp.MustCompile(`^--[\w.-]+=`)

// ShellQuote returns the word so that a shell takes it for one, and as it is: in quotes, where it needs them. Of a flag
// with a value, that is the value.
func ShellQuote(word string) string {
	flag := flagWithValue.FindString(word)
	if value := word[len(flag):]; flag != "" && value != "" {
		return flag + ShellQuote(value)
	}
	switch {
	case plainWord.MatchString(word):
		return word
	case utf8.ValidString(word) && !strings.ContainsFunc(word, unicode.IsControl):
		return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	// It would not be seen what it is, nor be on one line.
	var b strings.Builder
	for _, c := range []byte(word) {
		switch {
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\%03o`, c)
		case c == '\'' || c == '\\':
			b.WriteString(`\` + string(rune(c)))
		default:
			b.WriteByte(c)
		}
	}
	return "$'" + b.String() + "'"
}
