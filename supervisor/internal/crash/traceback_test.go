package crash

import (
	"strings"
	"testing"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// They are tracebacks of Go 1.26, shortened, that cannot be had of any machine; TestCrashIsKept has others made.
const (
	outOfMemory = `
runtime stack:
runtime.throw({0x4e29bf?, 0x214e?})
	/usr/local/go/src/runtime/panic.go:1229 +0x48 fp=0x7fff828850e0 sp=0x7fff828850b0 pc=0x479f68
runtime.sysMapOS(0x53854000000, 0x400000000000, {0x4df3ba, 0x4})
	/usr/local/go/src/runtime/mem_linux.go:175 +0x13b fp=0x7fff82885120 sp=0x7fff828850e0 pc=0x422d7b
runtime.(*mheap).grow(0x5b8460?, 0x200000000?)
	/usr/local/go/src/runtime/mheap.go:1634 +0x2c5 fp=0x7fff828851e0 sp=0x7fff82885150 pc=0x439105

goroutine 20 gp=0x53853d805a0 m=0 mp=0x5b0420 [running labels:{"server": "db"}]:
runtime.systemstack_switch()
	/usr/local/go/src/runtime/asm_amd64.s:516 +0x8 fp=0x53853d015d0 sp=0x53853d015c0 pc=0x47e748

goroutine 1 gp=0x53853ccc1e0 m=nil [sleep]:
time.Sleep(0x4a817c800)
`
	fault = `[signal SIGSEGV: segmentation violation code=0x1 addr=0x1234567890 pc=0x4b52e8]

goroutine 6 gp=0x5fb75e8d680 m=0 mp=0x5b0420 [running labels:{"server": "db"}]:
runtime.throw({0x4df56c?, 0x0?})
	/usr/local/go/src/runtime/panic.go:1229 +0x48 fp=0x5fb75ec4eb8 sp=0x5fb75ec4e88 pc=0x479f68
runtime.sigpanic()
	/usr/local/go/src/runtime/signal_unix.go:945 +0x285 fp=0x5fb75ec4f18 sp=0x5fb75ec4eb8 pc=0x47b6a5
`
	asleep = `
goroutine 1 [select (no cases) labels:{"server": "db"}]:
main.main()
	/tmp/main.go:43 +0x105
`
	inPanic = `panic: first
	fatal error: sync: unlock of unlocked mutex

goroutine 8 [running labels:{"server": "db"}]:
internal/sync.fatal({0x4e4beb?, 0x4ce020?})
`
	inC = `SIGSEGV: segmentation violation
PC=0x7f8a m=3 sigcode=1 addr=0x0
signal arrived during cgo execution

goroutine 7 gp=0xc00010 m=3 mp=0xc00020 [syscall labels:{"server": "db"}]:
runtime.cgocall(0x4012c0, 0xc000052f38)
`
	scheduler = `
runtime stack:
runtime.throw({0x4e29bf?, 0x214e?})
	/usr/local/go/src/runtime/panic.go:1229 +0x48
runtime.findRunnable()
	/usr/local/go/src/runtime/proc.go:3500 +0x48

goroutine 20 gp=0x53853d805a0 m=2 mp=0x5b0420 [running labels:{"server": "db"}]:
	goroutine running on other thread; stack unavailable
created by main.main in goroutine 1
`
)

func TestParseCrash(t *testing.T) {
	const running = "\n\ngoroutine 6 [running labels:{\"server\": \"db\"}]:\nmain.main()\n"
	long := strings.Repeat("ä", text.MaxFirstLine)
	for _, test := range []struct{ name, text, reason, server string }{
		{"nothing", "", "", ""},
		{"out of memory", outOfMemory, "fatal error: out of memory", "db"},
		{"out of memory, on standard error", "fatal error: runtime: out of memory\n" + outOfMemory, "fatal error: runtime: out of memory", "db"},
		{"fault", fault, "fatal error: SIGSEGV: segmentation violation", "db"},
		{"fault, on standard error", "unexpected fault address 0x1234567890\nfatal error: fault\n" + fault, "fatal error: fault", "db"},
		{"all are asleep", asleep, "fatal error", ""},
		{"fatal error in a panic, on standard error", inPanic, "panic: first", "db"},
		{"fatal error in a recovered panic, on standard error", strings.Replace(inPanic, "first", "first [recovered]", 1),
			"fatal error: sync: unlock of unlocked mutex", "db"},
		{"fatal error in a panic", strings.TrimPrefix(inPanic, "panic: first\n\tfatal error: sync: unlock of unlocked mutex\n"),
			"fatal error: unlock of an unlocked mutex", "db"},
		{"signal in C code", inC, "SIGSEGV: segmentation violation", "db"},
		{"the same signal, sent", strings.Replace(inC, "sigcode=1", "sigcode=0", 1), "SIGSEGV: segmentation violation", ""},
		{"runtime, not for a goroutine", scheduler, "fatal error in runtime.findRunnable", ""},
		{"no stacks", "panic: out of ink\n", "panic: out of ink", ""},
		{"header cut off", "panic: out of ink\n\ngoroutine 6 [running labels:{\"server\": \"d", "panic: out of ink", ""},
		{"line cut off", "panic: out of i", "panic: out of i", ""},
		{"stack cut off", "\nruntime stack:\nruntime.thr", "fatal error", ""},
		{"behind other lines, one of them a stack",
			"I am up\ngoroutine 1 [running labels:{\"server\": \"other\"}]:\nmain.f()\n\npanic: out of ink" + running, "panic: out of ink", "db"},
		{"a stack, but no crash", "I am up\ngoroutine 1 [running labels:{\"server\": \"db\"}]:\nmain.f()\n", "", ""},
		{"not the first goroutine's", "panic: out of ink\n\ngoroutine 6 [running]:\nmain.main()" + running, "panic: out of ink", ""},
		{"a header that it says", "panic: out of ink\n\tgoroutine 1 [running labels:{\"server\": \"other\"}]:\n\tmain()" + running, "panic: out of ink", "db"},
		{"many labels", `panic: out of ink` + "\n\n" + `goroutine 6 [running, locked to thread labels:{"a": "[\"server\": \"other\"]", "server": "\u00e4 \"x\"", "z": ""}]:` + "\nmain.main()\n",
			"panic: out of ink", `ä "x"`},
		{"repanicked within a panic", "panic: first [recovered, repanicked]\n\tpanic: second" + running, "panic: first", "db"},
		{"recovered with many lines", "panic: first\n\tline [recovered]\n\tpanic: second" + running, "panic: second", "db"},
		{"all recovered", "panic: first [recovered]" + running + "panic: second\n", "panic: first", "db"},
		{"not for a terminal", "panic: \x1b[31mout\tof\x00ink\xff" + running, "panic: \ufffd[31mout of\ufffdink\ufffd", "db"},
		{"long", "panic: " + long + running, "panic: " + long[:text.MaxFirstLine-len("panic: ")-1] + " …", "db"},
		{"binary", "\x7fELF\x02\x01\x01\x00\n\xff\xfe", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			reason, server := Parse([]byte(test.text))
			if reason != test.reason || server != test.server {
				t.Errorf("it is %q of %q, want %q of %q", reason, server, test.reason, test.server)
			}
		})
	}
}

// What is cut off anywhere is read as far as it goes.
func TestParseCrashCutOff(t *testing.T) {
	for _, text := range []string{outOfMemory, fault, asleep, inPanic, inC, scheduler} {
		for n := range len(text) {
			if _, server := Parse([]byte(text[:n])); server != "" && server != "db" {
				t.Errorf("%q is of %q", text[:n], server)
			}
		}
	}
}
