package system

import (
	"os"
	"strconv"
	"strings"
)

// Holder is the number of the process that has a lock file locked, as NoteHolder has written it; empty if it is not
// known.
func Holder(lock string) string {
	f, err := os.Open(lock)
	if err != nil {
		return ""
	}
	defer f.Close()
	text := make([]byte, 64)
	n, _ := f.ReadAt(text, holderAt) // an error says that there is no more
	return strings.TrimSpace(string(text[:n]))
}

func holderText() string { return strconv.Itoa(os.Getpid()) + "\n" }
