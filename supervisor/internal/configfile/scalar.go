package configfile

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// plain are texts that need no quotes: words, numbers, paths, URLs, lists with commas and the like. There are more in
// YAML; those that people have to think about are better in quotes.
var plain = regexp.MustCompile(`^[-+.]*[\pL0-9/_][\pL0-9/_.+=@%~,;()*^$:-]*$`)

// Scalar returns text as a YAML scalar on one line, for the value of a key or an item of a list. It has quotes where
// they are necessary: [Parse] reads it back as the same text, never as null. In brackets, a text with a comma needs
// quotes, too.
//
// The error is for what YAML cannot hold: text that is not UTF-8.
func Scalar(text string) (string, error) {
	switch {
	case !utf8.ValidString(text):
		return "", errors.New("the text is not UTF-8, and YAML can hold no other; encode it, in base64 for example")
	case plain.MatchString(text) && !strings.HasSuffix(text, ":") && strings.ToLower(text) != "null":
		return text, nil
	case !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "'" + strings.ReplaceAll(text, "'", "''") + "'", nil
	}
	return doubleQuoted(text), nil
}

// doubleQuoted writes text with escapes for all that cannot be seen.
func doubleQuoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteRune('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r <= 0xff:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
