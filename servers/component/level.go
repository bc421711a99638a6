package component

import "go.uber.org/zap/zapcore"

// bodies is the verbosity of klog from which on clients log what they send and get (k8s.io/client-go/rest, request.go).
const bodies = zapcore.Level(-8)

// LevelWarning is that of servers that are clients of the apiserver.
func LevelWarning(level zapcore.Level) string {
	if level > bodies {
		return ""
	}
	return "from v=8 on requests and answers are logged whole, with the Secrets and tokens in them: keep the log as you keep keys"
}
