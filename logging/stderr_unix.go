//go:build unix

package logging

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"strings"
	"syscall"

	"go.uber.org/zap/zapcore"
)

// maxMessage is the longest text that is taken at a time.
const maxMessage = 1 << 20

// TakeStderr makes what is printed to os.Stderr from now on lines of ls, at level warn, each Write one line. It is for
// code that takes no logger and prints there; the runtime's own messages, such as that of a crash, are not printed with
// os.Stderr and stay where they are. Very long texts, on Linux from about 200 kB on, may be refused by the system.
// Close puts os.Stderr back. It belongs before the first server's start.
//
// Nothing tells which goroutine has printed. A line is placed if functions that are claimed (Log.Claim) are named in
// it, as in a stack; otherwise it is the program's, and counted as unplaced.
func (ls *Logs) TakeStderr() error {
	// Datagrams keep what was printed with one call together.
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err != nil {
		return fmt.Errorf("socket pair for standard error: %w", err)
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	// Without it, long text is refused. The system may allow less.
	_ = syscall.SetsockoptInt(fds[1], syscall.SOL_SOCKET, syscall.SO_SNDBUF, maxMessage)
	if runtime.GOOS != "linux" { // elsewhere the receiver has to have room, too, for that and what was printed before
		_ = syscall.SetsockoptInt(fds[0], syscall.SOL_SOCKET, syscall.SO_RCVBUF, 2*maxMessage)
	}
	in, out := os.NewFile(uintptr(fds[0]), "stderr"), os.NewFile(uintptr(fds[1]), "stderr")
	before := os.Stderr
	os.Stderr = out
	end := rand.Text() // a text that nobody else prints
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		text := make([]byte, maxMessage)
		for {
			n, err := in.Read(text)
			if err != nil && !errors.Is(err, io.EOF) || string(text[:n]) == end { // EOF is an empty text
				return
			}
			ls.printed(string(text[:n]))
		}
	}()
	ls.atClose(func() {
		os.Stderr = before
		if _, err := out.WriteString(end); err == nil {
			<-ended
		}
		_ = in.Close()
		_ = out.Close()
	})
	return nil
}

// functions are the names of functions in a stack, and in net/http's complaints.
var functions = regexp.MustCompile(`(?m)(?:^|called from |created by |call from )([\w.-]+(?:/[\w.%-]+)*\.[\w.()*\[\]-]+)`)

// printed logs what was printed.
func (ls *Logs) printed(text string) {
	text = strings.TrimRight(text, "\n")
	if strings.TrimSpace(text) == "" {
		return
	}
	log := ls.program
	if claims := ls.claims.Load(); claims != nil {
		for _, m := range functions.FindAllStringSubmatch(text, -1) {
			if l := claimed(*claims, m[1]); l != nil {
				log = l
				break
			}
		}
	}
	if log == ls.program {
		ls.unplaced.Add(1)
	}
	if e := (zapcore.Entry{Level: zapcore.WarnLevel, LoggerName: "stderr", Message: text}); log.enabled(e.Level) {
		_ = log.write(&e, 0, lineEncoder, nil) // a string can be encoded
	}
}
