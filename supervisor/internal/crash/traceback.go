package crash

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// Parse reads the beginning of what the runtime writes when it ends a process: the reason, in one line, and the
// server whose goroutine it was. Either is empty if it is not known. The text may be preceded by lines of others, and
// may be cut off.
func Parse(output []byte) (reason, server string) {
	at := said.FindSubmatchIndex(output)
	if at == nil {
		m := unsaid.FindSubmatch(output)
		if m == nil {
			return "", ""
		}
		return text.FirstLine(fatalReason(string(m[1]), output)), crashedServer(output)
	}
	begin, code := at[0], at[2:4]
	if code[0] >= 0 {
		// A signal that a program sends has the code 0, or a negative one: which goroutine it hits is chance.
		if n, err := strconv.Atoi(string(output[code[0]:code[1]])); err == nil && n > 0 {
			server = crashedServer(output[begin:])
		}
		line, _, _ := bytes.Cut(output[begin:], []byte("\n"))
		return text.FirstLine(string(line)), server
	}
	output = output[begin:]
	return text.FirstLine(firstPanic(string(output))), crashedServer(output)
}

// firstPanic is the first of the panics at the beginning of the text that was not recovered, for good or to panic
// again. Those that follow are from functions deferred there. A panic's lines are indented, except the first.
func firstPanic(text string) string {
	text, _, _ = strings.Cut(text, "\n\n")
	var first, this string
	recovered := true // this
	for line := range strings.SplitSeq(text, "\n") {
		if another.MatchString(line) {
			if !recovered {
				return this
			}
			this = strings.TrimPrefix(line, "\t")
		}
		recovered = strings.HasSuffix(line, " [recovered]")
		// A repanicked one is the same panic, going on.
		this = strings.TrimSuffix(strings.TrimSuffix(this, " [recovered, repanicked]"), " [recovered]")
		if first == "" {
			first = this
		}
	}
	if !recovered {
		return this
	}
	return first
}

// fatalReasons are fatal errors by the function that found them.
var fatalReasons = map[string]string{
	"internal/runtime/maps.fatal":  "concurrent use of a map",
	"sync.fatal":                   "unlock of an unlocked mutex",
	"internal/sync.fatal":          "unlock of an unlocked mutex",
	"runtime.newstack":             "stack overflow",
	"runtime.sysMapOS":             "out of memory",
	"runtime.sysUsedOS":            "out of memory",
	"runtime.(*mcache).refill":     "out of memory",
	"runtime.(*mcache).allocLarge": "out of memory",
}

// fatalReason is the reason for a traceback without one. The runtime writes that of a fatal error to standard error
// alone (go.dev/issue/76859), so it is found by the stack.
func fatalReason(signal string, text []byte) string {
	const fatal = "fatal error"
	if signal != "" {
		return fatal + ": " + signal
	}
	stack, _, _ := bytes.Cut(bytes.TrimLeft(text, "\n"), []byte("\n\n"))
	if m := header.FindSubmatch(stack); m != nil && len(m[1]) == 0 && bytes.HasPrefix(stack, m[0]) {
		return fatal // no goroutine runs that could have found it: all are asleep
	}
	for _, m := range calling.FindAllSubmatch(stack, -1) {
		switch name := string(m[1]); name {
		case "runtime.throw", "runtime.fatal":
		default:
			if reason := fatalReasons[name]; reason != "" {
				return fatal + ": " + reason
			}
			return fatal + " in " + name
		}
	}
	return fatal
}

// crashedServer is the server of the goroutine that crashed, which is the first one in a traceback.
func crashedServer(text []byte) string {
	m := header.FindSubmatch(text)
	// If the runtime was not at work for any goroutine, the first one may be that of another thread.
	if m == nil || len(m[1]) == 0 || bytes.HasPrefix(m[2], []byte("\tgoroutine running on other thread")) {
		return ""
	}
	line, _, _ := bytes.Cut(m[0], []byte("\n"))
	l := label.FindSubmatch(line)
	if l == nil {
		return ""
	}
	server, err := strconv.Unquote(string(l[1]))
	if err != nil {
		return ""
	}
	return server
}
