package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-200a7251/km/logging"
)

// diary keeps what was called, in order.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

// steps are two servers, of which the first needs the second, whose every function is noted. Where failing names a
// call, that one fails.
func steps(t *testing.T, failing string) (*HyperKube, *diary) {
	d := &diary{}
	step := func(call string) error {
		d.note("%s", call)
		if call == failing {
			return errors.New("no " + call)
		}
		return nil
	}
	server := func(name string, needs ...Need) *Server {
		return &Server{
			SimpleUsage: name,
			Restart:     RestartNever,
			Needs:       needs,
			AddFlags:    func(s *Server) { d.note("%s.flags", name) },
			Defaults:    func(_ *Plan, s *Server) error { return step(name + ".defaults") },
			Check:       func(_ context.Context, _ *Plan, s *Server) error { return step(name + ".check") },
			Prepare:     func(_ context.Context, _ *Plan, s *Server) error { return step(name + ".prepare") },
			Run:         func(context.Context, *Server, []string) error { return step(name + ".run") },
			Address:     func(*Server) string { d.note("%s.address", name); return "" },
		}
	}
	hk := newHyperKube(t, server("api", Need{Server: "db"}), server("db"))
	hk.Setup = func(*Plan) error { return step("setup") }
	hk.Banner = func(*Plan) string { d.note("banner"); return "" }
	return hk, d
}

var beforeRun = []string{"api.flags", "db.flags", "db.defaults", "api.defaults", "setup", "db.check", "api.check", "db.prepare", "api.prepare"}

func TestOrderOfCalls(t *testing.T) {
	hk, d := steps(t, "")
	out, err := call(hk, "hk", "run", "api")
	if err != nil {
		t.Fatal(err, out)
	}
	if diff := cmp.Diff(beforeRun, d.lines[:min(len(beforeRun), len(d.lines))]); diff != "" {
		t.Errorf("calls before the start (-want +got):\n%s", diff)
	}
	later := strings.Join(d.lines[len(beforeRun):], " ")
	for _, call := range []string{"db.address", "db.run", "api.address", "api.run", "banner"} {
		if strings.Count(later, call) != 1 {
			t.Errorf("%s is not called once: %s", call, later)
		}
	}
}

