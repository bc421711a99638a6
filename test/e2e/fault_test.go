package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// othersUntouched checks that no server but these was started again.
func (h home) othersUntouched(t *testing.T, but ...string) {
	t.Helper()
	for _, s := range h.status(t).Servers {
		if !strings.Contains(strings.Join(but, " "), s.Name) && (s.Restarts > 0 || s.State != "ready") {
			t.Errorf("%+v", s)
		}
	}
}

// A controller-manager that has lost its lease would end the process; it is that server alone that fails, and starts
// again.
func TestLostLease(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	// Upstream gives it up when it could not be renewed for renew-deadline. A busy machine is not to need so long for
	// it.
	p := h.run(t, "--controller-manager.leader-elect=true", "--controller-manager.leader-elect-lease-duration=6s",
		"--controller-manager.leader-elect-renew-deadline=5s", "--controller-manager.leader-elect-retry-period=500ms")
	client := kubernetes.NewForConfigOrDie(h.config(t, "km"))
	leases := client.CoordinationV1().Leases("kube-system")
	var before int // restarts before the change: a machine that stands still for seconds takes the lease away, too
	change := func(what string, holder string) {
		t.Helper()
		poll(t, what, func(ctx context.Context) (bool, error) {
			lease, err := leases.Get(ctx, "kube-controller-manager", metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			lease.Spec.HolderIdentity = &holder
			lease.Spec.RenewTime = &metav1.MicroTime{Time: time.Now()}
			lease.Spec.LeaseDurationSeconds = ptr.To(int32(patience.Seconds()))
			before = h.server(t, "controller-manager").Restarts
			_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
			return err == nil, nil // it may have been renewed in between
		})
	}
	change("the lease is taken by somebody else", "somebody else")
	var s serverStatus
	eventually(t, "the controller-manager is started again", func() bool {
		s = h.server(t, "controller-manager")
		return s.State == "ready" && s.Restarts > before
	})
	// It cannot lose what somebody else has.
	if s.Restarts != before+1 {
		t.Errorf("it was started again %d times", s.Restarts-before)
	}
	h.othersUntouched(t, "controller-manager")
	// Others do not wait for one that does not lead.
	h.must(t, "restart", "scheduler")
	eventually(t, "the scheduler is ready again", func() bool { return h.server(t, "scheduler").State == "ready" })
	change("the lease is given up", "")
	if s := h.server(t, "controller-manager"); s.LastFailure == nil || !strings.Contains(s.LastFailure.Error, "leaderelection lost") {
		t.Errorf("it does not say why: %+v", s.LastFailure)
	}
	h.busy(t) // it leads again
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// etcd cannot go on when its database is nonsense: it fails for good at once, and so does the run, without waiting for
// what etcd would have to answer. With --keep-going the others go on.
func TestEtcdFails(t *testing.T) {
	t.Parallel()
	for _, keepGoing := range []bool{false, true} {
		t.Run(fmt.Sprint("keep going: ", keepGoing), func(t *testing.T) {
			h := newHome(t)
			p := h.run(t, "etcd,apiserver,scheduler", fmt.Sprint("--keep-going=", keepGoing))
			db := filepath.Join(h.dataDir("km"), "etcd", "member", "snap", "db")
			// It finds nonsense when it is started again. That takes its place in one step: km ends when the database
			// is missing.
			if err := os.Link(db, db+".kept"); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(db+".other", []byte(strings.Repeat("nonsense", 10_000)), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(db+".other", db); err != nil {
				t.Fatal(err)
			}
			r := h.km(t, "restart", "etcd")
			if r.code != 1 || !strings.Contains(r.stderr, "etcd failed: ") {
				t.Errorf("exit code %d, %s", r.code, r.stderr)
			}
			if !keepGoing {
				if code := p.wait(); code != 1 {
					t.Errorf("exit code %d, want 1", code)
				}
				if text := p.stderr.String(); !strings.Contains(text, "Error: etcd failed: etcd's data is damaged: ") || strings.Contains(text, "left behind") {
					t.Errorf("it does not say why, or has waited for a server in vain:\n%s", text)
				}
				return
			}
			eventually(t, "etcd has failed for good", func() bool { return h.server(t, "etcd").State == "failed" })
			if s := h.server(t, "scheduler"); s.State != "ready" {
				t.Errorf("%+v", s)
			}
			// The way out: what is wrong is mended, and it is started again.
			if err := os.Rename(db+".kept", db); err != nil {
				t.Fatal(err)
			}
			h.must(t, "start", "etcd")
			eventually(t, "kubectl", func() bool { return h.km(t, "kubectl", "get", "namespaces").code == 0 })
			if code := p.stop(syscall.SIGTERM); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
		})
	}
}

// A server in a process of its own dies alone, is started again, and says why; it dies with km.
func TestIsolation(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	isolated := []string{"etcd", "apiserver", "controller-manager", "scheduler", "executor", "proxy"}
	var args []string
	for _, name := range isolated {
		args = append(args, "--"+name+".isolation=process")
	}
	p := h.run(t, args...)
	h.busy(t)
	for _, name := range isolated {
		// The runtime's way to end with a traceback.
		before := h.server(t, name)
		before.kill(t, syscall.SIGABRT)
		eventually(t, name+" is started again", func() bool {
			s := h.server(t, name)
			return s.State == "ready" && s.Restarts > before.Restarts
		})
		if s := h.server(t, name); s.LastFailure == nil || !strings.Contains(s.LastFailure.Error, "SIGABRT") {
			t.Errorf("%s does not say why it failed: %+v", name, s.LastFailure)
		}
	}
	h.must(t, "status", "--wait=ready")
	h.busy(t)

	t.Run("log", func(t *testing.T) {
		for _, name := range isolated {
			found := false
			for _, l := range h.logLines(t, name) {
				if l.Server != name {
					t.Errorf("in the log of %s: %s", name, l.text)
				}
				found = found || l.Caller != ""
			}
			if !found {
				t.Errorf("%s has no line with its caller", name)
			}
		}
		h.must(t, "log-level", "scheduler", "v=6")
		h.must(t, "kubectl", "create", "deployment", "spoken-of", "--image=app")
		eventually(t, "a line at v=5", func() bool {
			for _, l := range h.logLines(t, "scheduler") {
				if l.verbosity() > 4 {
					return true
				}
			}
			return false
		})
	})
	t.Run("profile", func(t *testing.T) {
		file := filepath.Join(h.dir, "profile")
		h.must(t, "profile", "apiserver", "--seconds=1", "--output="+file)
		if info, err := os.Stat(file); err != nil || info.Size() == 0 {
			t.Errorf("%v, %v", info, err)
		}
	})

	var children []int
	for _, s := range h.status(t).Servers {
		children = append(children, s.PID)
	}
	p.stop(syscall.SIGKILL)
	for _, pid := range children {
		eventually(t, "a child dies with km", func() bool { return syscall.Kill(pid, 0) != nil })
	}

	p = h.run(t, args...)
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if stopped := states(p.stdout.String(), "stopped"); len(stopped) != 6 || stopped[5] != "etcd" || stopped[4] != "apiserver" {
		t.Errorf("stopped in the order %v", stopped)
	}
}

// What ends the process is told by the next run, and by `km status`.
func TestCrashIsTold(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.run(t, "etcd")
	pid := p.cmd.Process.Pid
	p.stop(syscall.SIGABRT)
	if r := h.km(t, "status"); r.code != 1 || !strings.Contains(r.stderr, fmt.Sprintf("the previous run (process %d)", pid)) || !strings.Contains(r.stderr, "SIGABRT") {
		t.Errorf("km status: exit code %d, %s", r.code, r.stderr)
	}
	p = h.run(t, "etcd")
	if !strings.Contains(p.stderr.String(), "SIGABRT") || !strings.Contains(p.stderr.String(), "crash.log.1") {
		t.Errorf("the next run says\n%s", p.stderr)
	}
	if s := h.status(t); s.Crash == nil || s.Crash.PID != pid || !strings.HasPrefix(s.Crash.Reason, "SIGABRT") {
		t.Errorf("the status says %+v", s.Crash)
	}
	p.stop(syscall.SIGKILL)
	p = h.run(t, "etcd")
	if !strings.Contains(p.stderr.String(), "without being stopped") {
		t.Errorf("after a kill, the next run says\n%s", p.stderr)
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if r := h.run(t, "etcd"); strings.Contains(r.stderr.String(), "previous run") {
		t.Errorf("after a stop, the next run says\n%s", r.stderr)
	}
}
