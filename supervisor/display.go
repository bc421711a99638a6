package supervisor

import (
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/term"
	xwidth "golang.org/x/text/width"
)

// What an output can show is answered here and nowhere else: whether it is a terminal, takes escape codes and colours,
// and how wide it is.

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// drawable reports whether w is a terminal on which the cursor can be moved. One that says it is dumb, or does not say
// what it is, takes escape codes for text.
func drawable(w io.Writer) bool {
	return isTerminal(w) && takesEscapes(os.Getenv("TERM"), runtime.GOOS)
}

// takesEscapes goes by TERM, which is not set on Windows.
func takesEscapes(term, system string) bool {
	return term != "dumb" && (term != "" || system == "windows")
}

// colored reports whether w wants colour: it takes escape codes, and NO_COLOR (https://no-color.org) is not set.
func colored(w io.Writer) bool { return os.Getenv("NO_COLOR") == "" && drawable(w) }

// terminalSize is the size of a terminal; of one that does not tell, or of anything else, the usual one.
func terminalSize(w io.Writer) (columns, rows int) {
	columns, rows = 80, 24
	if f, ok := w.(*os.File); ok {
		if c, r, err := term.GetSize(int(f.Fd())); err == nil {
			if c > 0 {
				columns = c
			}
			if r > 0 {
				rows = r
			}
		}
	}
	return columns, rows
}

// narrowestHelp is the width for which help is wrapped on terminals that are narrower: in less there is a word a line.
const narrowestHelp = 20

// width is the number of columns that help for w may use.
func width(w io.Writer) int {
	columns, _ := terminalSize(w)
	return max(columns, narrowestHelp)
}

// cells is how many columns a terminal takes for a text on one line.
func cells(text string) (n int) {
	for _, c := range text {
		n += cell(c)
	}
	return n
}

func cell(c rune) int {
	switch {
	case unicode.In(c, unicode.Mn, unicode.Me, unicode.Cf):
		return 0 // it is written over the one before, or not at all
	case c >= 0x1100: // Hangul: the first wide one
		if k := xwidth.LookupRune(c).Kind(); k == xwidth.EastAsianWide || k == xwidth.EastAsianFullwidth {
			return 2
		}
	}
	return 1
}

// cut is as much of a text as fits into so many columns. Where something is left out, the last column says so.
func cut(text string, columns int) string {
	if cells(text) <= columns {
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

// visible is a text in which nothing moves the cursor, changes the terminal's state or the order of letters: what
// others say, such as the errors of servers and the names of files, may have anything in it. Lines stay, and tabs.
func visible(text string) string {
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

// visibleWord is visible for a text that is to stay on its line, such as the name of a file.
func visibleWord(text string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(visible(text))
}
