package supervisor

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/google/pprof/profile"
	"github.com/rogpeppe/go-internal/testscript"
)

// Each script reads like what is typed in a terminal. They call the toy binary. With UPDATE_SCRIPTS=1 what they compare
// with is written anew.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_STATE_HOME", e.WorkDir+"/state")
			e.Setenv("NO_COLOR", "1")
			e.Setenv("GORACE", os.Getenv("GORACE"))
			return nil
		},
		// What hangs is sent SIGQUIT then, and prints its stacks. The deadline is one for all scripts.
		Deadline: time.Now().Add(10 * patience),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "isprofile": isProfile, "await": await,
		},
	})
}

// exits runs a command and checks its exit code: `exits CODE COMMAND [ARGUMENT...]`.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGUMENT...]")
	}
	code := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// isProfile checks that files are CPU profiles: `isprofile FILE...`.
func isProfile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: isprofile FILE...")
	}
	for _, file := range args {
		p, err := profile.ParseData([]byte(ts.ReadFile(file)))
		ts.Check(err)
		ts.Check(p.CheckValid())
		if last := p.SampleType[len(p.SampleType)-1]; last.Type != "cpu" || last.Unit != "nanoseconds" {
			ts.Fatalf("%s has samples of %s in %s", file, last.Type, last.Unit)
		}
	}
}

// await waits until a file has something, which a process in the background writes: `await REGEXP FILE`.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await REGEXP FILE")
	}
	what, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(ts.MkAbs(args[1]))
		if what.Match(text) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no %q in %s (%v):\n%s", args[0], args[1], err, text)
		}
	}
}
