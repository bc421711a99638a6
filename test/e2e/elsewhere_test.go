package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// ownLoopback is a loopback address whose ports nobody else takes: on Linux all of 127.0.0.0/8 is there, nobody has
// come upon the same one of 16 million, and connections begin at 127.0.0.1.
func ownLoopback() string {
	if runtime.GOOS != "linux" {
		return "127.0.0.1"
	}
	return fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
}

// freeAddress is a loopback address with a port that is free, and stays so. It is for servers in classic mode, which
// cannot be handed a socket.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ownLoopback(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// classicEtcd runs an etcd in classic mode, called by a symlink, and returns where it serves.
func (h home) classicEtcd(t *testing.T) (etcd *process, address string) {
	t.Helper()
	links := filepath.Join(h.dir, "links")
	h.must(t, "--make-symlinks", "--dir", links)
	address = freeAddress(t)
	client, peer := "http://"+address, "http://"+freeAddress(t)
	etcd = h.start(t, filepath.Join(links, "etcd"), "--data-dir", filepath.Join(h.dir, "etcd"), "--unsafe-no-fsync",
		// It elects itself when the election timeout is over. While it has clients, a stop takes 5 s and two election
		// timeouts (go.etcd.io/etcd/server/v3/config, ReqTimeout).
		"--heartbeat-interval=20", "--election-timeout=100",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	etcd.await(etcd.stderr, "ready to serve client requests")
	return etcd, address
}

// An etcd elsewhere: a symlink named etcd is etcd, and the apiserver uses it in place of one of its own.
func TestEtcdElsewhere(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	etcd, address := h.classicEtcd(t)
	p := h.run(t, "apiserver", "--apiserver.etcd-servers=http://"+address, "--log-level=info", "--log-format=json")
	if ready := states(p.stdout.String(), "ready"); len(ready) != 1 || ready[0] != "apiserver" {
		t.Errorf("ready: %v, want the apiserver alone", ready)
	}
	h.must(t, "kubectl", "create", "namespace", "stored-elsewhere")
	// As upstream does, etcd ends itself with the signal that stopped it.
	if code := etcd.stop(syscall.SIGTERM); code != -1 {
		t.Errorf("exit code of etcd %d, want the signal", code)
	}
	// Without it, the apiserver's etcd clients complain through a logger of their own: these are the apiserver's lines,
	// too. They have something to complain of when they are asked.
	if r := h.km(t, "kubectl", "get", "--raw", "/livez/etcd"); r.code != 1 {
		t.Errorf("etcd is alive: exit code %d, %s", r.code, r.stdout)
	}
	p.await(p.stderr, `"logger":"etcd-client"`)
	// What waits for it is not waited for.
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code of km %d, want 0", code)
	}
	for _, line := range lines(p.stderr.String()) {
		var entry struct{ Server, Logger string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("not a JSON line: %v\n%s", err, line)
		} else if entry.Logger == "etcd-client" && entry.Server != "apiserver" {
			t.Errorf("not placed:\n%s", line)
		}
	}
}

// A control plane elsewhere: a scheduler joins it, and nothing else starts.
func TestControlPlaneElsewhere(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	control := h.run(t, "apiserver,controller-manager")
	kubeconfig := filepath.Join(h.dataDir("km"), "kubeconfig", "admin.conf")
	scheduler := h.run(t, "scheduler", "--name=other", "--scheduler.kubeconfig="+kubeconfig)
	if ready := states(scheduler.stdout.String(), "ready"); len(ready) != 1 || ready[0] != "scheduler" {
		t.Errorf("ready: %v, want the scheduler alone", ready)
	}
	h.must(t, "kubectl", "run", "pod", "--image=example.invalid/pod")
	h.must(t, "kubectl", "wait", "pod/pod", "--for=condition=PodScheduled=false", patient)
	if code := scheduler.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code of the scheduler %d, want 0", code)
	}
	if code := control.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code of the control plane %d, want 0", code)
	}
}

