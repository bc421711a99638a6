package system

import (
	"io"
	"os"

	"golang.org/x/sys/windows"
)

// enableEscapes has a console take escape codes, and reports whether it does. Consoles of before Windows 10 do not, and
// others only when they are told to.
func enableEscapes(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	console := windows.Handle(f.Fd())
	var mode uint32
	if err := windows.GetConsoleMode(console, &mode); err != nil {
		return false
	}
	const escapes = windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING
	return mode&escapes != 0 || windows.SetConsoleMode(console, mode|escapes) == nil
}
