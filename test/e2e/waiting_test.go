package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// A server that is stopped while it waits for another one gives back what it has opened for its start, and can start
// again: each server that is made beforehand, and one that is not.
func TestStopWhileWaiting(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	at := ownLoopback() // a port that has been given back is to be there again
	p := h.run(t, "apiserver,controller-manager,scheduler", "--apiserver.bind-address="+at, "--controller-manager.bind-address="+at, "--scheduler.bind-address="+at)
	for _, test := range []struct{ server, needs string }{{"apiserver", "etcd"}, {"controller-manager", "apiserver"}, {"scheduler", "apiserver"}} {
		address := strings.TrimPrefix(h.server(t, test.server).Address, "https://")
		h.must(t, "stop", "--yes", test.needs)
		for range 2 {
			if r := h.km(t, "restart", test.server); r.code != 1 || !strings.Contains(r.stderr, test.server+" waits for "+test.needs) {
				t.Errorf("%s does not wait: exit code %d, %s", test.server, r.code, r.stderr)
			}
			h.must(t, "stop", "--yes", test.server)
			if listens(t, address) {
				t.Errorf("%s listens at %s, and is stopped", test.server, address)
			}
		}
		h.must(t, "start", "controller-manager", "scheduler")
		if got := strings.TrimPrefix(h.server(t, test.server).Address, "https://"); got != address || !listens(t, address) {
			t.Errorf("%s is at %s, and was at %s", test.server, got, address)
		}
	}
	for _, s := range h.status(t).Servers {
		if s.LastFailure != nil {
			t.Errorf("%s has failed: %v", s.Name, s.LastFailure)
		}
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A start that never succeeds ends, however slowly each try fails, and a command that waits for it does, too.
func TestSlowStartFails(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.start(t, binary, "run", "apiserver", "--free-ports", "--ephemeral", h.keepLogs(),
		"--apiserver.etcd-servers=http://127.0.0.1:1", "--", "echo", "it was run")
	const why = "etcd does not answer at http://127.0.0.1:1, where --apiserver.etcd-servers says that it is"
	p.await(p.stderr, why) // after 20 s, upstream's dialTimeout (k8s.io/apiserver/pkg/storage/storagebackend/factory)
	// A stop does not wait for what cannot be interrupted.
	if code := p.stop(syscall.SIGTERM); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code of the one that was stopped: %d", code)
	}
	for _, text := range []string{` W apiserver  is still starting for=\d+s try=1`, "  apiserver  backoff "} {
		if !regexp.MustCompile(text).MatchString(p.stderr.String()) {
			t.Errorf("what is tried is not told: there is no %q", text)
		}
	}
	if strings.Contains(p.stderr.String(), "left behind") {
		t.Error("the stop has left it behind")
	}
}

// Copies of one signal are one wish: the servers end in order. Another one a second later ends all at once.
func TestCopiesOfASignal(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	for _, copies := range [][]syscall.Signal{{syscall.SIGINT, syscall.SIGINT}, {syscall.SIGINT, syscall.SIGTERM}, {syscall.SIGTERM, syscall.SIGTERM, syscall.SIGTERM}} {
		p := h.run(t, "apiserver", "--ephemeral", h.keepLogs())
		for _, s := range copies[1:] {
			if err := p.cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
		}
		if code := p.stop(copies[0]); code != 0 {
			t.Errorf("%v: exit code %d", copies, code)
		}
		if stopped := states(p.stdout.String(), "stopped"); len(stopped) != 2 || stopped[1] != "etcd" {
			t.Errorf("%v: stopped: %v", copies, stopped)
		}
	}
	// A command is told once, and of each kind; the two come in this order.
	r := h.km(t, "run", "etcd", "--ephemeral", "--quiet", "--", "sh", "-c",
		`n=0; trap 'n=$((n+1))' INT; trap 'exit $((40+n))' TERM; kill -INT $PPID; kill -INT $PPID; kill -TERM $PPID; while :; do sleep 0.01; done`)
	if r.code != 41 {
		t.Errorf("exit code %d, want that of a command that was told once\n%s", r.code, r.stderr)
	}
}

// The socket of the API is opened anew where somebody has removed it.
func TestSocketRemoved(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.run(t, "etcd")
	if err := os.Remove(filepath.Join(h.dataDir("km"), "km.sock")); err != nil {
		t.Fatal(err)
	}
	h.must(t, "restart", "etcd")
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// A restart that cannot succeed is refused before anything is stopped, where that can be seen; what the API refuses
// fails the command. The run goes on, and what was applied stays.
func TestRestartRefused(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	at := func(path string) string { return filepath.Join(h.dir, path) }
	file := writeFile(t, at("one.yaml"), configMap("one", "x"))
	scheduler := writeFile(t, at("scheduler.yaml"), "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n")
	authorization := writeFile(t, at("authorization.yaml"), "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\n"+
		"authorizers:\n- {type: Node, name: node}\n- {type: RBAC, name: rbac}\n")
	if err := syscall.Mkfifo(at("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	writer := h.start(t, "sh", "-c", `printf '`+strings.ReplaceAll(configMap("two", "x"), "\n", `\n`)+`' >"$1"`, "sh", at("pipe"))
	p := h.run(t, "apiserver,scheduler", "--apply="+file, "--apply="+at("pipe"), "--scheduler.config="+scheduler, "--apiserver.authorization-config="+authorization)
	if code := writer.wait(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	starts := func() string {
		t.Helper()
		var all []string
		for _, s := range h.status(t).Servers {
			all = append(all, s.Name+" "+s.State)
		}
		return strings.Join(all, ", ")
	}
	ready := starts()
	refused := func(want string, args ...string) {
		t.Helper()
		if r := h.km(t, args...); r.code != 1 || !strings.Contains(r.stderr, want) || r.stdout != "" {
			t.Errorf("%v: exit code %d, want %q in\n%s%s", args, r.code, want, r.stdout, r.stderr)
		}
	}
	// What came through the pipe is kept.
	h.must(t, "kubectl", "delete", "configmap", "two")
	h.must(t, "restart", "manifests")
	h.applied(t, "configmap", "two", ".data.value", "x")

	writeFile(t, file, configMap("one", "y")+"---\na: 1\n b: 2\n")
	refused("manifests is not restarted, and stays ready: "+file+":", "restart", "manifests")
	refused("manifests is not restarted, and stays ready: ", "restart", "--no-wait", "scheduler,manifests")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	refused("--apply="+file+": no such file or directory", "restart", "manifests")
	writeFile(t, scheduler, "nonsense: [")
	refused("scheduler is not restarted, and stays ready: ", "restart", "scheduler")
	writeFile(t, authorization, "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers: []\n")
	refused("apiserver is not restarted, and stays ready: ", "restart", "apiserver")
	if now := starts(); now != ready {
		t.Errorf("the servers are %s, and were %s", now, ready)
	}
	h.applied(t, "configmap", "one", ".data.value", "x")

	h.must(t, "stop", "manifests")
	refused("manifests is not started, and stays stopped: ", "start", "manifests")
	for _, what := range []string{"start", "restart"} {
		writeFile(t, file, configMap("one", "y")+"dada: {}\n")
		refused("field not declared in schema", what, "manifests")
		if s := h.server(t, "manifests"); s.State != "failed" || s.LastFailure == nil || !strings.Contains(s.LastFailure.Error, "field not declared") {
			t.Errorf("after a %s that the API refused: %+v", what, s)
		}
		writeFile(t, file, configMap("one", what))
		h.must(t, "start", "manifests")
		h.applied(t, "configmap", "one", ".data.value", what)
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
