package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-200a7251/km/servers/etcd"
	"github.com/seed-200a7251/km/supervisor"
)

func server(name string, state supervisor.State, needs ...string) supervisor.ServerStatus {
	return supervisor.ServerStatus{Name: name, State: state, Needs: needs}
}

func newSnapshots(t *testing.T) *snapshots {
	hk := &supervisor.HyperKube{Name: "km"}
	p, err := hk.Location()
	if err != nil {
		t.Fatal(err)
	}
	return &snapshots{hk: hk, plan: p, etcd: etcd.NewAccess(hk, p)}
}

// What a restore stops is what needs etcd and runs. It is refused before that, where one of these could not be started
// again.
func TestAffectedByRestore(t *testing.T) {
	status := &supervisor.Status{Servers: []supervisor.ServerStatus{
		server("etcd", supervisor.Stopped),
		server("apiserver", supervisor.Ready, "etcd"),
		server("scheduler", supervisor.Stopped, "apiserver"),
		server("executor", supervisor.Backoff, "apiserver"),
		server("proxy", supervisor.Ready, "executor"),
		server("other", supervisor.Ready),
	}}
	if got := strings.Join(namesOf(affectedBy(status)), " "); got != "apiserver executor proxy" {
		t.Error(got)
	}
	r := &restore{snapshots: newSnapshots(t), live: t.TempDir()}
	if err := r.restartable(status, affectedBy(status)); err != nil {
		t.Error(err)
	}
	for _, i := range []int{2, 3, 4, 5} {
		status.Servers[i].StartsOnce = true
	}
	err := r.restartable(status, affectedBy(status))
	if err == nil || !strings.Contains(err.Error(), "executor, proxy can start only once in a process: stop km first, or have it run with "+
		"--executor.isolation=process --proxy.isolation=process") {
		t.Error(err)
	}
	for state, want := range map[supervisor.State]string{
		supervisor.Waiting:  "etcd is waiting: wait for it with `km status --wait=ready`",
		supervisor.Starting: "etcd is starting: wait for it",
		supervisor.Ready:    "--etcd.data-dir",
		supervisor.Stopping: "--etcd.data-dir",
		supervisor.Stopped:  "",
		supervisor.Backoff:  "",
		supervisor.Failed:   "",
	} {
		status.Servers[0].State = state
		if err := r.restartable(status, nil); (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", state, err, want)
		}
	}
}

// The restored data takes the place of whatever is there, which is kept.
func TestSwap(t *testing.T) {
	dir := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil {
			err = os.WriteFile(path, []byte(text), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	read := func(path, want string) {
		t.Helper()
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			t.Errorf("%s: %q, want %q (%v)", path, text, want, err)
		}
	}
	for _, test := range []struct {
		name string
		make func(live string)
	}{
		{"nothing", func(string) {}},
		{"an empty folder", func(live string) { _ = os.Mkdir(live, 0o700) }},
		{"data", func(live string) { write(live+"/data", "old") }},
		{"a file", func(live string) { write(live, "old") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &restore{live: filepath.Join(dir, test.name)}
			test.make(r.live)
			var kept []string
			for _, text := range []string{"new", "newer", "newest"} { // within a second
				write(r.staged()+"/data", text)
				aside, err := r.swap()
				if err != nil {
					t.Fatal(err)
				}
				read(r.live+"/data", text)
				if _, err := os.Lstat(r.staged()); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v", r.staged(), err)
				}
				kept = append(kept, aside)
			}
			switch test.name {
			case "data":
				read(kept[0]+"/data", "old")
			case "a file":
				read(kept[0], "old")
			default:
				if kept[0] != "" {
					t.Errorf("kept %s", kept[0])
				}
			}
			read(kept[1]+"/data", "new")
			read(kept[2]+"/data", "newer")
		})
	}
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	write(a, "a")
	write(b, "b")
	if err := exchangeInSteps(a, b); err != nil {
		t.Fatal(err)
	}
	read(a, "b")
	read(b, "a")
	// Where it cannot be done, nothing has changed.
	if err := exchangeInSteps(filepath.Join(dir, "none"), b); err == nil {
		t.Error("nothing was exchanged, without an error")
	}
	read(b, "a")
}

// A file that is there is not replaced, unless that is asked for.
func TestGiveName(t *testing.T) {
	dir := t.TempDir()
	part, file := filepath.Join(dir, "part"), filepath.Join(dir, "file")
	for _, test := range []struct {
		there, force bool
		want         string
	}{
		{false, false, "part"}, {true, false, "file"}, {false, true, "part"}, {true, true, "part"},
	} {
		_ = os.Remove(file)
		texts := map[string]bool{part: true, file: test.there}
		for path, there := range texts {
			if there {
				if err := os.WriteFile(path, []byte(filepath.Base(path)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		err := giveName(part, file, test.force)
		if refused := test.there && !test.force; (err != nil) != refused {
			t.Errorf("%+v: %v", test, err)
		}
		if text, err := os.ReadFile(file); err != nil || string(text) != test.want {
			t.Errorf("%+v: %q (%v)", test, text, err)
		}
	}
}