// What is wrong before the start has exit code 2, and starts nothing.
func TestErrorsBeforeTheStart(t *testing.T) {
	for i, failing := range beforeRun {
		if strings.HasSuffix(failing, ".flags") {
			continue
		}
		t.Run(failing, func(t *testing.T) {
			hk, d := steps(t, failing)
			out, err := call(hk, "hk", "run", "api")
			wantCode(t, err, 2)
			contains(t, out, "Error: no "+failing+"\n")
			lacks(t, out, "starting")
			want := beforeRun[:i+1]
			// All are asked, so that all errors can be shown together, but for those that are known to be wrong.
			switch failing {
			case "db.defaults":
				want = []string{"api.flags", "db.flags", "db.defaults", "api.defaults", "setup", "api.check"}
			case "api.defaults":
				want = []string{"api.flags", "db.flags", "db.defaults", "api.defaults", "setup", "db.check"}
			case "db.check":
				want = beforeRun[:i+2]
			}
			if diff := cmp.Diff(want, d.lines); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckErrorsAreShownTogether(t *testing.T) {
	wrong := func(_ context.Context, _ *Plan, s *Server) error { return fmt.Errorf("%s is wrong", s.Name()) }
	hk := newHyperKube(t,
		&Server{SimpleUsage: "db", Run: done, Check: wrong},
		&Server{SimpleUsage: "log", Run: done, Check: func(context.Context, *Plan, *Server) error { return nil }},
		&Server{SimpleUsage: "api", Run: done, Check: wrong})
	out, err := call(hk, "hk", "run")
	wantCode(t, err, 2)
	if want := "Error: db is wrong\nError: api is wrong\n"; out != want {
		t.Errorf("printed %q, want %q", out, want)
	}
}

// Nothing is written before Prepare; then the folder is there, for its owner alone.
func TestFolderAppearsBetweenCheckAndPrepare(t *testing.T) {
	var dir string
	var wrong error
	hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: done,
		Check: func(_ context.Context, p *Plan, _ *Server) error {
			dir = p.DataDir
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				wrong = fmt.Errorf("it is there while flags are checked: %w", err)
			}
			return nil
		},
		// That an address is taken is found while there is nothing but the lock.
		Listen: func(p *Plan, _ *Server) error {
			if entries, err := os.ReadDir(p.DataDir); err != nil || len(entries) != 1 {
				wrong = errors.Join(wrong, fmt.Errorf("there is %v while sockets are opened, %w", entries, err))
			}
			return nil
		},
		Prepare: func(_ context.Context, p *Plan, _ *Server) error {
			info, err := os.Stat(p.DataDir)
			if err != nil || info.Mode().Perm() != 0o700 {
				wrong = errors.Join(wrong, fmt.Errorf("mode %v, %w", info.Mode(), err))
			}
			if info, err := os.Stat(p.Path("logs", "db.log")); err != nil || info.Mode().Perm() != 0o600 {
				wrong = errors.Join(wrong, fmt.Errorf("the log file: %v, %w", info, err))
			}
			return nil
		}})
	if out, err := call(hk, "hk", "run"); err != nil || wrong != nil {
		t.Error(err, wrong, out)
	}
	if want := filepath.Join(os.Getenv("XDG_STATE_HOME"), "hk", "hk"); dir != want {
		t.Errorf("it is %s, want %s", dir, want)
	}
}

func TestFailureOfARun(t *testing.T) {
	hk, d := steps(t, "db.run")
	// A Ready that lasts keeps api from being started.
	db, _ := hk.FindServer("db")
	db.Ready = func(ctx context.Context, _ *Server) error { <-ctx.Done(); return ctx.Err() }
	out, err := call(hk, "hk", "run", "api")
	wantCode(t, err, 1)
	contains(t, out, "\n  db   failed ", " no db.run\n", "\n  api  stopped", "\nError: db failed: no db.run\n")
	lacks(t, strings.Join(d.lines, " "), "api.run", "banner")
}

// A server may ask for an exit code of its own. Its failure is shown like any other, before the error.
func TestExitCodeOfARun(t *testing.T) {
	for range 20 {
		db := &Server{SimpleUsage: "db", Restart: RestartNever, Run: func(context.Context, *Server, []string) error {
			return &ExitError{Code: 7, Err: errors.New("out of ink")}
		}}
		hk := newHyperKube(t, db)
		var out lazyWriter
		hk.SetOut(&out)
		wantCode(t, hk.Run([]string{"hk", "run"}), 7)
		contains(t, out.String(), " out of ink\nError: db failed: out of ink\n")
	}
}

// lazyWriter lets all others go first.
type lazyWriter struct{ lockedBuffer }

func (lw *lazyWriter) Write(p []byte) (int, error) {
	for range 100 {
		runtime.Gosched()
	}
	return lw.lockedBuffer.Write(p)
}

// Each server's goroutines are its own, from Check on: what is logged there is placed by them.
func TestServersRunInTheirOwnGoroutines(t *testing.T) {
	var d diary
	server := func(name string, end func(ctx context.Context) error, needs ...Need) *Server {
		asked := make(chan struct{}) // closed when Ready has been called
		return &Server{SimpleUsage: name, Restart: RestartNever, Needs: needs,
			Check:   func(context.Context, *Plan, *Server) error { d.note("%s.check: %s", name, ownerName()); return nil },
			Prepare: func(context.Context, *Plan, *Server) error { d.note("%s.prepare: %s", name, ownerName()); return nil },
			Ready: func(context.Context, *Server) error {
				d.note("%s.ready: %s", name, ownerName())
				close(asked)
				return nil
			},
			Run: func(ctx context.Context, s *Server, _ []string) error {
				d.note("%s.run: %s", name, ownerName())
				<-asked
				s.Logger().Error("this is " + name)
				return end(ctx)
			},
		}
	}
	hk := newHyperKube(t,
		server("db", func(ctx context.Context) error { <-ctx.Done(); return nil }),
		server("api", func(context.Context) error { return errors.New("enough") }, Need{Server: "db"}))
	// With a level everything is shown, also what is said before a server is ready.
	out, err := call(hk, "hk", "run", "--log-level=warn")
	wantCode(t, err, 1)
	slices.Sort(d.lines)
	want := []string{"api.check: api", "api.prepare: api", "api.ready: api", "api.run: api",
		"db.check: db", "db.prepare: db", "db.ready: db", "db.run: db"}
	if diff := cmp.Diff(want, d.lines); diff != "" {
		t.Errorf("whose goroutine it was (-want +got):\n%s", diff)
	}
	contains(t, out, " E db   this is db", " E api  this is api")
}

// ownerName is the server whose goroutine is running.
func ownerName() string {
	if l := logging.Owner(); l != nil {
		return l.Name()
	}
	return "nobody"
}
