package logging

import (
	"bytes"
	"log"
	"log/slog"
	"runtime"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// TakeDefaults makes ls the destination of what is written with the loggers that Go programs share: the standard log
// package (including complaints of net/http's servers), slog's default logger, and zap's global ones. Close puts back
// what was there before. It belongs before the first server's start.
//
// The standard log package knows no severity: its lines are at info, and net/http's at warn. A line that begins with a
// level in brackets, as many programs have it ([WARN] text), is at that level.
func (ls *Logs) TakeDefaults() {
	placing := ls.Placing()

	before, flags, prefix, out := slog.Default(), log.Flags(), log.Prefix(), log.Writer()
	slog.SetDefault(newSlog(placing)) // it sets the output of package log, too, so it has to come before what follows
	log.SetFlags(0)
	log.SetPrefix("")
	// Between the caller and here are log.Printf and its kin, log.(*Logger).output, and Write.
	log.SetOutput(&stdWriter{zap.New(placing, zap.AddCaller(), zap.AddCallerSkip(3))})

	restoreZap := zap.ReplaceGlobals(zap.New(placing, zap.AddCaller()))

	ls.atClose(func() {
		restoreZap()
		slog.SetDefault(before)
		log.SetFlags(flags)
		log.SetPrefix(prefix)
		log.SetOutput(out)
	})
}

// atClose has f called by Close, before the files are closed. The last one is called first.
func (ls *Logs) atClose(f func()) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.onClose = append([]func(){f}, ls.onClose...)
}

// stdWriter is the output of a standard logger: each Write is one line of the log, of whatever number of lines of text.
type stdWriter struct{ logger *zap.Logger }

func (w *stdWriter) Write(text []byte) (int, error) {
	written := len(text)
	level, text := bracketed(text)
	if fatal() {
		// not zap's Fatal, which would end the process itself; the core flushes for this one, too
		level = zapcore.DPanicLevel
	} else if bytes.HasPrefix(text, []byte("http: ")) || bytes.HasPrefix(text, []byte("http2: ")) {
		level = zapcore.WarnLevel
	}
	if ce := w.logger.Check(level, string(bytes.TrimSuffix(text, []byte("\n")))); ce != nil {
		ce.Write()
	}
	return written, nil
}

// bracketed takes the level from the beginning of a line.
func bracketed(line []byte) (level zapcore.Level, rest []byte) {
	if name, rest, ok := bytes.Cut(line, []byte("] ")); ok && len(name) > 1 && name[0] == '[' {
		if level, err := ParseLevel(string(name[1:])); err == nil {
			return level, rest
		}
	}
	return zapcore.InfoLevel, line
}

// fatal reports whether what is being written comes from log.Fatal or its kin, which end the process next.
func fatal() bool {
	var pcs [4]uintptr // log.(*Logger).output and what has called it
	for _, pc := range pcs[:runtime.Callers(3, pcs[:])] {
		f := runtime.FuncForPC(pc - 1)
		if f == nil {
			continue
		}
		if name, ok := strings.CutPrefix(f.Name(), "log."); ok && strings.HasPrefix(strings.TrimPrefix(name, "(*Logger)."), "Fatal") {
			return true
		}
	}
	return false
}
