package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// quoted are the commands in backticks.
var quoted = regexp.MustCompile("`([^`]+)`")

// Who types what km tells to type, in a terminal of their own, reaches this cluster: whatever the binary is called, and
// wherever the state is.
func TestHintsWorkAsTheyStand(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	downloaded := filepath.Join(h.dir, "km-linux-amd64 (1)")
	if err := os.Symlink(binary, downloaded); err != nil {
		t.Fatal(err)
	}
	state := []string{"--name=two", "--data-dir=" + filepath.Join(h.dir, "it's $HOME")}
	typed := func(want, text string) string {
		t.Helper()
		if !strings.Contains(text, "'"+downloaded+"'") || !strings.Contains(text, "--name=two --data-dir='"+h.dir+`/it'\''s $HOME'`) ||
			!strings.Contains(text, want) {
			t.Fatalf("it is not %s of this cluster: %s", want, text)
		}
		return text
	}
	hint := func(want string, args ...string) string {
		t.Helper()
		r := h.do(t, downloaded, append(args, state...)...)
		m := quoted.FindStringSubmatch(r.stderr)
		if r.code != 1 || m == nil {
			t.Fatalf("%v: exit code %d, %q", args, r.code, r.stderr)
		}
		return typed(want, m[1])
	}

	// Before there is a cluster, all say how to start it.
	for _, command := range []string{"status", "logs", "kubeconfig", "snapshot save x", "repair"} {
		hint(" run ", strings.Fields(command)...)
	}
	r := h.do(t, downloaded, append(state, "kubectl", "get", "pods")...)
	start := quoted.FindStringSubmatch(r.stderr)
	if r.code != 1 || start == nil {
		t.Fatalf("kubectl: exit code %d, %q", r.code, r.stderr)
	}
	p := h.start(t, "sh", "-c", "exec "+typed(" run ", start[1])+" apiserver --free-ports")
	p.waitReady()
	p.await(p.stdout, " goes on where it was.")
	screen := p.stdout.String()
	for pattern, want := range map[string]string{
		`without kubectl: (.* kubectl get namespaces)\)`: "kube-system",
		"(?m)^  (.* logs -f .*)$":                        "etcd",
	} {
		m := regexp.MustCompile(pattern).FindStringSubmatch(screen)
		if m == nil {
			t.Fatalf("there is no %s in\n%s", pattern, screen)
		}
		c := h.start(t, "sh", "-c", "exec "+typed("", m[1]))
		c.await(c.stdout, want)
	}
	typed(" run ", quoted.FindStringSubmatch(screen)[1])
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// In a pod beside Services that are named like km's servers there are variables that nobody has set for km.
func TestServicesNamedLikeServers(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	var env []string
	for _, service := range []string{"KM", "KM_ETCD", "KM_APISERVER", "KM_APISERVER_SECURE", "KM_CONTROLLER_MANAGER"} {
		for name, value := range map[string]string{"SERVICE_HOST": "10.96.0.7", "SERVICE_PORT": "443", "SERVICE_PORT_HTTPS": "443", "PORT": "tcp://10.96.0.7:443",
			"PORT_443_TCP": "tcp://10.96.0.7:443", "PORT_443_TCP_PROTO": "tcp", "PORT_443_TCP_PORT": "443", "PORT_443_TCP_ADDR": "10.96.0.7"} {
			env = append(env, service+"_"+name+"="+value)
		}
	}
	r := h.do(t, "env", append(env, binary, "run", "--print-config")...)
	if r.code != 0 || r.stderr != "" || strings.Contains(r.stdout, "10.96.0.7") || strings.Contains(r.stdout, "# KM_") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if r := h.do(t, "env", append(env, "KM_APISERVER_SECURE_PROT=6443", binary, "run", "--print-config")...); r.code != 2 ||
		!strings.Contains(r.stderr, "did you mean KM_APISERVER_SECURE_PORT?") {
		t.Errorf("a mistake: exit code %d\n%s", r.code, r.stderr)
	}
}
