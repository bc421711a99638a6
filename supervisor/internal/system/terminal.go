package system

import (
	"io"
	"os"
	"runtime"

	"golang.org/x/term"
)

// What an output can show is answered here and nowhere else: whether it is a terminal, takes escape codes and colours,
// and how wide it is.

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Drawable reports whether w is a terminal on which the cursor can be moved. One that says it is dumb, or does not say
// what it is, takes escape codes for text.
func Drawable(w io.Writer) bool {
	return IsTerminal(w) && takesEscapes(os.Getenv("TERM"), runtime.GOOS)
}

// takesEscapes goes by TERM, which is not set on Windows.
func takesEscapes(term, system string) bool {
	return term != "dumb" && (term != "" || system == "windows")
}

// Colored reports whether w wants colour: it takes escape codes, and NO_COLOR (https://no-color.org) is not set.
func Colored(w io.Writer) bool { return os.Getenv("NO_COLOR") == "" && Drawable(w) }

// TerminalSize is the size of a terminal; of one that does not tell, or of anything else, the usual one.
func TerminalSize(w io.Writer) (columns, rows int) {
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

// HelpWidth is the number of columns that help for w may use.
func HelpWidth(w io.Writer) int {
	columns, _ := TerminalSize(w)
	return max(columns, narrowestHelp)
}
