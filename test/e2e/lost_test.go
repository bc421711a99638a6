package e2e

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// A cluster whose data folder is deleted, or etcd's moved away, acknowledges no write from then on, and ends with an
// error that says so. Nothing is made anew where the folder was.
func TestDataFolderIsGone(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		args   []string
		change func(dir string) error
		want   string // on standard error, with DIR for the data folder
	}{
		{"deleted", []string{"etcd,apiserver"}, func(dir string) error {
			eventually(t, "it is deleted", func() bool { return os.RemoveAll(dir) == nil })
			return nil
		}, "Error: the data folder DIR was deleted while km ran: all that was in it is lost; put a backup in its place, if there is one, or begin anew with `km run`\n"},
		{"etcd's moved", []string{"etcd,apiserver", "--etcd.isolation=process"}, func(dir string) error {
			return os.Rename(filepath.Join(dir, "etcd"), filepath.Join(dir, "etcd.moved"))
		}, "Error: etcd: DIR/etcd was moved to DIR/etcd.moved while it ran; nothing is lost: move it back, and go on with `km run`\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHome(t)
			p := h.run(t, test.args...)
			dir := h.dataDir("km")
			maps := kubernetes.NewForConfigOrDie(h.config(t, "km")).CoreV1().ConfigMaps("default")
			write := func(n int) error {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				_, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("c-", n)}}, metav1.CreateOptions{})
				return err
			}
			if err := write(0); err != nil {
				t.Fatal(err)
			}
			if len(test.args) == 1 {
				h.logsAreMadeAnew(t)
			}
			if err := test.change(dir); err != nil {
				t.Fatal(err)
			}
			refused := make(chan int, 1)
			go func() {
				n := 1
				for ; ; n++ {
					select {
					case <-p.done:
						refused <- n
						return
					default:
					}
					if write(n) == nil {
						t.Errorf("a write was acknowledged that came behind it, the %d.", n)
					}
				}
			}()
			if code := p.wait(); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			t.Logf("%d writes were refused", await(t, "the last write", refused))
			if want := strings.ReplaceAll(test.want, "DIR", dir); !strings.Contains(p.stderr.String(), want) {
				t.Errorf("it does not say %q:\n%s", want, p.stderr)
			}
			if test.name == "deleted" {
				if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("it is there again: %v", err)
				}
				return
			}
			// What the message says works.
			if err := os.Rename(filepath.Join(dir, "etcd.moved"), filepath.Join(dir, "etcd")); err != nil {
				t.Fatal(err)
			}
			if r := h.km(t, append([]string{"run", "--free-ports", "--quiet", "apiserver", "--"}, "km", "kubectl", "get", "configmap", "c-0", "-o", "name")...); r.code != 0 ||
				strings.Contains(r.stderr, "previous run") {
				t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
			}
		})
	}
}

// logsAreMadeAnew removes the logs of the run, and sees that what is logged then is shown.
func (h home) logsAreMadeAnew(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(h.dataDir("km"), "logs")); err != nil {
		t.Fatal(err)
	}
	if r := h.km(t, "logs"); strings.Contains(r.stderr, "start it with") {
		t.Errorf("km logs: exit code %d, %s", r.code, r.stderr)
	}
	h.must(t, "log-level", "apiserver", "v=6")
	eventually(t, "a line of the apiserver", func() bool {
		r := h.km(t, "logs", "apiserver", "--since="+time.Minute.String())
		return r.code == 0 && strings.Contains(r.stdout, "apiserver")
	})
	h.must(t, "log-level", "apiserver", "info")
}
