package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// throwAway are the arguments of a cluster that is there for one command.
func throwAway(servers, script string) []string {
	return []string{"run", servers, "--ephemeral", "--free-ports", "--", "sh", "-c", script}
}

// temporary makes a home whose temporary files are in a folder of its own, which is to be empty at the end.
func temporary(t *testing.T) (h home, tmp string) {
	t.Helper()
	h = newHome(t)
	// Not below the home: the path of a socket must be short.
	tmp, err := os.MkdirTemp("", "km-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(tmp) })
	h.tmp = tmp
	return h, tmp
}

// empty fails the test if something has been left in a folder.
func empty(t *testing.T, dir string) {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range found {
		t.Errorf("%s is left behind", filepath.Join(dir, entry.Name()))
	}
}

// listens reports whether somebody listens at an address.
func listens(t *testing.T, address string) bool {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		return false
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	return true
}

// children are the processes whose environment has a folder in it: that is inherited, by whomever they have been
// started.
func children(t *testing.T, folder string) (found []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(text), folder) && path != fmt.Sprintf("/proc/%d/environ", os.Getpid()) {
			args, _ := os.ReadFile(filepath.Join(filepath.Dir(path), "cmdline")) // it may have ended
			found = append(found, filepath.Base(filepath.Dir(path))+" "+strings.ReplaceAll(string(args), "\x00", " "))
		}
	}
	return found
}

// A cluster for one command: it finds the cluster by all clients, its output is the output, its exit code the exit
// code, and nothing stays.
func TestThrowAway(t *testing.T) {
	t.Parallel()
	h, tmp := temporary(t)
	r := h.km(t, throwAway("all", `
		km kubectl create deployment web --image=nginx >/dev/null &&
		km kubectl rollout status deployment/web --timeout=120s >/dev/null &&
		km kubectl get pods -o jsonpath='{.items[*].status.phase}' &&
		km status --wait=ready >&2 && km kubeconfig >&2
		exit 7`)...)
	if r.code != 7 || r.stdout != "Running" {
		t.Errorf("exit code %d, output %q", r.code, r.stdout)
	}
	for _, want := range []string{"km: starting etcd, apiserver, ", "km: ready after ", "/kubeconfig/admin.conf\n"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("standard error has no %q", want)
		}
	}
	// What the command prints there is no line of the log.
	if strings.Contains(r.stderr, "stderr:") {
		t.Error("the command's standard error was taken for the log")
	}
	if t.Failed() {
		t.Log(r.stderr)
	}
	empty(t, tmp)
	if _, err := os.Stat(h.dataDir("km")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of the lasting cluster is there (%v)", err)
	}
}

