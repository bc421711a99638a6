package configfile

import (
	"bytes"
	"slices"

	"github.com/seed-200a7251/km/supervisor/charset"
)

// lineStarts are the offsets in a text where its lines begin. A line ends with "\n", "\r\n" or "\r".
type lineStarts []int

func linesOf(text []byte) lineStarts {
	starts := lineStarts{0}
	for i, b := range text {
		if b == '\n' || b == '\r' && !bytes.HasPrefix(text[i+1:], []byte("\n")) {
			starts = append(starts, i+1)
		}
	}
	return starts
}

// at is the line, from 1, of what is at an offset.
func (l lineStarts) at(offset int) int {
	i, found := slices.BinarySearch(l, offset)
	if found {
		i++
	}
	return i
}

// first is the text of the first n lines.
func (l lineStarts) first(n int, text []byte) []byte {
	if n >= len(l) {
		return text
	}
	return text[:l[n]]
}

// line is the text of line n, from 1, with what ends it.
func (l lineStarts) line(n int, text []byte) []byte { return l.first(n, text)[l[n-1]:] }

// checkUTF8 adds an error if the text is in another encoding. One is enough: it is the same in all lines.
func checkUTF8(text []byte, lines lineStarts, found *problems) {
	if offset, err := charset.InvalidAt(text); err != nil {
		found.add(lines.at(offset), "%v", err)
	}
}

// checkCharacters adds an error for each line with a character that YAML does not take, or takes for the end of a line
// when an editor does not. With the latter, line numbers would be wrong, and texts end where nobody sees it.
func checkCharacters(text []byte, lines lineStarts, found *problems) {
	told := 0 // the last line that has an error: one is enough for each
	for i, r := range string(text) {
		if !forbidden(r) {
			continue
		}
		line := lines.at(i)
		if line == told {
			continue
		}
		told = line
		if r == 0 {
			found.add(line, "a NUL byte stands here: this is no text, or it is encoded as UTF-16; save it as UTF-8")
			continue
		}
		found.add(line, `the character %U cannot be seen, and stands here; remove it, or write "\u%04x" in double quotes`, r, r)
	}
}

// forbidden reports whether a character can stand in YAML only as an escape.
func forbidden(r rune) bool {
	switch {
	case r == '\t' || r == '\n' || r == '\r':
		return false
	case r < ' ', 0x7f <= r && r < 0xa0: // controls; U+0085 is one of them
		return true
	}
	return r == 0x2028 || r == 0x2029 || r == 0xfeff || r == 0xfffe || r == 0xffff
}