// Control planes by hand: an etcd elsewhere, the same keys, and leaders that are elected. When one is killed, the other
// one goes on, and its controllers and scheduler take over.
func TestControlPlanesByHand(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	_, address := h.classicEtcd(t)
	flags := []string{"--apiserver.etcd-servers=http://" + address, "--controller-manager.leader-elect", "--scheduler.leader-elect"}
	first := h.run(t, append([]string{"apiserver,controller-manager,scheduler", "--name=first"}, flags...)...)
	for _, key := range []string{"ca.crt", "ca.key", "front-proxy-ca.crt", "front-proxy-ca.key", "sa.key", "sa.pub"} {
		text, err := os.ReadFile(filepath.Join(h.dataDir("first"), "pki", key))
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(h.dataDir("second"), "pki", key)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, text, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	second := h.run(t, append([]string{"apiserver,controller-manager,scheduler,minion", "--name=second"}, flags...)...)
	h.must(t, "--name=first", "kubectl", "create", "namespace", "seen")
	h.must(t, "--name=second", "kubectl", "get", "namespace", "seen")
	if code := first.stop(syscall.SIGKILL); code != -1 {
		t.Errorf("exit code of the first %d", code)
	}
	h.must(t, "--name=second", "kubectl", "create", "deployment", "web", "--image=example.invalid/web")
	h.must(t, "--name=second", "kubectl", "rollout", "status", "deployment/web", patient)
	if code := second.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code of the second %d, want 0", code)
	}
}

// In classic mode and as symlinks the servers are upstream's: flags, output, exit codes.
func TestClassic(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	links := filepath.Join(h.dir, "links")
	made := lines(h.must(t, "--make-symlinks", "--dir", links))
	if len(made) != 17 {
		t.Errorf("links: %v", made)
	}
	link := func(name string) string { return filepath.Join(links, name) }
	for _, test := range []struct {
		command []string
		code    int
		want    string // in either output
	}{
		{[]string{binary, "apiserver", "--version"}, 0, "Kubernetes v1.37."},
		{[]string{link("kube-apiserver"), "--version"}, 0, "Kubernetes v1.37."},
		{[]string{link("kube-controller-manager"), "--version"}, 0, "Kubernetes v1.37."},
		{[]string{link("kube-scheduler"), "--version"}, 0, "Kubernetes v1.37."},
		{[]string{link("scheduler"), "--help"}, 0, "Usage:\n  kube-scheduler [flags]"},
		{[]string{binary, "controller-manager", "--help"}, 0, "Usage:\n  kube-controller-manager [flags]"},
		{[]string{binary, "apiserver", "--nonsense"}, 1, "unknown flag: --nonsense"},
		{[]string{binary, "scheduler", "argument"}, 1, "does not take any arguments"},
		{[]string{link("etcd"), "--version"}, 0, "etcd Version: 3.7."},
		{[]string{binary, "etcd", "--nonsense"}, 2, "flag provided but not defined: -nonsense"},
		{[]string{link("etcd"), "gateway", "--help"}, 0, "etcd gateway [command]"},
		{[]string{link("kubectl"), "version", "--client"}, 0, "Client Version: v1.37."},
		{[]string{binary, "kubectl", "--help"}, 0, "kubectl controls the Kubernetes cluster manager"},
		{[]string{binary, "help", "kubectl"}, 0, "kubectl controls the Kubernetes cluster manager"},
		{[]string{link("kubectl"), "nonsense"}, 1, `unknown command "nonsense" for "kubectl"`},
		{[]string{binary, "kubectl", "completion", "bash"}, 0, "# bash completion V2 for kubectl"},
	} {
		t.Run(strings.Join(test.command[1:], " "), func(t *testing.T) {
			r := h.do(t, test.command[0], test.command[1:]...)
			if r.code != test.code || !strings.Contains(r.stdout+r.stderr, test.want) {
				t.Errorf("%v: exit code %d, want %d, and %q in\n%s%s", test.command, r.code, test.code, test.want, r.stdout, r.stderr)
			}
		})
	}
}
