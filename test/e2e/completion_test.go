//go:build linux

package e2e

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/seed-200a7251/km/test/skip"
)

// shell is a shell that people type in, and how its completion is set up for km.
type shell struct {
	name string
	args []string
	file string // what it reads when it starts, in the home folder
	// text of that file. Behind the prompt READY> a line can be typed; Ctrl-G adds what is on it to the file ~/lines.
	text string
}

const bashCompletion = "/usr/share/bash-completion/bash_completion"

var shells = []shell{
	{"bash", []string{"--noprofile", "-i"}, ".bashrc", `
source ` + bashCompletion + `
source <(km completion bash)
bind 'set bell-style none'
bind -x '"\C-g": printf "%s|\n" "$READLINE_LINE" >> ~/lines'
PS1='READY> '
`},
	{"zsh", []string{"-d", "-i"}, ".zshrc", `
autoload -U compinit
compinit -u
source <(km completion zsh)
add-line() { print -r -- "$BUFFER|" >> ~/lines }
zle -N add-line
bindkey '^G' add-line
PS1='READY> '
`},
}

// requireShell skips the test on machines without the shell.
func requireShell(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		skip.OrFail(t, "there is no "+name+": install it")
	}
	if _, err := os.Stat(bashCompletion); name == "bash" && err != nil {
		skip.OrFail(t, "bash has no completion: install bash-completion")
	}
}

// newTerminal returns the two ends of a terminal: ours, and that of programs.
func newTerminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, theirs, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() })
	if err := pty.Setsize(ours, &pty.Winsize{Rows: 60, Cols: 160}); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

// open starts the shell in a terminal and waits for its prompt. What is written to the file is typed.
func (sh shell) open(t *testing.T, h home) (keys *os.File, screen *output, ended <-chan struct{}) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, sh.file), []byte(sh.text), 0o600); err != nil {
		t.Fatal(err)
	}
	ours, theirs := newTerminal(t)
	cmd := exec.Command(sh.name, sh.args...)
	cmd.Dir, cmd.Env = h.dir, append(h.env(), "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	err := cmd.Start()
	theirs.Close()
	if err != nil {
		t.Fatal(err)
	}
	screen = newOutput()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buffer := make([]byte, 4096)
		for {
			n, err := ours.Read(buffer)
			_, _ = screen.Write(buffer[:n])
			if err != nil { // the shell has gone
				return
			}
		}
	}()
	t.Cleanup(func() {
		killSession(t, cmd.Process.Pid)
		_ = cmd.Wait() // it has been killed
		await(t, "that nobody has the terminal any more", done)
		if t.Failed() {
			t.Logf("%s has shown:\n%q", sh.name, tail(screen.String()))
		}
	})
	awaitText(t, screen, "READY> ", done)
	return ours, screen, done
}

// killSession kills all processes that belong to the session of that process.
func killSession(t *testing.T, session int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Error(err)
	}
	for _, path := range stats {
		text, _ := os.ReadFile(path) // it may have ended
		_, behind, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(behind); len(fields) > 3 && fields[3] == strconv.Itoa(session) {
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				_ = unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
}

// lines makes the file ~/lines, a pipe, and returns what is written there, line by line.
func (h home) lines(t *testing.T) <-chan string {
	t.Helper()
	path := filepath.Join(h.dir, "lines")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0) // also to write: it has no end then
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	written := make(chan string, len(completed))
	go func() {
		for s := bufio.NewScanner(file); s.Scan(); {
			written <- s.Text()
		}
	}()
	return written
}

// What is typed in front of Tab, and what is on the line then. A space behind a word that is done, and none behind one
// that may go on, are part of it.
var completed = []struct{ typed, want string }{
	{"km stat", "km status "},
	{"km --name two stat", "km --name two status "},
	{"km kube-sch", "km kube-scheduler "},
	{"km run api", "km run apiserver"},
	{"km run apiserver,sch", "km run apiserver,scheduler"},
	{"km run etcd,apiserver --apis", "km run etcd,apiserver --apiserver."},
	{"km run --apiserver.secure-p", "km run --apiserver.secure-port "},
	{"km run --feature-gates=APIServerI", "km run --feature-gates=APIServerIdentity="},
	{"km run --feature-gates APIServerI", "km run --feature-gates APIServerIdentity="},
	{"km run --feature-gates=AllAlpha=true,APIServerIdentity=f", "km run --feature-gates=AllAlpha=true,APIServerIdentity=false"},
	{"km run --feature-gates AllAlpha=true,APIServerIdentity=f", "km run --feature-gates AllAlpha=true,APIServerIdentity=false"},
	{"km run --controller-manager.controllers=job-controller,-node-i", "km run --controller-manager.controllers=job-controller,-node-ipam-controller"},
	{"km run --log-level=de", "km run --log-level=debug "},
	{"km run --executor.runtime=c", "km run --executor.runtime=cri "},
	{"km run --executor.runtime sim", "km run --executor.runtime simulated "},
	{"km run --data-dir fol", "km run --data-dir folder/"},
	{"km run --config clu", "km run --config cluster.yaml "},
	{"km minion --proxy-mo", "km minion --proxy-mode "},
	{"km stop etcd,sch", "km stop etcd,scheduler"},
	{"km kubectl create deploy", "km kubectl create deployment "},
	{"km kubectl get pods --outp", "km kubectl get pods --output"},
	{"km completion fi", "km completion fish "},
}

