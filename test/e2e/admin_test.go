package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// status is what the admin API tells of a run.
type status struct {
	PID   int `json:"pid"`
	Crash *struct {
		PID    int    `json:"pid"`
		Server string `json:"server"`
		Reason string `json:"reason"`
		File   string `json:"file"`
	} `json:"crash"`
	Servers []serverStatus `json:"servers"`
}

type serverStatus struct {
	Name        string `json:"name"`
	State       string `json:"state"`
	Error       string `json:"error"`
	Restarts    int    `json:"restarts"`
	Address     string `json:"address"`
	LastFailure *struct {
		Error string `json:"error"`
	} `json:"lastFailure"`
	Isolation string `json:"isolation"`
	PID       int    `json:"pid"`
}

// status asks `km status`.
func (h home) status(t testing.TB) *status {
	t.Helper()
	var s status
	if err := json.Unmarshal([]byte(h.must(t, "status", "-o", "json")), &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// server is what is known of a server. It is asked for often, of the API itself: a command would cost a process each
// time.
func (h home) server(t testing.TB, name string) (s serverStatus) {
	t.Helper()
	if err := json.Unmarshal([]byte(h.ask(t, "/v1/servers/"+name)), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// kill sends a signal to the process of an isolated server.
func (s serverStatus) kill(t testing.TB, signal syscall.Signal) {
	t.Helper()
	if s.PID <= 0 { // kill(2) has another meaning for it
		t.Fatalf("%s has no process: %+v", s.Name, s)
	}
	if err := syscall.Kill(s.PID, signal); err != nil {
		t.Fatal(err)
	}
}

// ask asks the admin API of the cluster "km".
func (h home) ask(t testing.TB, path string) string {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		socket := filepath.Join(h.dataDir("km"), "km.sock")
		if real, err := os.Readlink(socket); err == nil {
			socket = real
		}
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	answer, err := client.Get("http://km" + path)
	var text []byte
	if err == nil {
		defer answer.Body.Close()
		text, err = io.ReadAll(answer.Body)
	}
	if late := (net.Error)(nil); errors.As(err, &late) && late.Timeout() {
		hang(t, "the answer to "+path)
	}
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %s", path, answer.Status, text)
	}
	return string(text)
}

// eventually waits until f is true, which something that has been caused already will make it.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	poll(t, what, func(context.Context) (bool, error) { return f(), nil })
}

// A run is looked at and steered by commands while kubectl works.
func TestSteer(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	at := ownLoopback() // a port that has been given back is to be there again
	p := h.start(t, binary, "run", "--free-ports", "--apiserver.bind-address="+at, "--controller-manager.bind-address="+at, "--scheduler.bind-address="+at)
	if out := h.must(t, "status", "--wait=ready"); strings.Count(out, " ready ") != 6 {
		t.Errorf("km status:\n%s", out)
	}
	if text := h.ask(t, "/readyz?verbose"); !strings.Contains(text, "[+]controller-manager ok\n") || !strings.HasSuffix(text, "readyz check passed\n") {
		t.Errorf("/readyz?verbose: %s", text)
	}

	t.Run("restart", func(t *testing.T) {
		h.must(t, "restart", "scheduler")
		if s := h.server(t, "scheduler"); s.State != "ready" || s.Restarts != 1 || s.LastFailure != nil {
			t.Errorf("%+v", s)
		}
	})
	t.Run("stop", func(t *testing.T) {
		if r := h.km(t, "stop", "apiserver"); r.code != 1 || !strings.Contains(r.stderr, "scheduler needs apiserver") || !strings.Contains(r.stderr, "--yes") {
			t.Errorf("exit code %d, %s", r.code, r.stderr)
		}
		out := h.must(t, "stop", "--yes", "apiserver")
		for _, name := range []string{"apiserver", "controller-manager", "scheduler", "executor", "proxy"} {
			if !strings.Contains(out, name+" is stopped\n") {
				t.Errorf("%s is not stopped:\n%s", name, out)
			}
		}
		stopped := states(p.stdout.String(), "stopped")
		if last := stopped[len(stopped)-1]; last != "apiserver" {
			t.Errorf("stopped in the order %v, want the apiserver last", stopped)
		}
		if s := h.server(t, "etcd"); s.State != "ready" {
			t.Errorf("%+v", s)
		}
		// Nobody is left waiting at its port.
		if r := h.km(t, "kubectl", "get", "--raw", "/version", "--request-timeout=30s"); r.code == 0 || !strings.Contains(r.stderr, "refused") {
			t.Errorf("kubectl: exit code %d, %s%s", r.code, r.stdout, r.stderr)
		}
	})
	t.Run("start", func(t *testing.T) {
		h.must(t, "start", "controller-manager,scheduler", "minion")
		h.must(t, "status", "--wait=ready")
		h.busy(t)
	})
	t.Run("log-level", func(t *testing.T) {
		h.must(t, "log-level", "scheduler", "v=5")
		h.must(t, "kubectl", "create", "deployment", "spoken-of", "--image=app")
		eventually(t, "a line at v=5", func() bool {
			for _, l := range h.logLines(t, "scheduler") {
				if l.verbosity() > 2 {
					return true
				}
			}
			return false
		})
	})
	t.Run("top", func(t *testing.T) {
		out := h.must(t, "top", "-1")
		for _, name := range []string{"etcd", "apiserver", "controller-manager", "scheduler", "executor", "proxy", "km"} {
			if !strings.Contains("\n"+out, "\n"+name+" ") {
				t.Errorf("no %s in\n%s", name, out)
			}
		}
	})
	t.Run("analyze", func(t *testing.T) {
		if out := h.must(t, "analyze"); !strings.Contains(out, "apiserver @") || !strings.Contains(out, "etcd @") {
			t.Errorf("the critical chain lacks servers:\n%s", out)
		}
	})
	t.Run("metrics", func(t *testing.T) {
		text := h.ask(t, "/metrics")
		for _, want := range []string{`km_server_state{server="etcd",state="ready"} 1`, `km_server_restarts_total{server="scheduler"} `, `km_server_cpu_seconds_total{server="apiserver"} `} {
			if !strings.Contains(text, want) {
				t.Errorf("no %s in the metrics", want)
			}
		}
	})
	if code := p.stop(15); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if r := h.km(t, "status"); r.code != 1 || !strings.Contains(r.stderr, "km is not running") || strings.Contains(r.stderr, "previous run") {
		t.Errorf("km status after a stop: exit code %d, %s", r.code, r.stderr)
	}
}
