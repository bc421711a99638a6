package crash

import (
	"regexp"
	"strconv"

	"github.com/seed-200a7251/km/logging"
)

// The parts of what the runtime writes when it ends a process.
const (
	spoken        = `panic: |fatal error: ` // begins to say why
	signalName    = `SIG[A-Z0-9]+: `        // likewise, for a signal that nobody handles
	signalNote    = `\[signal `             // says more of a signal that has become a panic or a fatal error
	goroutineHead = `goroutine \d+ `        // begins the header of a stack
	runtimeHead   = `runtime stack:`        // is the header of the runtime's own stack
)

var (
	// said is the line with which the runtime begins to say why it ends the process. A signal's has its code in the
	// next one.
	said = regexp.MustCompile(`(?m)^(?:` + spoken + `|` + signalName + `.*\nPC=.* sigcode=(-?\d+))`)
	// another is the line of a further panic, or of a fatal error in one.
	another = regexp.MustCompile(`^\t?(?:` + spoken + `)`)
	// unsaid is the beginning of a traceback whose reason is not there.
	unsaid = regexp.MustCompile(`^\n*(?:` + signalNote + `(\w+: [^\n]+?) code=|` + runtimeHead + `\n|` + goroutineHead + `)`)
	// header is the first line of a goroutine's stack. Only the running one can have crashed; one in a system call may
	// be in C code, where a signal has reached it.
	header  = regexp.MustCompile(`(?m)^` + goroutineHead + `[^\[\n]*\[(?:(running|syscall)\b)?.*\]:\n(.*)`)
	label   = regexp.MustCompile(` labels:\{.*?` + regexp.QuoteMeta(strconv.Quote(logging.LabelKey)) + `: ("(?:[^"\\]|\\.)*")`)
	calling = regexp.MustCompile(`(?m)^([\w./%-]+\.\S+?)\([^\n]*\)$`)

	opening   = regexp.MustCompile(`^(?:` + spoken + `|` + signalName + `|` + signalNote + `)`)
	stackHead = regexp.MustCompile(`(?m)^(?:` + goroutineHead + `.*\]:|` + runtimeHead + `)$`)
)

// Begins reports whether the line is one with which the runtime begins to say why it ends a process. Anybody may print
// such a line: it is the runtime's if a line for which HasStack is true comes soon after.
func Begins(line []byte) bool { return opening.Match(line) }

// HasStack reports whether one of the lines of the text is the first of a stack in a traceback.
func HasStack(text []byte) bool { return stackHead.Match(text) }
