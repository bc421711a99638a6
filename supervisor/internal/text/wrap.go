package text

import "strings"

// Wrap breaks text into lines of at most the given number of columns, each behind the indentation. A blank line in the
// text starts a paragraph. The result ends with a newline, unless the text is blank.
func Wrap(text, indent string, columns int) string {
	var b strings.Builder
	for i, paragraph := range strings.Split(strings.TrimSpace(text), "\n\n") {
		words := strings.Fields(paragraph)
		if len(words) == 0 {
			continue
		}
		if i > 0 {
			b.WriteString("\n")
		}
		used := 0
		for _, word := range words {
			n := len([]rune(word))
			switch {
			case used == 0:
				b.WriteString(indent)
				used = len(indent)
			case used+1+n > columns:
				b.WriteString("\n" + indent)
				used = len(indent)
			default:
				b.WriteString(" ")
				used++
			}
			b.WriteString(word)
			used += n
		}
		b.WriteString("\n")
	}
	return b.String()
}

// WrapLines is Wrap for a text in which each line is one of its own, with its indentation.
func WrapLines(text, indent string, columns int) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		own := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		b.WriteString(Wrap(line, indent+own, columns))
	}
	return b.String()
}

// Capital is the text with a capital letter at its beginning, if that is one of ASCII.
func Capital(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
