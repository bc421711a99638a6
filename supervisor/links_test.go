package supervisor

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMakeSymlinks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "bin") // is made, too
	hk := newHyperKube(t,
		&Server{SimpleUsage: "test1", Aliases: []string{"old-test1"}, Run: done},
		&Server{SimpleUsage: "test2 FILE", Main: done})
	want := ""
	for _, name := range []string{"test1", "old-test1", "test2"} {
		want += filepath.Join(dir, name+executable) + "\n"
	}
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// The second time all is there already, and right.
	for range 2 {
		out, err := call(hk, "hk", "--make-symlinks", "--dir", dir)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, out); diff != "" {
			t.Errorf("printed (-want +got):\n%s", diff)
		}
		for _, name := range []string{"test1", "old-test1", "test2"} {
			if target, err := os.Readlink(filepath.Join(dir, name+executable)); err != nil || target != binary {
				t.Errorf("%s leads to %q, %v, want %q", name, target, err, binary)
			}
		}
	}
}

func TestMakeSymlinksLeavesForeignFilesAlone(t *testing.T) {
	for _, test := range []struct {
		name string
		make func(path string) error
		same func(path string) bool
	}{
		{"file", func(path string) error { return os.WriteFile(path, []byte("mine"), 0o600) },
			func(path string) bool { text, err := os.ReadFile(path); return err == nil && string(text) == "mine" }},
		{"link to elsewhere", func(path string) error { return os.Symlink("/", path) },
			func(path string) bool { target, err := os.Readlink(path); return err == nil && target == "/" }},
		{"link to the real server, which is away", func(path string) error { return os.Symlink("/elsewhere/test1", path) },
			func(path string) bool {
				target, err := os.Readlink(path)
				return err == nil && target == "/elsewhere/test1"
			}},
		{"link to itself", func(path string) error { return os.Symlink(path, path) },
			func(path string) bool { target, err := os.Readlink(path); return err == nil && target == path }},
		{"folder", func(path string) error { return os.Mkdir(path, 0o700) },
			func(path string) bool { info, err := os.Lstat(path); return err == nil && info.IsDir() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			inTheWay := filepath.Join(dir, "test1"+executable)
			if err := test.make(inTheWay); err != nil {
				t.Fatal(err)
			}
			hk := newHyperKube(t, &Server{SimpleUsage: "test1", Run: done}, &Server{SimpleUsage: "test2", Run: done})
			out, err := call(hk, "hk", "--make-symlinks", "--dir", dir)
			wantCode(t, err, 1)
			contains(t, out, "Error: "+inTheWay+" is there already", "--dir")
			if !test.same(inTheWay) {
				t.Error("it has been changed")
			}
			// One that is wrong does not keep the others from being made.
			if _, err := os.Readlink(filepath.Join(dir, "test2"+executable)); err != nil {
				t.Error(err)
			}
		})
	}
}

// The binary was moved, renamed, or removed for a newer one: its links are made anew.
func TestMakeSymlinksReplacesDeadOnes(t *testing.T) {
	for _, target := range []string{"/elsewhere/hk", "hk", "../gone/hk-linux-amd64", "/elsewhere/hk (deleted)", "/elsewhere/hk.exe"} {
		t.Run(target, func(t *testing.T) {
			dir := t.TempDir()
			link := filepath.Join(dir, "test1"+executable)
			if err := os.Symlink(target, link); err != nil {
				t.Fatal(err)
			}
			out, err := call(newHyperKube(t, &Server{SimpleUsage: "test1", Run: done}), "hk", "--make-symlinks", "--dir", dir)
			if want := link + "\n"; err != nil || out != want {
				t.Errorf("%v, printed %q, want %q", err, out, want)
			}
			binary, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			if target, err := os.Readlink(link); err != nil || target != binary {
				t.Errorf("it leads to %q, %v, want %q", target, err, binary)
			}
		})
	}
}

// What leads to the binary in another way is as good.
func TestMakeSymlinksKeepsOtherLinksToTheBinary(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for from, to := range map[string]string{"mine": binary, "test1" + executable: "mine"} {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Fatal(err)
		}
	}
	hk := newHyperKube(t, &Server{SimpleUsage: "test1", Run: done})
	if out, err := call(hk, "hk", "--make-symlinks", "--dir", dir); err != nil {
		t.Errorf("%v, printed %q", err, out)
	}
	if target, err := os.Readlink(filepath.Join(dir, "test1"+executable)); err != nil || target != "mine" {
		t.Errorf("it leads to %q, %v", target, err)
	}
}

// A program has flags of its own for links, which mean nothing without, and is told where they have been made.
func TestLinked(t *testing.T) {
	dir := t.TempDir()
	made := ""
	program := func(err error) *HyperKube {
		hk := newHyperKube(t, &Server{SimpleUsage: "test1", Run: done})
		hk.Flags().String("with", "", "with --make-symlinks: what")
		if err := hk.Flags().SetAnnotation("with", AnnotationLinks, nil); err != nil {
			t.Fatal(err)
		}
		hk.Linked = func(dir string) error { made = dir; return err }
		return hk
	}
	if out, err := call(program(nil), "hk", "--make-symlinks", "--dir", dir, "--with=it"); err != nil || made != dir {
		t.Errorf("made in %q: %v, printed %q", made, err, out)
	}
	if out, err := call(program(errors.New("no room")), "hk", "--make-symlinks", "--dir", dir); err == nil || !strings.Contains(out, "no room") {
		t.Errorf("%v, printed %q", err, out)
	}
	made = ""
	if out, err := call(program(nil), "hk", "--with=it", "test1"); err == nil || !strings.Contains(out, "--with is for --make-symlinks") || made != "" {
		t.Errorf("%v, printed %q", err, out)
	}
}
