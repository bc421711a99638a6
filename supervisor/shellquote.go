package supervisor

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// bare is what a shell takes as it is, wherever it stands in a command.
var bare = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// ShellQuote returns the text as it is typed as one word, or as a part of one, in a shell: as it is, or in quotes. What cannot be printed comes
// in the form $'…' of bash, zsh and others, so that one line stays one.
func ShellQuote(text string) string {
	switch {
	case bare.MatchString(text):
		return text
	case !printable(text):
		return ansiQuote(text)
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

func ansiQuote(text string) string {
	var b strings.Builder
	b.WriteString("$'")
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\\' || r == '\'':
			b.WriteByte('\\')
			b.WriteRune(r)
		case unicode.IsPrint(r) && (r != utf8.RuneError || size > 1):
			b.WriteRune(r)
		default: // byte by byte, three digits each: a digit behind them is none of theirs
			for _, c := range []byte(text[:size]) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
		}
		text = text[size:]
	}
	b.WriteByte('\'')
	return b.String()
}
