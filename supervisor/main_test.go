package supervisor

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

// TestMain runs the tests, or, where a script calls this binary as one of the names below, the toy binary.
func TestMain(m *testing.M) {
	time.Local = time.FixedZone("east", 3600) // where the machine is does not matter
	// The race detector has each process wait for a second at its end: those that tests start need not.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
		panic(err)
	}
	toy := func() { toyBinary().RunToExit(os.Args) }
	testscript.Main(leakChecked{m}, map[string]func(){
		"hk":          toy,
		"test1":       toy,
		"test1-v1.37": toy,
		"one":         toy,
		"nothing":     toy,

		"hk-linux-amd64": toy,
		"__debug_bin123": toy,
		"hk (1)":         toy,
		"iso":            func() { isolatedToy().RunToExit(os.Args) },

		"terminal": onTerminal,
	})
}

// loopback is a loopback address whose ports nobody else takes, also while tests have given them back: on Linux all of
// 127.0.0.0/8 is there, nobody has come upon the same one of 16 million, and connections begin at 127.0.0.1. The toys
// that tests start have that of the tests.
var loopback = func() string {
	const variable = "SUPERVISOR_TEST_LOOPBACK"
	if address := os.Getenv(variable); address != "" {
		return address
	}
	address := "127.0.0.1"
	if runtime.GOOS == "linux" {
		address = fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	}
	if err := os.Setenv(variable, address); err != nil {
		panic(err)
	}
	return address
}()

// anyPort is any free port of loopback. Each n is another way to write it.
func anyPort(n int) string { return net.JoinHostPort(loopback, strings.Repeat("0", 1+n)) }

// onTerminal runs the command that is its arguments on a terminal of its own, and prints to standard output what the
// command has written there. testscript's ttyin does not always read all of it: it closes the terminal when the command
// has ended.
func onTerminal() {
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr // what is not sent to the terminal
	screen, err := pty.Start(cmd)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, _ = io.Copy(os.Stdout, screen) // it ends with an error when nobody has the terminal any more
	if err := cmd.Wait(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// leakChecked fails a run of tests that leaves goroutines behind.
type leakChecked struct{ *testing.M }

func (m leakChecked) Run() int {
	// Whoever has called this may ignore it (nohup), and the toys would, too.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	code := m.M.Run()
	signal.Stop(hangups)
	// The goroutine that removes rotated files is never ended by the library that has it.
	removing := goleak.IgnoreTopFunction("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun")
	if err := goleak.Find(removing); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// idle is the Run of a server that has nothing to do.
func idle(ctx context.Context, _ *Server, _ []string) error {
	<-ctx.Done()
	return nil
}

// done is the Run of a server that is done at once.
func done(context.Context, *Server, []string) error { return nil }

// newHyperKube returns a HyperKube with these servers. Its state goes to a folder of the test's.
func newHyperKube(t testing.TB, servers ...*Server) *HyperKube {
	guard(t)
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	hk := &HyperKube{Name: "hk"}
	for _, s := range servers {
		hk.AddServer(s)
	}
	return hk
}

// call runs hk, and returns all that it printed.
func call(hk *HyperKube, args ...string) (string, error) {
	var out bytes.Buffer
	hk.SetOut(&out)
	err := hk.Run(args)
	return out.String(), err
}

// contains fails the test if the text lacks one of the parts.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("there is no %q in\n%s", part, text)
		}
	}
}

// lacks fails the test if the text has one of the parts.
func lacks(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(text, part) {
			t.Errorf("there is a %q in\n%s", part, text)
		}
	}
}

// wantCode fails the test if the error asks for another exit code.
func wantCode(t *testing.T, err error, code int) {
	t.Helper()
	if got := exitCode(err); got != code {
		t.Errorf("exit code %d, want %d (error: %v)", got, code, err)
	}
}

// lockedBuffer is a buffer that is read while servers write to it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// bufferOf is the buffer that SetOut was called with.
func bufferOf(hk *HyperKube) *lockedBuffer { return hk.out.(*oneAtATime).w.(*lockedBuffer) }

func fileText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
