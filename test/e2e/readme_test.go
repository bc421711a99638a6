package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// typed are the commands that a page shows behind a prompt, in its order.
func typed(page string) (commands []string) {
	for _, m := range regexp.MustCompile(`(?m)^\$ (.+)$`).FindAllStringSubmatch(page, -1) {
		commands = append(commands, m[1])
	}
	return commands
}

// types runs a command as somebody types it, in HOME.
func (h home) types(t *testing.T, command string) {
	t.Helper()
	if r := h.do(t, "sh", "-c", "cd && "+command); r.code != 0 {
		t.Errorf("%s: exit code %d\n%s%s", command, r.code, r.stdout, r.stderr)
	}
}

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
	ran := 0
	for _, command := range typed(string(text)) {
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
			h.types(t, command)
			ran++
		}
	}
	if cluster == nil || ran < 6 {
		t.Fatalf("only %d commands found", ran)
	}

	// What the table in how-to.md shows, beside the cluster that runs.
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

// The commands that topics show run as they stand, in their order, in an empty HOME beside a cluster. What a topic
// shows as km.yaml is there. PROGRAM, in those of the framework, is km.
func TestTopics(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	listed := newHome(t).must(t, "help", "topics")
	topics, tried := 0, 0
	for _, rooms := range []string{"servers", "supervisor"} {
		err := filepath.WalkDir(filepath.Join(root, rooms), func(path string, _ fs.DirEntry, err error) error {
			name, isPage := strings.CutSuffix(filepath.Base(path), ".md")
			if err != nil || !isPage {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			topics++
			if !strings.Contains(listed, "\n  "+name+" ") {
				t.Errorf("`km help topics` does not list %s, of %s", name, path)
			}
			page := strings.ReplaceAll(string(text), "PROGRAM", "km")
			if commands := typed(page); len(commands) > 0 {
				tried++
				t.Run(name, func(t *testing.T) { tryTopic(t, page, commands) })
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if topics < 20 || tried < 10 {
		t.Errorf("only %d topics found, %d with commands", topics, tried)
	}
}

func tryTopic(t *testing.T, page string, commands []string) {
	t.Parallel()
	h := newHome(t)
	if strings.Contains(page, "\nSaved as `km.yaml`:\n") {
		file := regexp.MustCompile("(?s)```yaml\n(.+?)```").FindStringSubmatch(page)
		if file == nil {
			t.Fatal("there is no config file")
		}
		writeFile(t, filepath.Join(h.dir, "km.yaml"), file[1])
	}
	p := h.run(t)
	for _, command := range commands {
		h.types(t, command)
	}
	if code := p.stop(syscall.SIGINT); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
