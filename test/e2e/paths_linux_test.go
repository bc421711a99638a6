package e2e

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// oddNames are names of folders, of characters that mean something in URLs, in lists, in a shell, on a screen, or are
// no text. Each of them stands for itself only.
var oddNames = map[string]string{
	"fragments":      "notes#old",
	"URLs and lists": "a#b?c%2fd%zz,e:f;g&h=i@j+k",
	"shells":         "-x 'y\"z`$HOME\\n$(exit 1)*[a]{b,c}|<>~!",
	"no text":        "ü\xff\xfe\n\ttab \u202e",
	"long":           strings.Repeat("long", 60),
}

// oddPlace is a folder of an odd name, beside files whose names are what is left of it where somebody cuts it off.
type oddPlace struct {
	h      home
	folder string
	beside []string // what is there beside it
	links  string   // a folder that comes first in the PATH
}

const precious = "not km's"

func newOddPlace(t *testing.T, name string) *oddPlace {
	t.Helper()
	root, err := os.MkdirTemp("", "km-e2e-") // t.TempDir is long by itself
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	o := &oddPlace{h: homeIn(t, root), folder: filepath.Join(root, name)}
	for i := 1; i < len(name); i++ {
		if strings.IndexByte("#?%,:;&=@ '\"`$\\\n\t", name[i]) >= 0 {
			o.write(t, filepath.Join(root, name[:i]), precious)
		}
	}
	if err := os.Mkdir(o.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	o.beside = o.list(t)
	return o
}

func (o *oddPlace) write(t *testing.T, path, text string) {
	t.Helper()
	err := os.MkdirAll(filepath.Dir(path), 0o700)
	if err == nil {
		err = os.WriteFile(path, []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (o *oddPlace) list(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(o.h.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// path is one in the folder.
func (o *oddPlace) path(elem ...string) string {
	return filepath.Join(append([]string{o.folder}, elem...)...)
}

// untouched checks that nothing has changed beside the folder.
func (o *oddPlace) untouched(t *testing.T) {
	t.Helper()
	if names := o.list(t); !slices.Equal(names, o.beside) {
		t.Errorf("beside the folder there is %q, want %q", names, o.beside)
	}
	for _, name := range o.beside {
		path := filepath.Join(o.h.dir, name)
		if path == o.folder {
			continue
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != precious {
			t.Errorf("%q: %q (%v)", name, text, err)
		}
	}
}

// km runs the binary with temporary files in the folder, too.
func (o *oddPlace) km(t *testing.T, args ...string) result {
	t.Helper()
	if err := os.MkdirAll(o.path("tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	r := o.h.do(t, "env", append([]string{"TMPDIR=" + o.path("tmp"), "HOME=" + o.path("home"),
		"PATH=" + strings.Join([]string{o.links, filepath.Dir(binary), os.Getenv("PATH")}, ":"), binary}, args...)...)
	if r.code != 0 {
		t.Errorf("km %.20q…: exit code %d\n%s%s", args, r.code, r.stdout, r.stderr)
	}
	return r
}

// oddScript runs beside the servers: by the environment and without it kubectl finds the cluster, and so do km's own
// commands.
const oddScript = `set -e
km kubectl get configmap applied -o name
unset KUBECONFIG
km kubectl get configmap applied -o name
KUBECONFIG=$(km kubeconfig) kubectl get configmap built -o name
km kubectl whoami
KUBECONFIG=$(km kubeconfig) kubectl whoami
km snapshot save "$1/running.db" >&2
km status >&2
km logs scheduler --tail=1 >&2`

// Whatever the path is, all works in all places where one can be named, and nothing happens elsewhere.
func TestOddPaths(t *testing.T) {
	t.Parallel()
	links := t.TempDir()
	if err := os.Symlink(binary, filepath.Join(links, "kubectl")); err != nil {
		t.Fatal(err)
	}
	plugin := "#!/bin/sh\nexec \"${KUBECTL_PATH:-kubectl}\" get configmap applied -o name\n"
	if err := os.WriteFile(filepath.Join(links, "kubectl-whoami"), []byte(plugin), 0o700); err != nil {
		t.Fatal(err)
	}
	for what, name := range oddNames {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			o := newOddPlace(t, name)
			o.links = links
			o.write(t, o.path("km.yaml"), "servers: [apiserver, scheduler]\nfree-ports: true\n")
			o.write(t, o.path("applied.yaml"), configMap("applied", "x"))
			o.write(t, o.path("built", "map.yaml"), configMap("built", "x"))
			o.write(t, o.path("built", "kustomization.yaml"), "resources: [map.yaml]\n")
			o.write(t, o.path("scheduler.yaml"), "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n")
			places := []string{"--config=" + o.path("km.yaml"), "--apply=" + o.path("applied.yaml"), "--apply=" + o.path("built"), "--log-dir=" + o.path("logs"),
				"--scheduler.log-file=" + o.path("one.log"), "--scheduler.config=" + o.path("scheduler.yaml"), "--scheduler.isolation=process", "--quiet"}
			want := strings.Repeat("configmap/applied\n", 2) + "configmap/built\n" + strings.Repeat("configmap/applied\n", 2)
			job := []string{"--", "sh", "-c", oddScript, "sh", o.folder}

			r := o.km(t, slices.Concat([]string{"run", "--data-dir=" + o.path("data")}, places, job)...)
			if r.stdout != want {
				t.Errorf("printed %q, want %q", r.stdout, want)
			}
			o.untouched(t)
			for _, file := range []string{"logs/apiserver.log", "one.log", "running.db", "data/etcd/member"} {
				if _, err := os.Stat(o.path(file)); err != nil {
					t.Error(err)
				}
			}

			// What the stopped cluster has is what another one gets, in a temporary folder for one.
			if err := os.Remove(o.path("running.db")); err != nil {
				t.Error(err)
			}
			at := "--data-dir=" + o.path("data")
			o.km(t, at, "snapshot", "save", o.path("stopped.db"))
			o.km(t, at, "snapshot", "restore", "--yes", o.path("stopped.db"))
			o.untouched(t)
			if r := o.km(t, slices.Concat([]string{"run", "--ephemeral"}, places, job)...); r.stdout != want {
				t.Errorf("printed %q, want %q", r.stdout, want)
			}
			empty(t, o.path("tmp"))

			o.km(t, at, "reset", "--yes")
			if _, err := os.Lstat(o.path("data")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the data folder is left (%v)", err)
			}
			o.untouched(t)
		})
	}
}

// What the banner says can be typed as it is shown.
func TestBannerOfOddPath(t *testing.T) {
	t.Parallel()
	requireShell(t, "bash")
	for what, name := range oddNames {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			o := newOddPlace(t, name)
			p := o.h.run(t, "apiserver", "--free-ports", "--data-dir="+o.path("data"))
			defer p.stop(syscall.SIGTERM)
			var shown []string
			for _, line := range lines(p.stdout.String()) {
				line = strings.TrimSpace(line)
				if strings.HasPrefix(line, "export KUBECONFIG=") || strings.HasPrefix(line, "kubectl ") {
					command, _, _ := strings.Cut(line, "        (")
					shown = append(shown, command)
				}
			}
			links := t.TempDir()
			if err := os.Symlink(binary, filepath.Join(links, "kubectl")); err != nil {
				t.Fatal(err)
			}
			r := o.h.do(t, "bash", "-c", "PATH="+links+":$PATH\n"+strings.Join(shown, "\n"))
			if len(shown) == 0 || r.code != 0 || !strings.Contains(r.stdout, "kube-system") {
				t.Errorf("%q: exit code %d\n%s%s\n%s", shown, r.code, r.stdout, r.stderr, p.stdout)
			}
		})
	}
}

// etcd takes its addresses for URLs, and removes what is in their way.
func TestSocketOfTheUsers(t *testing.T) {
	t.Parallel()
	o := newOddPlace(t, "notes#old")
	file := filepath.Join(o.h.dir, "notes")
	for flag, want := range map[string]string{
		"--etcd.listen-client-urls=unix://" + o.path("etcd.sock"): "name a path without these",
		"--etcd.listen-client-urls=unix://" + file:                file + " is to be a socket, but is something else",
		"--etcd.listen-metrics-urls=unix://" + file:               file + " is to be a socket, but is something else",
	} {
		r := o.h.km(t, "run", "apiserver", "--free-ports", "--ephemeral", "--quiet", flag, "--", "true")
		if r.code != 2 || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: exit code %d\n%s", flag, r.code, r.stderr)
		}
		o.untouched(t)
	}
}

// The name - stands for standard output, and for no file.
func TestSnapshotToStandardOutput(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	script := `cd "$HOME" && km snapshot save - > a.db && km snapshot save - | cat > b.db && ls && (km snapshot restore --yes - < a.db; echo $?)`
	r := h.km(t, "run", "apiserver", "--free-ports", "--quiet", "--", "sh", "-c", script)
	if r.code != 0 || r.stdout != "a.db\nb.db\n1\n" || strings.Count(r.stderr, "standard output: revision ") != 2 ||
		!strings.Contains(r.stderr, "write that to a file first (the name of one called - is ./-)") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	for _, name := range []string{"a.db", "b.db"} {
		h.must(t, "snapshot", "restore", "--yes", filepath.Join(h.dir, name))
	}
	_, screen := newTerminal(t)
	defer screen.Close()
	r = h.doWith(t, func(cmd *exec.Cmd) { cmd.Stdout = screen }, binary, "snapshot", "save", "-")
	if r.code == 0 || !strings.Contains(r.stderr, "standard output is a terminal: name a file") {
		t.Errorf("on a terminal: exit code %d\n%s", r.code, r.stderr)
	}
}
