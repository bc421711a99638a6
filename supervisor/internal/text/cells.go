package text

import (
	"unicode"

	"golang.org/x/text/width"
)

// Cells is how many columns a terminal takes for a text on one line.
func Cells(text string) (n int) {
	for _, c := range text {
		n += cell(c)
	}
	return n
}

func cell(c rune) int {
	switch {
	case unicode.In(c, unicode.Mn, unicode.Me, unicode.Cf):
		return 0 // it is drawn over the letter before, or not at all
	case c >= 0x1100: // Hangul: the first wide one
		if k := width.LookupRune(c).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
			return 2
		}
	}
	return 1
}

// Cut is as much of a text as fits into so many columns. Where something is left out, the last column says so.
func Cut(text string, columns int) string {
	if Cells(text) <= columns {
		return text
	}
	if columns < 1 {
		return ""
	}
	used := 0
	for i, c := range text {
		if used += cell(c); used > columns-1 {
			return text[:i] + "…"
		}
	}
	return text
}
