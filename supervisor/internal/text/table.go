package text

import (
	"fmt"
	"io"
	"strings"
)

// Table prints rows of two columns behind the indentation. The second is wrapped so that all fits into the given number
// of columns.
func Table(out io.Writer, indent string, rows [][2]string, columns int) {
	first := 0
	for _, row := range rows {
		first = max(first, len(row[0]))
	}
	pad := indent + strings.Repeat(" ", first+2)
	for _, row := range rows {
		second := strings.TrimPrefix(Wrap(row[1], pad, columns), pad)
		fmt.Fprintf(out, "%s%-*s  %s\n", indent, first, row[0], strings.TrimSuffix(second, "\n"))
	}
}

// Dash is a cell of a table: the text, or a dash where there is none.
func Dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
