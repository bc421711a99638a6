// Package klogs brings klog's lines, those of Kubernetes' contextual loggers, and by klog's those of grpc where the
// apiserver's code is linked in, to the loggers of package logging.
package klogs

import (
	"errors"
	"flag"
	"fmt"
	"runtime"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"

	"github.com/seed-200a7251/km/logging"
)

// Install makes ls the destination of everything that is logged with klog in this process. klog's logger is one
// variable without a lock, so Install belongs before the first server's start.
//
// exit is called where klog would end the process: after a line at level Fatal, and by klog.FlushAndExit. It gets the
// Log of the goroutine's server, or nil if there is none, what was logged last at that level, and the exit code. When
// it returns, the goroutine ends: klog's callers do not expect to go on.
func Install(ls *logging.Logs, exit func(l *logging.Log, err error, code int)) {
	// Contextual: code that takes its logger from a context without one gets ours too, with its V and names, instead of
	// a text line from klog. klog.Flush has nothing to do: it would be called every few seconds, under klog's lock, to
	// flush lines of the last milliseconds.
	klog.SetLoggerWithOptions(logr.New(ls.Sink(severity)), klog.ContextualLogger(true))
	klog.OsExit = func(code int) {
		log := ls.Find()
		speaker := log
		if speaker == nil {
			speaker = ls.Program()
		}
		err := why(speaker, code)
		ls.Flush()
		exit(log, err, code)
		runtime.Goexit()
	}
	Follow(ls)
}

// Follow has klog let through what the servers of ls want, from now on. Of several Logs, the one that was changed last
// counts.
func Follow(ls *logging.Logs) {
	var flags flag.FlagSet
	klog.InitFlags(&flags)
	ls.OnChange(func() {
		// klog drops what is above its own verbosity before it asks any logger, so that must be the highest that a
		// server asks for. Each server's Log drops what that server does not want. Both values have been read by klog's
		// rules.
		level, vmodule := ls.MostVerbose()
		_ = flags.Set("v", fmt.Sprint(max(0, -int(level))))
		_ = flags.Set("vmodule", vmodule)
	})
}

// recent is how old a line may be that tells why the process exits.
const recent = time.Second

// why is why klog is to end the process, as far as earlier lines tell.
func why(l *logging.Log, code int) error {
	if said, at := l.LastFatal(); said != "" && time.Since(at) < recent {
		return errors.New(said)
	}
	if said, at := l.LastError(); said != "" && time.Since(at) < recent {
		return fmt.Errorf("it ended itself with exit code %d: %s", code, said)
	}
	return fmt.Errorf("it ended itself with exit code %d; its last lines in the log say why", code)
}

// severity is the severity of a line that klog hands on as Info, going by the klog function that was called.
func severity(functions []string) zapcore.Level {
	for i, name := range functions {
		name, ok := strings.CutPrefix(name, "k8s.io/klog/v2.")
		if !ok || i+1 < len(functions) && strings.HasPrefix(functions[i+1], "k8s.io/klog/v2.") {
			continue // the outermost of klog's functions is the one that was called
		}
		switch {
		case strings.HasPrefix(name, "Warning"):
			return zapcore.WarnLevel
		case strings.HasPrefix(name, "Fatal"), strings.HasPrefix(name, "Exit"):
			// Not zap's own Fatal: that would end the process before klog asks whether it may.
			return zapcore.DPanicLevel
		}
		break
	}
	return zapcore.InfoLevel
}