// Many in a row, and several at once, leave no process, socket, folder or port.
func TestThrowAwayMany(t *testing.T) {
	t.Parallel()
	const rows, inARow = 4, 6
	h, tmp := temporary(t)
	var mu sync.Mutex
	authorities := map[string]*x509.CertPool{} // by the address at which a cluster was served
	once := func(t *testing.T) {
		r := h.km(t, throwAway("apiserver", `km kubectl config view --minify --raw -o jsonpath='{.clusters[0].cluster.server} {.clusters[0].cluster.certificate-authority-data}'`)...)
		address, encoded, _ := strings.Cut(strings.TrimPrefix(r.stdout, "https://"), " ")
		authority, err := base64.StdEncoding.DecodeString(encoded)
		if r.code != 0 || !strings.HasPrefix(address, "127.0.0.1:") || err != nil {
			t.Errorf("exit code %d, output %q\n%s", r.code, r.stdout, r.stderr)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if authorities[address] == nil {
			authorities[address] = x509.NewCertPool()
		}
		if !authorities[address].AppendCertsFromPEM(authority) {
			t.Errorf("no certificate: %s", authority)
		}
	}
	var parts []subtest
	for n := range rows {
		parts = append(parts, subtest{fmt.Sprint("row ", n), func(t *testing.T) {
			for range inARow {
				once(t)
			}
		}})
	}
	sideBySide(t, unlimited, parts...)
	empty(t, tmp)
	for address, authority := range authorities {
		// Somebody else may have got the port.
		dialer := tls.Dialer{Config: &tls.Config{RootCAs: authority}}
		if err := patiently(t, "who listens", func(ctx context.Context) error {
			c, err := dialer.DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			return c.Close()
		}); err == nil {
			t.Errorf("the cluster is still served at %s", address)
		}
	}
	if left := children(t, tmp); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
}

// Killed, km leaves neither the command nor what that has started, and no folder; and a command that is killed takes
// the cluster with it.
func TestThrowAwayKilled(t *testing.T) {
	t.Parallel()
	for _, whom := range []string{"km", "command"} {
		t.Run(whom, func(t *testing.T) {
			h, tmp := temporary(t)
			flags := throwAway("apiserver", `trap '' USR1; sleep 1000 & trap 'echo told' USR1; echo $$ started; while :; do wait; done`)
			flags = append(flags[:2:2], append([]string{"--apiserver.isolation=process"}, flags[2:]...)...)
			p := h.start(t, binary, flags...)
			p.await(p.stdout, "started")
			var pid int
			if _, err := fmt.Sscan(p.stdout.String(), &pid); err != nil {
				t.Fatal(err)
			}
			// Signals are forwarded once the sweeper knows of the command, which is a moment after that has started.
			if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
				t.Fatal(err)
			}
			p.await(p.stdout, "told")
			if whom != "command" {
				pid = p.cmd.Process.Pid
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			want := -1
			if whom == "command" {
				want = 128 + int(syscall.SIGKILL)
			}
			if code := p.wait(); code != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
			eventually(t, "all processes have ended", func() bool { return len(children(t, tmp)) == 0 })
			empty(t, tmp)
		})
	}
}

// In a terminal the command has the keys: Ctrl-C is for it alone, and Ctrl-Z stops it together with km, so that the
// shell gets the terminal back.
func TestThrowAwayInTerminal(t *testing.T) {
	t.Parallel()
	h, tmp := temporary(t)
	keys, screen, ended := shell{"bash", []string{"--noprofile", "-i"}, ".bashrc", "PS1='READY> '\n"}.open(t, h)
	see := func(text string) {
		t.Helper()
		awaitText(t, screen, text, ended)
	}
	typed := func(text string) {
		t.Helper()
		if _, err := keys.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	// The quotes keep what is typed, which is shown, too, from being what is waited for.
	typed("PS1='in''ner> ' km run apiserver --ephemeral --free-ports --quiet -- sh\r")
	see("inner> ") // what is typed before may be read by the shell around it
	screen.forget()
	typed("\x03") // ends no shell; it would end km
	see("inner> ")
	typed("km kubectl get names''pace default -o name\r")
	see("namespace/default")
	typed("exit 5\r")
	typed("echo exit''code $?\r")
	see("exitcode 5")

	typed("km run apiserver --ephemeral --free-ports --quiet -- sh -c 'echo list''ens; cat; echo en''ded; exit 6'\r")
	see("listens")
	typed("one li''ne\r")
	see("one li''ne\r\none li''ne") // as it is typed, and as cat has read it
	typed("\x1a")
	see("Stopped")
	typed("echo the she''ll\r")
	see("the shell")
	screen.forget()
	typed("fg\r")
	see("exit 6'") // the job that goes on
	typed("another li''ne\r")
	see("another li''ne\r\nanother li''ne")
	typed("\x04")
	see("ended")
	typed("echo exit''code $?\r")
	see("exitcode 6")

	// In the background it leaves the terminal to the shell. (The command waits without a child: a shell whose child is
	// stopped between vfork and exec is not stopped itself, and no shell around it would take the terminal back.)
	typed("mkfifo go-on\r")
	typed("km run apiserver --ephemeral --free-ports --quiet -- sh -c 'echo thi''rd; read line <go-on; exit 7'\r")
	see("third")
	screen.forget()
	typed("\x1a")
	see("Stopped")
	typed("bg\r")
	typed("echo >go-on; wait %1; echo exit''code $?\r")
	see("exitcode 7")
	typed("echo the same she''ll\r")
	see("the same shell")
	typed("exit\r")
	await(t, "the end of the shell", ended)
	empty(t, tmp)
}
