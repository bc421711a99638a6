package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// A socket that somebody removes, or replaces, while servers run is opened anew, and commands wait for it.
func TestSocketIsOpenedAnew(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"removed":  os.Remove,
		"replaced": func(path string) error { return errors.Join(os.Remove(path), os.Symlink(os.Args[0], path)) },
	} {
		for _, long := range []string{"", strings.Repeat("a-long-name-", 10)} { // then it is a link
			t.Run(name+long, func(t *testing.T) {
				hk := newHyperKube(t, steady("db"))
				if long != "" {
					t.Setenv("XDG_STATE_HOME", filepath.Join(os.Getenv("XDG_STATE_HOME"), long))
				}
				s := serveArgs(t, hk, func(*life.Group) {})
				s.await("db", Ready)
				s.http.HTTP.CloseIdleConnections()
				for range 2 {
					if err := change(s.p.run.socket.path); err != nil {
						t.Fatal(err)
					}
					if name == "replaced" { // commands find nobody there, and cannot know what it is
						s.awaitSocket()
					}
					out, err := call(hk, "hk", "status")
					if err != nil {
						t.Fatal(err)
					}
					contains(t, out, "db       ready")
					if info, err := os.Stat(s.p.run.socket.path); err != nil || info.Mode().Perm() != 0o600 {
						t.Errorf("it is for others, too: %v, %v", info, err)
					}
				}
				if err := s.stop(); err != nil {
					t.Error(err)
				}
				if _, err := os.Lstat(s.p.run.socket.path); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the socket is left behind: %v", err)
				}
			})
		}
	}
}

// A file that somebody has put in its place is left alone, and told of. When it is gone, the socket is opened anew.
func TestSocketBehindAFile(t *testing.T) {
	hk := newHyperKube(t, steady("db"))
	s := serveArgs(t, hk, func(*life.Group) {})
	s.await("db", Ready)
	s.http.HTTP.CloseIdleConnections()
	path := s.p.run.socket.path
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, path, "mine")
	s.awaitScreen("cannot be opened anew: commands do not find this run; remove what is in its place")
	if text, err := os.ReadFile(path); err != nil || string(text) != "mine" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s.awaitSocket()
	out, err := call(hk, "hk", "status")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, out, "db       ready")
}

// awaitScreen waits until a text is shown.
func (sv *served) awaitScreen(text string) {
	sv.t.Helper()
	screen := bufferOf(sv.hk)
	eventually(sv.t, fmt.Sprintf("%q on the screen", text), func() bool {
		sv.p.run.logs.Flush()
		return strings.Contains(screen.String(), text)
	})
}

// awaitSocket waits until there is a socket.
func (sv *served) awaitSocket() {
	sv.t.Helper()
	eventually(sv.t, "the socket", func() bool {
		info, err := os.Stat(sv.p.run.socket.path)
		return err == nil && info.Mode()&os.ModeSocket != 0
	})
}

// A run that cannot be asked is not said to be none: it is named.
func TestRunWithoutSocket(t *testing.T) {
	hk := newHyperKube(t, steady("db"))
	p := locate(t, hk)
	release, err := hk.hold(p)
	if err != nil {
		t.Fatal(err)
	}
	c := hk.connect(p)
	c.Patience = 0
	_, err = c.Status(context.Background())
	want := "hk runs (process " + strconv.Itoa(os.Getpid()) + "), but its socket is gone: " + p.Path("hk.sock") +
		"; try again, or end it with `kill " + strconv.Itoa(os.Getpid()) + "`"
	if err == nil || err.Error() != want || errors.Is(err, ErrNotRunning) {
		t.Errorf("error %v, want %s", err, want)
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	if _, err = c.Status(context.Background()); !errors.Is(err, ErrNotRunning) {
		t.Error(err)
	}
}

// What is in a folder that has taken the place of the run's own is another run's. The run ends.
func TestSocketOfAnotherRunIsLeftAlone(t *testing.T) {
	hk := newHyperKube(t, steady("db"))
	s := serveArgs(t, hk, func(*life.Group) {})
	s.await("db", Ready)
	moved := s.p.DataDir + ".moved"
	if err := os.Rename(s.p.DataDir, moved); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(s.p.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	other := s.p.Path("hk.sock")
	if err := os.WriteFile(other, []byte("another one's"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := "the data folder " + s.p.DataDir + " was moved to " + moved + " (another one is in its place) while hk ran"
	if err := receive(t, "the end of the run", s.result); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
	s.stopped = true
	close(s.signals)
	s.p.run.logs.Close()
	s.p.run.socket.close()
	if text, err := os.ReadFile(other); err != nil || string(text) != "another one's" {
		t.Errorf("%q, %v", text, err)
	}
	if err := errors.Join(os.RemoveAll(s.p.DataDir), os.Rename(moved, s.p.DataDir), s.p.run.forget(), s.release()); err != nil {
		t.Fatal(err)
	}
}

// Nor is that run's socket removed when this one ends.
func TestSocketOfAnotherRunStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hk")
	hk, p := planAt(t, dir)
	release, err := hk.holdWithPaths(p)
	if err != nil {
		t.Fatal(err)
	}
	own, err := openSocket(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".moved"); err != nil {
		t.Fatal(err)
	}
	otherHK, otherPlan := planAt(t, dir)
	releaseOther, err := otherHK.holdWithPaths(otherPlan)
	if err != nil {
		t.Fatal(err)
	}
	other, err := openSocket(otherPlan)
	if err != nil {
		t.Fatal(err)
	}
	own.close()
	if _, err := os.Stat(other.path); err != nil {
		t.Errorf("the other run's socket: %v", err)
	}
	other.close()
	if _, err := os.Lstat(other.path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is left behind: %v", err)
	}
	if err := errors.Join(releaseOther(), os.RemoveAll(dir), os.Rename(dir+".moved", dir), release()); err != nil {
		t.Error(err)
	}
}

// Commands that look whether the folder is held are in nobody's way.
func TestLooksDoNotHinderARun(t *testing.T) {
	hk, p := planAt(t, filepath.Join(t.TempDir(), "hk"))
	release, err := hk.hold(p)
	if err == nil {
		err = release()
	}
	if err != nil {
		t.Fatal(err)
	}
	looking := flock.New(p.Path("hk.lock"), flock.SetFlag(os.O_RDONLY))
	if locked, err := looking.TryRLock(); !locked {
		t.Fatal(err)
	}
	time.AfterFunc(time.Millisecond, func() { _ = looking.Unlock() })
	if release, err = hk.hold(p); err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}

// longFolder is a folder whose path is too long for a socket in it.
func longFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// empty fails the test if there is something in the folder.
func empty(t *testing.T, dir string) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("in %s there is %v (%v)", dir, entries, err)
	}
}

// The run's own: for its owner alone, and gone at the end. With a long path, too.
func TestSocketOfTheAdminAPI(t *testing.T) {
	for _, dir := range []string{t.TempDir(), longFolder(t)} {
		s := serveArgs(t, newHyperKube(t, steady("db")), func(*life.Group) {}, "--data-dir="+dir)
		s.await("db", Ready)
		if info, err := os.Stat(s.p.socketFile("hk")); err != nil || info.Mode() != os.ModeSocket|0o600 {
			t.Errorf("mode %v (%v)", info.Mode(), err)
		}
		s.want(200, "GET", "/v1/status", "", nil)
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(s.p.socketFile("hk")); !os.IsNotExist(err) {
			t.Errorf("the socket is still there: %v", err)
		}
	}
}
