package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
)

// In processes of their own the kubelet, the proxy and the storage can be started again, by a command and after a kill;
// pods and Services get through it. In the process of the others they say that they cannot.
func TestRealNodeIsolated(t *testing.T) {
	t.Parallel()
	n := newRealNode(t)
	n.runContainerd(t)
	p := n.runKM(t, "--executor.isolation=process", "--proxy.isolation=process", "--storage.isolation=process", "--dns.isolation=process")
	n.applyReal(t, realWeb("web", 1))
	n.kubectl(t, "rollout", "status", "deployment/web", patient)
	url := "http://" + n.value(t, "service/web", "{.spec.clusterIP}") + "/healthz"
	answers := func(t *testing.T) {
		t.Helper()
		poll(t, "the Service's answer", func(context.Context) (bool, error) {
			code, _, err := n.attempt(url)
			return err == nil && code == http.StatusOK, nil
		})
	}
	answers(t)
	container := func() string {
		return n.value(t, "pods", "{.items[0].status.containerStatuses[0].containerID}")
	}
	for _, name := range []string{"executor", "proxy", "storage", "dns"} {
		t.Run("killed "+name, func(t *testing.T) {
			before, running := n.server(t, name), container()
			if before.Isolation != "process" || before.PID == n.status(t).PID {
				t.Fatalf("%+v", before)
			}
			n.command(t, "sh", "-c", fmt.Sprintf("kill -KILL %d", before.PID)) // it has that number there
			// For a moment it is ready without a process.
			eventually(t, name+" is started again", func() bool {
				s := n.server(t, name)
				return s.State == "ready" && s.Restarts > before.Restarts
			})
			if s := n.server(t, name); s.PID == 0 || s.PID == before.PID {
				t.Errorf("%+v, and before %+v", s, before)
			}
			answers(t)
			if now := container(); now != running {
				t.Errorf("the pod's container is %s, and was %s", now, running)
			}
		})
		t.Run("restarted "+name, func(t *testing.T) {
			before := n.server(t, name)
			n.must(t, "restart", name)
			if s := n.server(t, name); s.State != "ready" || s.Restarts != before.Restarts+1 || s.PID == before.PID {
				t.Errorf("%+v, and before %+v", s, before)
			}
			n.kubectl(t, "rollout", "status", "deployment/web", patient)
			answers(t)
		})
	}
	for _, s := range n.status(t).Servers {
		if s.Isolation == "none" && s.Restarts > 0 {
			t.Errorf("%+v", s)
		}
	}
	n.kubectl(t, "delete", "deployment", "web", patient)
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	n.noContainers(t)
	if tables := n.nftables(t); strings.Contains(tables, "kube-proxy") {
		t.Errorf("left in nftables:\n%s", tables)
	}

	t.Run("in the process of the others", func(t *testing.T) {
		p := n.runKM(t)
		for _, name := range []string{"executor", "proxy", "storage"} {
			r := n.home.km(t, "restart", name)
			if r.code != 1 || !strings.Contains(r.stderr, name+" can start only once in a process") || !strings.Contains(r.stderr, "--"+name+".isolation=process") {
				t.Errorf("exit code %d, %s", r.code, r.stderr)
			}
			if s := n.server(t, name); s.State != "ready" {
				t.Errorf("%+v", s)
			}
		}
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	})
}