func TestCompletionAtTheKeyboard(t *testing.T) {
	t.Parallel()
	for _, sh := range shells {
		t.Run(sh.name, func(t *testing.T) {
			t.Parallel()
			requireShell(t, sh.name)
			h := newHome(t)
			if err := errors.Join(os.Mkdir(filepath.Join(h.dir, "folder"), 0o755),
				os.WriteFile(filepath.Join(h.dir, "cluster.yaml"), nil, 0o644)); err != nil {
				t.Fatal(err)
			}
			written := h.lines(t)
			keys, _, ended := sh.open(t, h)
			for _, test := range completed {
				const clear, tab, add = "\x15", "\t", "\x07"
				if _, err := keys.WriteString(clear + test.typed + tab + add); err != nil {
					t.Fatal(err)
				}
				select {
				case got := <-written:
					if got != test.want+"|" {
						t.Errorf("%q and Tab: the line is %q, want %q", test.typed, got, test.want+"|")
					}
				case <-ended:
					t.Fatal("the shell has ended")
				case <-time.After(patience):
					hang(t, fmt.Sprintf("what the shell makes of %q and Tab", test.typed))
				}
			}
		})
	}
}

// What is shown where there are several words, and what they are.
var offered = []struct {
	typed string
	want  []string
}{
	{"km sta", []string{"status", "start servers of a run"}},
	{"km run --log-level ", []string{"warn", "debug", "v=4"}},
	{"km run --executor.runtime=", []string{"simulated", "a container runtime of this machine"}},
	{"km run --feature-gates=API", []string{"APIServerIdentity=true", "BETA - default=true"}},
	{"km run --e", []string{"--etcd.", "flags of the server etcd", "use a temporary folder"}},
}

func TestCompletionShowsDescriptions(t *testing.T) {
	t.Parallel()
	for _, sh := range shells {
		for _, test := range offered {
			t.Run(sh.name+" "+test.typed, func(t *testing.T) {
				t.Parallel()
				requireShell(t, sh.name)
				keys, screen, ended := sh.open(t, newHome(t))
				presses := "\t"
				if sh.name == "bash" {
					presses = "\t\t" // the first one completes as far as all have in common
				}
				if _, err := keys.WriteString(test.typed + presses); err != nil {
					t.Fatal(err)
				}
				for _, want := range test.want {
					awaitText(t, screen, want, ended)
				}
			})
		}
	}
}

// fish tells by itself what it would offer.
func TestCompletionInFish(t *testing.T) {
	t.Parallel()
	requireShell(t, "fish")
	h := newHome(t)
	for _, test := range []struct {
		typed string
		want  []string
		about string // is in some description
	}{
		{"km stat", []string{"status"}, "how they are"},
		{"km run apiserver,sch", []string{"apiserver,scheduler", "apiserver,scheduler,"}, ""},
		{"km run --apis", []string{"--apiserver."}, "flags of the server"},
		{"km run --apiserver.secure-p", []string{"--apiserver.secure-port"}, "HTTPS"},
		{"km run --feature-gates=APIServerId", []string{"--feature-gates=APIServerIdentity=false", "--feature-gates=APIServerIdentity=true"}, "BETA - default=true"},
		{"km run --feature-gates=AllAlpha=true,AllBeta=", []string{"--feature-gates=AllAlpha=true,AllBeta=false", "--feature-gates=AllAlpha=true,AllBeta=true"}, "BETA"},
		{"km run --log-level ", []string{"debug", "error", "info", "v=2", "v=4", "v=6", "warn"}, ""},
		{"km run --executor.runtime=", []string{"--executor.runtime=cri", "--executor.runtime=simulated"}, "nothing runs"},
		{"km kubectl create deploy", []string{"deployment"}, "deployment"},
	} {
		t.Run(test.typed, func(t *testing.T) {
			r := h.do(t, "fish", "--no-config", "-c", "km completion fish | source; complete -C "+fmt.Sprintf("%q", test.typed))
			if r.code != 0 || r.stderr != "" {
				t.Fatalf("exit code %d\n%s", r.code, r.stderr)
			}
			var words []string
			for _, line := range lines(r.stdout) {
				word, _, _ := strings.Cut(line, "\t")
				words = append(words, word)
			}
			slices.Sort(words)
			if !slices.Equal(words, test.want) || !strings.Contains(r.stdout, test.about) {
				t.Errorf("it offers\n%swant %q, and %q in a description", r.stdout, test.want, test.about)
			}
		})
	}
}
