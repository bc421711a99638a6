package supervisor

import (
	"os"
	"path/filepath"
	"testing"
)

func TestName(t *testing.T) {
	for name, ok := range map[string]bool{
		"km": true, "a": true, "9": true, "a-b_c.d": true, "A2": true,
		"": false, ".": false, "..": false, "-a": false, "a-": false, "a/b": false, "../a": false, "a b": false, "ä": false, "a\n": false,
	} {
		p, err := planned(t, newHyperKube(t, &Server{SimpleUsage: "db", Run: idle}), "--name", name)
		if (err == nil) != ok {
			t.Errorf("--name %q: %v, want ok: %v", name, err, ok)
			continue
		}
		if err != nil {
			contains(t, err.Error(), "--name: ", "use letters, digits")
		} else if filepath.Base(p.DataDir) != name {
			t.Errorf("--name %q: the folder is %s", name, p.DataDir)
		}
	}
}

func TestDataFolder(t *testing.T) {
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, state, home string
		args              []string
		want              string
	}{
		{"XDG_STATE_HOME", "/xdg", "/home/me", nil, "/xdg/hk/hk"},
		{"XDG_STATE_HOME and --name", "/xdg", "/home/me", []string{"--name=two"}, "/xdg/hk/two"},
		{"none", "", "/home/me", nil, "/home/me/.local/state/hk/hk"},
		// The XDG specification has relative paths ignored.
		{"relative", "xdg", "/home/me", nil, "/home/me/.local/state/hk/hk"},
		{"--data-dir", "/xdg", "/home/me", []string{"--data-dir=/data"}, "/data"},
		{"--data-dir, relative", "/xdg", "/home/me", []string{"--data-dir=data"}, filepath.Join(cwd, "data")},
	} {
		t.Run(test.name, func(t *testing.T) {
			hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: idle})
			t.Setenv("XDG_STATE_HOME", test.state)
			t.Setenv("HOME", test.home)
			p, err := planned(t, hk, test.args...)
			if err != nil {
				t.Fatal(err)
			}
			if p.DataDir != test.want {
				t.Errorf("%s, want %s", p.DataDir, test.want)
			}
		})
	}
}

func TestNoDataFolder(t *testing.T) {
	t.Run("no home", func(t *testing.T) {
		hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: idle})
		t.Setenv("XDG_STATE_HOME", "")
		t.Setenv("HOME", "")
		_, err := planned(t, hk)
		if err == nil {
			t.Fatal("no error")
		}
		contains(t, err.Error(), "no place for the state: ", "; name a folder with --data-dir")
	})
	t.Run("two of them", func(t *testing.T) {
		_, err := planned(t, newHyperKube(t, &Server{SimpleUsage: "db", Run: idle}), "--ephemeral", "--data-dir=/data")
		if want := "--ephemeral has a folder of its own: leave --data-dir /data out"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
	})
}

// Flags of the binary, before the word, say where as well as those behind it.
func TestLocation(t *testing.T) {
	hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: idle})
	p, err := hk.Location()
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(os.Getenv("XDG_STATE_HOME"), "hk", "hk"); p.Name != "hk" || p.DataDir != want {
		t.Errorf("%s in %s, want hk in %s", p.Name, p.DataDir, want)
	}
	var seen *Plan
	db, _ := hk.FindServer("db")
	db.Run = done
	db.Defaults = func(p *Plan, _ *Server) error { seen = p; return nil }
	if out, err := call(hk, "hk", "--name=two", "run", "--quiet", "--free-ports"); err != nil || out != "" {
		t.Fatalf("%v, printed %q", err, out)
	}
	if seen.Name != "two" || !seen.FreePorts {
		t.Errorf("the plan is %+v", seen)
	}
}
