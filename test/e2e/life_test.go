package e2e

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// states are the servers that were reported to be in a state, in order.
func states(stdout, state string) []string {
	var servers []string
	for _, m := range regexp.MustCompile(`(?m)^  (\S+) +`+state+`\b`).FindAllStringSubmatch(stdout, -1) {
		servers = append(servers, m[1])
	}
	return servers
}

// A first start makes everything; a stop is orderly; what was stored is there after a stop and after a kill.
func TestStateSurvives(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	store := func(name string) {
		t.Helper()
		client := kubernetes.NewForConfigOrDie(h.config(t, "km"))
		object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if err := patiently(t, "storing "+name, func(ctx context.Context) error {
			_, err := client.CoreV1().ConfigMaps("default").Create(ctx, object, metav1.CreateOptions{})
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	stored := func(names ...string) {
		t.Helper()
		client := kubernetes.NewForConfigOrDie(h.config(t, "km"))
		for _, name := range names {
			if err := patiently(t, "reading "+name, func(ctx context.Context) error {
				_, err := client.CoreV1().ConfigMaps("default").Get(ctx, name, metav1.GetOptions{})
				return err
			}); err != nil {
				t.Errorf("stored before: %v", err)
			}
		}
	}

	p := h.run(t)
	store("before-stop")
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code after SIGTERM: %d, want 0", code)
	}
	stopped := states(p.stdout.String(), "stopped")
	if n := len(stopped); n != 6 || stopped[n-1] != "etcd" || stopped[n-2] != "apiserver" {
		t.Errorf("servers stopped in the order %v, want those that need the apiserver, then apiserver, etcd", stopped)
	}
	if ready := states(p.stdout.String(), "ready"); len(ready) != 6 || ready[0] != "etcd" || ready[1] != "apiserver" {
		t.Errorf("servers became ready in the order %v, want etcd, apiserver, then the others", ready)
	}

	p = h.run(t)
	stored("before-stop")
	store("before-kill")
	if code := p.stop(syscall.SIGKILL); code == 0 {
		t.Errorf("exit code after SIGKILL: 0")
	}

	p = h.run(t)
	stored("before-stop", "before-kill")
	if code := p.stop(syscall.SIGINT); code != 0 {
		t.Errorf("exit code after SIGINT: %d, want 0", code)
	}
}

// A second signal ends the process at once, with the code that shells give to a process that the signal ended.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	p := newHome(t).run(t, "apiserver", "--apiserver.shutdown-delay-duration=10m", "--apiserver.grace-period=10m")
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.await(p.stdout, "stopping")
	// What comes within a second is a copy of the first one: it is sent again until the process ends.
	eventually(t, "the end after a second signal", func() bool {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-p.done:
			return true
		default:
			return false
		}
	})
	if code := p.wait(); code != 128+int(syscall.SIGTERM) {
		t.Errorf("exit code %d, want %d", code, 128+int(syscall.SIGTERM))
	}
	if stderr := p.stderr.String(); !strings.Contains(stderr, "second signal") {
		t.Errorf("standard error does not say why it ended:\n%s", stderr)
	}
}

