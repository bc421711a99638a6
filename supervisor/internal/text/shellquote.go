package text

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// bareWord has no character that means something to a shell.
var bareWord = regexp.MustCompile(`^[\w./-][\w./:=@%+,-]*$`)

// flagWithValue is a flag as it may stand before the quotes around its value.
var flagWithValue = regexp.MustCompile(`^--[\w.-]+=`)

// ShellQuote returns the word as a shell takes it for one word, unchanged: in quotes, where it needs them. Of a flag
// with a value, only the value is quoted. What cannot be printed comes in the form $'…' of bash, zsh and others, so
// that one line stays one.
func ShellQuote(word string) string {
	flag := flagWithValue.FindString(word)
	if value := word[len(flag):]; flag != "" && value != "" {
		return flag + ShellQuote(value)
	}
	switch {
	case bareWord.MatchString(word):
		return word
	case !printable(word):
		return ansiQuote(word)
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
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
		default: // byte by byte, three digits each: a digit that follows is not part of them
			for _, c := range []byte(text[:size]) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
		}
		text = text[size:]
	}
	b.WriteByte('\'')
	return b.String()
}
