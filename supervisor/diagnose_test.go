package supervisor

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
)

// doctored is what `doctor` finds, by name.
func doctored(t *testing.T, hk *HyperKube) map[string]Finding {
	t.Helper()
	hk.SetOut(&lockedBuffer{})
	hk.Flags()
	p, err := hk.emptyPlan()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]Finding{}
	for _, f := range hk.diagnose(t.Context(), p).findings {
		found[f.Name] = f
	}
	return found
}

// wants checks whether a finding has an error with that text; "" is none.
func wants(t *testing.T, f Finding, text string) {
	t.Helper()
	if text == "" && f.Err != nil || text != "" && (f.Err == nil || !strings.Contains(f.Err.Error(), text)) {
		t.Errorf("%s: %v; want %q", f.Name, f.Err, text)
	}
}

func TestDoctorAsksTheServers(t *testing.T) {
	broken, asked := false, 0
	db := &Server{SimpleUsage: "db", Run: idle,
		Check: func(context.Context, *Plan, *Server) error {
			if broken {
				return errors.New("db: there is no such file")
			}
			return nil
		},
		Diagnose: func(_ context.Context, p *Plan, s *Server) []Finding {
			asked++
			return []Finding{{Name: "disk", Err: errors.New("full: free some"), Needed: true}, {Name: "memory"}}
		}}
	other := &Server{SimpleUsage: "other", Run: idle, Diagnose: func(context.Context, *Plan, *Server) []Finding {
		t.Error("a server that is not run is asked")
		return nil
	}}
	hk := newHyperKube(t, db, other)
	hk.DefaultServers = []string{"db"}
	found := doctored(t, hk)
	wants(t, found["servers"], "")
	wants(t, found["disk"], "full: free some")
	if found["memory"].Text == "" || asked != 1 {
		t.Errorf("asked %d times: %v", asked, found)
	}

	broken = true
	found = doctored(t, hk)
	wants(t, found["servers"], "db: there is no such file")
	if _, there := found["disk"]; there || !found["servers"].Needed {
		t.Errorf("%v", found)
	}
}

// The environment counts as it does for a run, and what is wrong with it is no reason to tell nothing else.
func TestDoctorWithAWrongEnvironment(t *testing.T) {
	for variable, value := range map[string]string{"HK_CONFIG": "none.yaml", "HK_NAME": "a/b", "HK_LOG_LEVEL": "loud"} {
		t.Run(variable, func(t *testing.T) {
			hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: idle})
			t.Setenv(variable, value)
			hk.SetOut(&lockedBuffer{})
			hk.Flags()
			p, _ := hk.emptyPlan() // the error is one of the findings
			d := hk.diagnose(t.Context(), p)
			wants(t, d.findings[0], value)
			if names := d.hindrances(); !slices.Equal(names, []string{"servers"}) || len(d.findings) < 5 {
				t.Errorf("%v", d.findings)
			}
		})
	}
}

func TestDoctorLooksAtPorts(t *testing.T) {
	l, err := net.Listen("tcp", anyPort(0))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	another := func() *HyperKube {
		db := &Server{SimpleUsage: "db", Run: idle, Ports: []Port{{AddressFlag: "listen"}, {AddressFlag: "more"}}}
		db.Flags().String("listen", l.Addr().String(), "")
		db.Flags().String("more", anyPort(0), "")
		return newHyperKube(t, db)
	}
	f := doctored(t, another())["ports"]
	wants(t, f, "db: port "+port+" of "+loopback+" is taken; choose another with --db.listen, or let hk choose with --free-ports")
	if !f.Needed || !slices.Equal(f.Commands, []string{"hk run --free-ports"}) {
		t.Errorf("%v", f)
	}

	hk := another()
	t.Setenv("HK_FREE_PORTS", "true")
	wants(t, doctored(t, hk)["ports"], "")
	t.Setenv("HK_FREE_PORTS", "")

	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	hk = another()
	f = doctored(t, hk)["ports"]
	wants(t, f, "")
	if f.Text != l.Addr().String() {
		t.Errorf("%v", f)
	}
	if l, err = net.Listen("tcp", l.Addr().String()); err != nil { // it is given back
		t.Error(err)
	}
}