// A stop while starting is a stop, too.
func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	p := newHome(t).start(t, binary, "run", "--free-ports")
	p.await(p.stdout, "etcd                ready")
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestEphemeral(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.run(t, "--ephemeral")
	m := regexp.MustCompile(`in a temporary folder, (\S+)`).FindStringSubmatch(p.stdout.String())
	if m == nil {
		t.Fatalf("the folder is not named:\n%s", p.stdout)
	}
	if _, err := os.Stat(filepath.Join(m[1], "kubeconfig", "admin.conf")); err != nil {
		t.Error(err)
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if _, err := os.Stat(m[1]); !os.IsNotExist(err) {
		t.Errorf("%s is still there (%v)", m[1], err)
	}
	if entries, err := os.ReadDir(h.dir); err != nil || len(entries) > 0 {
		t.Errorf("left in HOME: %v (%v)", entries, err)
	}
}

// Two clusters side by side know nothing of each other.
func TestTwoClusters(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	a, b := h.run(t, "--name=a"), h.run(t, "--name=b")
	h.must(t, "--name=a", "kubectl", "create", "namespace", "only-a")
	if out := h.must(t, "kubectl", "--kubeconfig="+filepath.Join(h.dataDir("a"), "kubeconfig", "admin.conf"), "get", "namespace", "only-a", "-o", "name"); !strings.Contains(out, "namespace/only-a") {
		t.Errorf("cluster a: %s", out)
	}
	if r := h.km(t, "--name=b", "kubectl", "get", "namespace", "only-a"); r.code != 1 || !strings.Contains(r.stderr, "NotFound") {
		t.Errorf("cluster b: exit code %d, %s", r.code, r.stderr)
	}
	for _, p := range []*process{a, b} {
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	}
}

// Any selection works as it stands: what it needs joins, and is announced with the flag that would prevent it.
func TestSelections(t *testing.T) {
	t.Parallel()
	all := []string{"etcd", "apiserver", "controller-manager", "scheduler"}
	for _, test := range []struct {
		list string
		want []string
		join string
	}{
		{"apiserver,scheduler", []string{"etcd", "apiserver", "scheduler"}, "etcd joins: apiserver needs it (--apiserver.etcd-servers would name one elsewhere)"},
		{"apiserver,controller-manager", []string{"etcd", "apiserver", "controller-manager"}, "etcd joins"},
		{"scheduler,controller-manager", all, "apiserver joins: scheduler needs it (--scheduler.kubeconfig would name one elsewhere)"},
		{"etcd,apiserver", []string{"etcd", "apiserver"}, ""},
		{"etcd,scheduler", []string{"etcd", "apiserver", "scheduler"}, "apiserver joins"},
		{"etcd,controller-manager", []string{"etcd", "apiserver", "controller-manager"}, "apiserver joins"},
		{"kube-scheduler, scheduler ,kube-apiserver", []string{"etcd", "apiserver", "scheduler"}, "etcd joins"},
		{"executor", []string{"etcd", "apiserver", "executor"}, "apiserver joins: executor needs it (--executor.kubeconfig would name one elsewhere)"},
		{"proxy", []string{"etcd", "apiserver", "proxy"}, "apiserver joins: proxy needs it (--proxy.kubeconfig would name one elsewhere)"},
		{"minion", []string{"etcd", "apiserver", "executor", "proxy"}, "apiserver joins: executor needs it"},
		{"dns", []string{"etcd", "apiserver", "dns"}, "apiserver joins: dns needs it"},
		{"storage", []string{"etcd", "apiserver", "storage"}, "apiserver joins: storage needs it"},
		{"etcd", []string{"etcd"}, ""},
	} {
		t.Run(test.list, func(t *testing.T) {
			t.Parallel()
			if test.list == "proxy" {
				// It is a real one where it can be, and waits for half a minute for a node that has its name, as
				// upstream's does (k8s.io/kubernetes/pkg/proxy, NewNodeManager); here is none. Its rules are those of
				// the machine.
				lockMachine(t, "rules")
			}
			h := newHome(t)
			p := h.run(t, "--ephemeral", h.keepLogs(), test.list)
			ready := states(p.stdout.String(), "ready")
			slices.Sort(ready)
			want := slices.Sorted(slices.Values(test.want))
			if !slices.Equal(ready, want) {
				t.Errorf("ready: %v, want %v", ready, want)
			}
			if !strings.Contains(p.stdout.String(), test.join) || test.join == "" && strings.Contains(p.stdout.String(), "joins") {
				t.Errorf("want %q in\n%s", test.join, p.stdout)
			}
			if code := p.stop(syscall.SIGTERM); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
		})
	}
}

// Only the owner may read what is in the data folder, and what is made for him elsewhere, whatever the umask.
func TestFileModes(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	open := []string{"-c", `umask 000 && exec "$0" "$@"`, binary}
	p := h.start(t, "sh", append(open, "run", "--free-ports", "--scheduler.isolation=process", "--apiserver.isolation=process")...)
	p.waitReady()
	defer p.stop(syscall.SIGTERM)
	for _, args := range [][]string{{"kubeconfig", "--merge"}, {"snapshot", "save", filepath.Join(h.dir, "saved.db")}} {
		if r := h.do(t, "sh", append(open, args...)...); r.code != 0 {
			t.Errorf("%v: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
		}
	}
	sockets := 0
	err := filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == h.dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		// etcd's files have etcd's modes; nobody else gets past the folder around them.
		inEtcd := strings.Contains(path, "/etcd/")
		mode := info.Mode()
		if mode.Type() == fs.ModeSocket {
			sockets++
		}
		switch {
		case d.IsDir() && mode.Perm() != 0o700,
			mode.Type() == fs.ModeSocket && mode.Perm() != 0o600,
			mode.IsRegular() && !inEtcd && mode.Perm() != 0o600:
			t.Errorf("%s has mode %v", path, mode)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if sockets < 4 { // km.sock, etcd.sock, and those of two children
		t.Errorf("there are only %d sockets", sockets)
	}
}
