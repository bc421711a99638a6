package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// The commands of the README run as they stand, in its order, in an empty HOME. Those that build are what made this
// test.
func TestReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	h := newHome(t)
	lockMachine(t, "ports") // `km run` as it stands takes the default ones
	var cluster *process
	file := regexp.MustCompile("(?s)```yaml\n(.+?)```").FindStringSubmatch(string(text))
	if file == nil {
		t.Fatal("there is no config file in the README")
	}
	writeFile(t, filepath.Join(h.dir, "km.yaml"), file[1])
	ran := 0
	for _, m := range regexp.MustCompile(`(?m)^\$ (.+)$`).FindAllStringSubmatch(string(text), -1) {
		command := m[1]
		switch {
		case strings.HasPrefix(command, "git clone"), strings.HasPrefix(command, "make "):
			target := strings.TrimPrefix(command, "make ")
			makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
			if err != nil {
				t.Fatal(err)
			}
			if target != command && !strings.Contains(string(makefile), "\n"+target+":") {
				t.Errorf("the Makefile has no target %q", target)
			}
		case command == "km run":
			cluster = h.start(t, binary, "run")
			cluster.waitReady()
			// The screen that the README shows.
			for _, shown := range []string{"km: starting etcd, apiserver, controller-manager, scheduler, executor, proxy in ", "https://127.0.0.1:6443", "export KUBECONFIG="} {
				if !strings.Contains(cluster.stdout.String(), shown) || !strings.Contains(string(text), shown) {
					t.Errorf("%q is not both in the README and on the screen", shown)
				}
			}
			ran++
		default:
			if r := h.do(t, "sh", "-c", "cd && "+command); r.code != 0 {
				t.Errorf("%s: exit code %d\n%s%s", command, r.code, r.stdout, r.stderr)
			}
			ran++
		}
	}
	if cluster == nil || ran < 6 {
		t.Fatalf("only %d commands found", ran)
	}

	// What the table shows, beside the cluster that runs.
	second := h.start(t, "sh", "-c", "exec km run --name=two --free-ports --apiserver.event-ttl=2h --controller-manager.v=4 --feature-gates=APIServingWithRoutine=true --scheduler.log-level=v=5")
	second.waitReady()
	if out := h.must(t, "--name=two", "kubectl", "get", "namespace", "default", "-o", "name"); out != "namespace/default\n" {
		t.Errorf("the second cluster: %q", out)
	}
	if stderr := second.stderr.String(); !strings.Contains(stderr, " I scheduler") || strings.Contains(stderr, " I apiserver") {
		t.Error("--scheduler.log-level does not show the scheduler's lines, or shows others'")
	}
	for _, p := range []*process{second, cluster} {
		if code := p.stop(syscall.SIGINT); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	}
}
