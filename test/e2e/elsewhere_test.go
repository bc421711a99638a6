package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// freePort is a port that was free a moment ago. It is for servers in classic mode, which cannot be handed a socket.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// An etcd elsewhere: a soft link named etcd is etcd, and the apiserver uses it in place of one of its own.
func TestEtcdElsewhere(t *testing.T) {
	h := newHome(t)
	links := filepath.Join(string(h), "links")
	h.must(t, "--make-symlinks", "--dir", links)
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", freePort(t)), fmt.Sprintf("http://127.0.0.1:%d", freePort(t))
	etcd := h.start(t, filepath.Join(links, "etcd"), "--data-dir", filepath.Join(string(h), "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	if err := etcd.stderr.wait("ready to serve client requests", etcd.done); err != nil {
		t.Fatal(err)
	}
	p := h.run(t, "apiserver", "--apiserver.etcd-servers="+client, "--log-level=info", "--log-format=json")
	if ready := states(p.stdout.String(), "ready"); len(ready) != 1 || ready[0] != "apiserver" {
		t.Errorf("ready: %v, want the apiserver alone", ready)
	}
	h.must(t, "kubectl", "create", "namespace", "stored-elsewhere")
	// As upstream does, etcd ends itself with the signal that stopped it.
	if code := etcd.stop(syscall.SIGTERM); code != -1 {
		t.Errorf("exit code of etcd %d, want the signal", code)
	}
	// Without it, the apiserver's etcd clients complain through a logger of their own: these are the apiserver's lines, too.
	if err := p.stderr.wait(`"logger":"etcd-client"`, p.done); err != nil {
		t.Errorf("no line of an etcd client: %v", err)
	}
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

// In classic mode and as soft links the servers are upstream's: flags, output, exit codes.
func TestClassic(t *testing.T) {
	h := newHome(t)
	links := filepath.Join(string(h), "links")
	made := lines(h.must(t, "--make-symlinks", "--dir", links))
	if len(made) != 16 {
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
