package text

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Visible is a text in which nothing moves the cursor, or changes the terminal's state or the order of letters: foreign
// text, such as errors of servers and names of files, may have anything in it. Line breaks and tabs stay.
func Visible(text string) string {
	var b strings.Builder
	for _, c := range text {
		if c == '\n' || c == '\t' || strconv.IsGraphic(c) {
			b.WriteRune(c)
			continue
		}
		quoted := strconv.QuoteRune(c)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// VisibleWord is Visible for a text that is to stay on its line, such as the name of a file.
func VisibleWord(text string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(Visible(text))
}

// Legible is a user's text for an error: as it is, or in quotes if its limits would not be clear.
func Legible(text string) string {
	if text == "" || strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsGraphic(c) || unicode.IsSpace(c) }) {
		return strconv.Quote(text)
	}
	return text
}

// OneLine is the error on one line, short enough for a table: at most 100 columns.
func OneLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return Cut(Visible(strings.ReplaceAll(text, "\t", " ")), 100)
}

// MaxFirstLine is how many bytes FirstLine shows.
const MaxFirstLine = 300

// FirstLine is the first line of a text, as it can be shown in a terminal. Where more is left out, its end says so.
func FirstLine(text string) string {
	text, _, more := strings.Cut(strings.TrimSpace(text), "\n")
	if len(text) > MaxFirstLine {
		text, more = text[:MaxFirstLine], true
		for range utf8.UTFMax - 1 { // not inside a character
			if r, size := utf8.DecodeLastRuneInString(text); r != utf8.RuneError || size != 1 {
				break
			}
			text = text[:len(text)-1]
		}
	}
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, strings.ReplaceAll(strings.TrimSpace(text), "\t", " "))
	if more {
		text += " …"
	}
	return text
}
