package child

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-200a7251/km/supervisor/internal/crash"
)

// relay passes the lines of the process's log on.
func (c *Child) relay(lines io.Reader) {
	for r := bufio.NewReaderSize(lines, 64<<10); ; {
		line, err := r.ReadBytes('\n')
		if len(line) > 0 {
			if relayErr := c.Log.Relay(line); relayErr != nil {
				c.Log.Zap().Error("its process has logged what is no line of a log", zap.ByteString("text", line), zap.Error(relayErr))
			}
		}
		if err != nil {
			return
		}
	}
}

const (
	// keptCrash is how much is kept of what is printed from then on.
	keptCrash = 1 << 20
	// The traceback follows after at most unsureCrash bytes, and unsureTime.
	unsureCrash = 64 << 10
	unsureTime  = 2 * time.Second
	// longestPrint is how much of a line is logged as one.
	longestPrint = 1 << 20
)

// hear logs what the process prints. What it prints when it crashes is one line of the file, as it is long; the screen
// has the reason.
func (c *Child) hear(p *process, text *os.File) {
	crashes := false // p.crash is the beginning of a traceback, and not just of something that looks like one
	for r := bufio.NewReaderSize(text, 64<<10); ; {
		line, err := readPrint(r)
		quiet := errors.Is(err, os.ErrDeadlineExceeded)
		switch {
		case len(p.crash) == 0 && !crash.Begins(line):
			c.logPrint(line)
		case len(p.crash) < keptCrash:
			if len(p.crash) == 0 {
				_ = text.SetReadDeadline(time.Now().Add(unsureTime)) // a pipe has them
			}
			p.crash = append(p.crash, line...)
			if !crashes && crash.HasStack(line) {
				crashes = true
			}
		}
		if len(p.crash) > 0 && !crashes && (quiet || len(p.crash) > unsureCrash) {
			c.logPrints(p.crash)
			p.crash, quiet = nil, true
		}
		if quiet {
			_ = text.SetReadDeadline(time.Time{})
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
	}
	if !crashes { // what looked like the beginning of one may still be a reason
		c.logPrints(p.crash)
		return
	}
	c.Record(zapcore.Entry{Level: zapcore.ErrorLevel, Time: time.Now(), LoggerName: c.Args[0], Message: "its process has crashed"},
		zap.ByteString("traceback", p.crash))
}

// readPrint reads a line, or as much of a long one as is logged as one line.
func readPrint(r *bufio.Reader) (line []byte, err error) {
	for len(line) < longestPrint {
		var part []byte
		part, err = r.ReadSlice('\n')
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
	return line, nil
}

func (c *Child) logPrints(text []byte) {
	for line := range bytes.Lines(text) {
		c.logPrint(line)
	}
}

// logPrint logs a line that the process has printed.
func (c *Child) logPrint(line []byte) {
	if len(bytes.TrimSpace(line)) == 0 {
		return
	}
	c.Log.Zap().WithOptions(zap.WithCaller(false)).Warn(string(bytes.TrimRight(line, "\r\n")))
}
