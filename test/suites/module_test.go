package suites

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// work is the folder for copies of modules.
var work string

// ownWork makes the folder for copies. It is the same each time, since the go tool compiles a package again that it
// finds in another folder; so it is locked.
func ownWork() (unlock func() error, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	work = filepath.Join(cache, "km-suites")
	if err := os.MkdirAll(work, 0o700); err != nil {
		return nil, err
	}
	dir, err := os.Open(work)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		err = errors.Join(err, dir.Close())
		return nil, fmt.Errorf("%s is in use: %w; wait until the other run of these tests has ended", work, err)
	}
	return func() error { return errors.Join(os.RemoveAll(work), dir.Close()) }, nil
}

// A module has suites. They are built in a copy of it, with its own go.mod: their versions are those that they were
// written for, and what they write does not get into Go's module cache.
type module struct {
	name, path, version string

	// replaced has the modules that the go.mod replaces with folders of its repository, by folder. Such a folder is
	// not in the module itself.
	replaced map[string]string

	// paths tells that suites look for files by what the compiler has noted of their source's place.
	paths bool

	packages []string

	// skip has, by package, which tests are left out, as a pattern of go test's.
	skip map[string]string

	// leaves are the packages whose suites start processes that they do not stop.
	leaves []string

	once sync.Once
	err  error
}

func (m *module) dir() string { return filepath.Join(work, m.name) }

// copied makes the copy, once.
func (m *module) copied(t *testing.T) {
	t.Helper()
	m.once.Do(func() {
		m.err = os.RemoveAll(m.dir()) // a run that was killed leaves it
		if m.err == nil {
			m.err = copyModule(m.path+"@"+m.version, m.dir())
		}
		for folder, module := range m.replaced {
			if m.err == nil {
				m.err = copyModule(module, filepath.Join(m.dir(), folder))
			}
		}
	})
	if m.err != nil {
		t.Fatal(m.err)
	}
}

// copyModule has the go tool get a module, and copies it. The go tool verifies it by sum.golang.org.
func copyModule(module, dir string) error {
	get := exec.CommandContext(interrupted, "go", "mod", "download", "-json", module)
	get.Dir, get.Env = work, append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	out, err := get.Output()
	var got struct{ Dir, Error string }
	if decoded := json.Unmarshal(out, &got); decoded != nil || got.Error != "" || got.Dir == "" {
		return fmt.Errorf("go mod download %s: %s: %w", module, got.Error, errors.Join(err, decoded))
	}
	if err := os.CopyFS(dir, os.DirFS(got.Dir)); err != nil {
		return err
	}
	return filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error { // the module cache is read-only
		if err != nil {
			return err
		}
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o200
		if script, err := isScript(name); err != nil {
			return err
		} else if script { // a module does not keep this
			mode |= 0o100
		}
		return os.Chmod(name, mode)
	})
}

// isScript reports whether a file begins as a script does that can be called.
func isScript(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var begin [2]byte
	n, err := f.Read(begin[:])
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EISDIR) {
		err = nil
	}
	return string(begin[:n]) == "#!", err
}

// goTool runs the go tool in a folder of the copy, with the flags that the suites are built with.
func (m *module) goTool(t *testing.T, folder string, args ...string) string {
	t.Helper()
	flags := strings.Fields(os.Getenv("GOFLAGS"))
	if m.paths {
		flags = slices.DeleteFunc(flags, func(f string) bool { return strings.HasPrefix(f, "-trimpath") })
	}
	command := exec.CommandContext(interrupted, "go", args...)
	command.Dir = filepath.Join(m.dir(), folder)
	command.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS="+strings.Join(flags, " "))
	var stderr strings.Builder
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go %s in %s of %s: %v\n%s%s", strings.Join(args, " "), folder, m.path, err, out, stderr.String())
	}
	return string(out)
}

// build builds the suite of a folder. The binary goes with the test.
func (m *module) build(t *testing.T, folder string) *suite {
	t.Helper()
	m.copied(t)
	binary := filepath.Join(t.TempDir(), "suite")
	m.goTool(t, folder, "test", "-c", "-vet=off", "-ldflags=-s -w", "-o", binary, ".")
	s := &suite{
		name: path.Join(m.name, folder), dir: filepath.Join(m.dir(), folder), leaves: slices.Contains(m.leaves, folder),
		command: []string{binary, "-test.v=test2json", "-test.timeout=" + patience.String(), "-test.skip=" + m.skip[folder]},
	}
	imports := m.goTool(t, folder, "list", "-deps", "-test", ".")
	if s.ginkgo = slices.Contains(strings.Fields(imports), "github.com/onsi/ginkgo/v2"); s.ginkgo {
		// The order is the same each time, so that specs of the same text can be told from one another.
		s.command = append(s.command, "-ginkgo.seed=1", "-ginkgo.no-color", "-ginkgo.timeout="+patience.String())
	}
	return s
}