// What a start would refuse is found, and nothing is written for it.
func TestDoctorLooksAtTheFolder(t *testing.T) {
	for _, test := range []struct {
		name, want string
		make       func(t *testing.T, dir string)
	}{
		{"none is there", "", func(*testing.T, string) {}},
		{"an empty one", "", func(t *testing.T, dir string) { mkdir(t, dir) }},
		{"another program's", "is not empty, and no hk has made it", func(t *testing.T, dir string) {
			mkdir(t, dir)
			touch(t, filepath.Join(dir, "main.go"))
		}},
		{"a file", "cannot be used: not a directory", func(t *testing.T, dir string) { touch(t, dir) }},
		{"one in a file", "cannot be used: not a directory", func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Dir(dir)); err != nil {
				t.Fatal(err)
			}
			touch(t, filepath.Dir(dir))
		}},
		{"one in use", "is in use by process 7", func(t *testing.T, dir string) {
			mkdir(t, dir)
			file := filepath.Join(dir, "hk.lock")
			if err := os.WriteFile(file, []byte("7\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			lock := flock.New(file)
			if locked, err := lock.TryLock(); err != nil || !locked {
				t.Fatal(locked, err)
			}
			t.Cleanup(func() { _ = lock.Unlock() })
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "above", "data")
			mkdir(t, filepath.Dir(dir))
			test.make(t, dir)
			before := allBelow(t, root)
			hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: idle})
			hk.settings.dataDir = dir
			f := doctored(t, hk)["data folder"]
			wants(t, f, test.want)
			if after := allBelow(t, root); !slices.Equal(before, after) || !f.Needed {
				t.Errorf("%v was there, and now %v; %v", before, after, f)
			}
		})
	}
}

func mkdir(t *testing.T, dir string) {
	t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

func touch(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// allBelow are the paths of all below a folder.
func allBelow(t *testing.T, root string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		all = append(all, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What only some machines can do is told, and is no reason against a run.
func TestDoctorLooksAtWays(t *testing.T) {
	var possible error
	held := false // as what a process has only once
	var another func() *HyperKube
	another = func() *HyperKube {
		node := &Server{SimpleUsage: "node", Run: idle, Check: func(_ context.Context, p *Plan, s *Server) error {
			if held {
				return errors.New("node: it runs already")
			}
			held = true
			p.AtEnd(func() { held = false })
			if s.Value("real") == "true" {
				return possible
			}
			return nil
		}}
		node.Flags().Bool("real", false, "")
		hk := newHyperKube(t, node)
		hk.Ways, hk.New = []Way{{Name: "real nodes", Args: []string{"--node.real"}}}, another
		return hk
	}
	f := doctored(t, another())["real nodes"]
	wants(t, f, "")
	if !slices.Equal(f.Commands, []string{"hk run --node.real"}) {
		t.Errorf("%v", f)
	}
	possible = errors.New("node: only root can: use sudo")
	hk := another()
	hk.settings.name = "two"
	found := doctored(t, hk)
	wants(t, found["servers"], "")
	f = found["real nodes"]
	wants(t, f, "node: only root can: use sudo")
	if f.Needed || f.Commands != nil {
		t.Errorf("%v", f)
	}
}

func TestDoctorLooksAtTheClock(t *testing.T) {
	hk := newHyperKube(t)
	wants(t, hk.checkClock(), "")
	right := now
	defer func() { now = right }()
	now = func() time.Time { return time.Date(1970, 1, 2, 3, 4, 5, 0, time.UTC) }
	wants(t, hk.checkClock(), "the clock of this machine says 1970-01-02 03:04:05 UTC, but ")
}
