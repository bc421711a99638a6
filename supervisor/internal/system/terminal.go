package system

import (
	"io"
	"os"
	"runtime"

	"golang.org/x/term"
)

// Only this file knows what an output can show: whether it is a terminal, takes escape codes and colours, and how wide
// it is.

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Drawable reports whether w is a terminal on which the cursor can be moved. A terminal that says that it is dumb, or
// says nothing, takes escape codes for text.
func Drawable(w io.Writer) bool {
	return IsTerminal(w) && takesEscapes(os.Getenv("TERM"), runtime.GOOS) && enableEscapes(w)
}

// takesEscapes goes by TERM, which is not set on Windows.
func takesEscapes(term, system string) bool {
	return term != "dumb" && (term != "" || system == "windows")
}

// Colored reports whether w wants colour: it takes escape codes, and NO_COLOR (https://no-color.org) is not set.
func Colored(w io.Writer) bool { return os.Getenv("NO_COLOR") == "" && Drawable(w) }

// TerminalSize is the size of a terminal; the usual size if it does not tell, or w is no terminal.
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

// narrowestHelp is the least width for which help is wrapped: on narrower terminals there would be a word a line.
const narrowestHelp = 20

// HelpWidth is the number of columns that help for w may use.
func HelpWidth(w io.Writer) int {
	columns, _ := TerminalSize(w)
	return max(columns, narrowestHelp)
}
