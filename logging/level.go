package logging

import (
	"fmt"
	"strconv"
	"strings"

	"go.uber.org/zap/zapcore"
)

// A level is a zapcore.Level: warn and error are zap's, info is 0, and the lines that klog or logr write with V(n) are
// at -n. This is how zapr maps them, so that loggers made with zapr agree.

// debugVerbosity is what the level "debug" means in klog's terms: V(4) is "debug level verbosity" in Kubernetes'
// logging conventions. zap and slog write their lines for debugging at it.
const debugVerbosity = 4

// Verbosity is the level of a line that was written with klog's V(n), or logr's.
func Verbosity(n int) zapcore.Level {
	return zapcore.Level(-min(max(n, 0), 127))
}

// threshold is the level that a Log must have for a line of zap's level to be written: zap's own Debug is one below
// info, and would be V(1).
func threshold(l zapcore.Level) zapcore.Level {
	if l == zapcore.DebugLevel {
		return Verbosity(debugVerbosity)
	}
	return l
}

// ParseLevel reads a level as people write it: debug, info, warn (or warning), error, or v=N for the lines up to
// verbosity N. The error names what was given and what may be.
func ParseLevel(text string) (zapcore.Level, error) {
	switch s := strings.ToLower(strings.TrimSpace(text)); s {
	case "debug":
		return Verbosity(debugVerbosity), nil
	case "info":
		return zapcore.InfoLevel, nil
	case "warn", "warning":
		return zapcore.WarnLevel, nil
	case "error":
		return zapcore.ErrorLevel, nil
	default:
		if n, ok := strings.CutPrefix(s, "v="); ok {
			if v, err := strconv.Atoi(n); err == nil && v >= 0 && v <= 127 {
				return Verbosity(v), nil
			}
		}
		return 0, fmt.Errorf("unknown log level %q: use debug, info, warn, error, or v=N with N from 0 to 127", text)
	}
}

// FormatLevel is the inverse of ParseLevel.
func FormatLevel(l zapcore.Level) string {
	if l < zapcore.InfoLevel {
		return "v=" + strconv.Itoa(-int(l))
	}
	return severity(l)
}

// severity is the level's name in a line. A verbosity is not a severity of its own: it stands beside one.
func severity(l zapcore.Level) string {
	switch {
	case l == zapcore.DebugLevel:
		return "debug"
	case l <= zapcore.InfoLevel:
		return "info"
	case l == zapcore.WarnLevel:
		return "warn"
	case l == zapcore.ErrorLevel:
		return "error"
	default:
		return "fatal"
	}
}
