package e2e

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-200a7251/km/test/skip"
)

// finding is what `km doctor -o json` says of one thing.
type finding struct {
	Name, State     string
	Needed          bool
	Texts, Commands []string
}

// doctor calls `km doctor`, and returns the findings by name, and which of them keep a run from starting.
func doctor(t *testing.T, h home, change func(*exec.Cmd), program string, args ...string) (found map[string]finding, hindrances []string) {
	t.Helper()
	r := h.doWith(t, change, program, append([]string{"doctor", "-o", "json"}, args...)...)
	var answer struct {
		Run      bool
		Findings []finding
	}
	if err := json.Unmarshal([]byte(r.stdout), &answer); err != nil || r.stderr != "" {
		t.Fatalf("exit code %d: %v\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	found = map[string]finding{}
	for _, f := range answer.Findings {
		found[f.Name] = f
		if f.Needed {
			hindrances = append(hindrances, f.Name)
		}
		if len(f.Texts) == 0 || slices.Contains(f.Texts, "") {
			t.Errorf("nothing is said of %s", f.Name)
		}
	}
	if code := map[bool]int{true: 0, false: 1}[answer.Run]; r.code != code || answer.Run != (hindrances == nil) {
		t.Errorf("exit code %d, and %v keep it from starting", r.code, hindrances)
	}
	return found, hindrances
}

// A user who has just come sees whether a run would start, and nothing is started or written for it. What the machine
// lacks besides, such as a container runtime, is told, and does not count.
func TestDoctor(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	t.Cleanup(func() { // in none of the cases
		if entries, err := os.ReadDir(h.dir); err != nil || len(entries) > 0 {
			t.Errorf("it has written %v (%v)", entries, err)
		}
	})
	known := []string{"servers", "data folder", "disk", "open files", "memory", "inotify", "real containers", "clock", "PATH", "completion"}
	machine := func(hindrances []string) []string { // what is lacking on this machine is no concern of the test
		return slices.DeleteFunc(hindrances, func(name string) bool { return name == "disk" || name == "open files" || name == "ports" })
	}

	found, hindrances := doctor(t, h, nil, binary)
	for _, name := range known {
		if found[name].Name == "" {
			t.Errorf("nothing is said of %s", name)
		}
	}
	if still := machine(hindrances); len(still) > 0 || found["PATH"].State != "ok" || !slices.Equal(found["servers"].Texts, []string{"etcd, apiserver, controller-manager, scheduler, executor, proxy"}) {
		t.Errorf("%v: %v", still, found)
	}

	// A port that is taken.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	taken := func(c *exec.Cmd) { c.Env = append(c.Env, "KM_APISERVER_SECURE_PORT="+port) }
	found, _ = doctor(t, h, taken, binary)
	want := "apiserver: port " + port + " of 127.0.0.1 is taken; choose another with --apiserver.secure-port, or let km choose with --free-ports"
	if f := found["ports"]; !f.Needed || !slices.Contains(f.Texts, want) || !slices.Equal(f.Commands, []string{"km run --free-ports"}) {
		t.Errorf("want %q in %v", want, f)
	}

	// Flags that are wrong together with real containers only.
	found, hindrances = doctor(t, h, func(c *exec.Cmd) { c.Env = append(c.Env, "KM_EXECUTOR_NODES=2") }, binary)
	if f := found["real containers"]; f.State != "no" || f.Needed || !strings.Contains(f.Texts[0], "--executor.nodes is for simulated nodes") || len(machine(hindrances)) > 0 {
		t.Errorf("%v: %v", hindrances, f)
	}

	t.Run("a user who may not write", func(t *testing.T) {
		if os.Geteuid() != 0 {
			skip.OrFail(t, "becoming another user takes root")
		}
		// A copy where others get to; and a folder of root's.
		dir, err := os.MkdirTemp("", "km")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		command := filepath.Join(dir, "km")
		copyFile(t, binary, command)
		if err := os.Chmod(command, 0o755); err != nil {
			t.Fatal(err)
		}
		nobody := func(c *exec.Cmd) {
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		}
		state := filepath.Join(dir, "state")
		found, _ := doctor(t, home{dir: dir}, nobody, command, "--data-dir="+state)
		want := []string{"the data folder " + state + " cannot be used: permission denied; name another one with --data-dir"}
		if f := found["data folder"]; !f.Needed || !slices.Equal(f.Texts, want) {
			t.Errorf("want %q, got %v", want, f)
		}
		if f := found["real containers"]; f.State != "no" || !strings.Contains(strings.Join(f.Texts, "\n"), "run km with sudo") {
			t.Errorf("%v", f)
		}
		if _, err := os.Stat(state); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it was made (%v)", err)
		}
	})
}

// Beside a run it says who has the folder. For people every line fits into a terminal, but for commands.
func TestDoctorBesideARun(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.run(t, "etcd")
	r := h.km(t, "doctor")
	if r.code != 1 || !strings.Contains(r.stdout, "\n                       km status\n") || !strings.Contains(r.stdout, "\n`km run` would not start here: see data folder") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	found, _ := doctor(t, h, nil, binary)
	if f := found["data folder"]; !strings.Contains(strings.Join(f.Texts, ""), "is in use by process ") || found["ports"].Name != "" {
		t.Errorf("%v", found)
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
