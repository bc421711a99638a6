package logging

import (
	"fmt"
	"strconv"
	"strings"

	"go.uber.org/zap/zapcore"
)

// debugVerbosity is what the level "debug" means in klog's terms: V(4) is "debug level verbosity" in Kubernetes'
// logging conventions.
const debugVerbosity = 4

// Verbosity is the level of a line that was written with klog's V(n), or logr's: 0 is info, and each step is one
// below. It is the mapping of zapr, so that loggers made with zapr agree.
func Verbosity(n int) zapcore.Level {
	return zapcore.Level(-min(max(n, 0), 127))
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

// severity is the level's name in the output: a verbosity is not a severity of its own.
func severity(l zapcore.Level) string {
	switch {
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
