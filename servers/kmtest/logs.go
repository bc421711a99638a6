package kmtest

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// logs are the log files of a cluster, in a folder of their own.
type logs struct{ dir string }

// newLogs makes the folder for the files of a test, in another one, or among the temporary files if that is "".
func newLogs(folder, test string) (*logs, error) {
	if len(test) > 100 { // names of files have an end
		test = test[:100]
	}
	name := "kmtest-" + strings.NewReplacer("/", "-", "*", "_").Replace(test) + "-"
	if folder != "" {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp(folder, name)
	return &logs{dir}, err
}

// settle removes the files, unless they are to be kept and there are some: then it returns where they are. That is
// below place, if that is not "".
func (l *logs) settle(keep bool, place string) (where string, err error) {
	files, err := os.ReadDir(l.dir)
	if err != nil || !keep || len(files) == 0 {
		return "", errors.Join(err, os.RemoveAll(l.dir))
	}
	if place == "" {
		return l.dir, nil
	}
	to := filepath.Join(place, filepath.Base(l.dir))
	if err := os.CopyFS(to, os.DirFS(l.dir)); err != nil {
		return l.dir, nil // they are where they were, and that is told
	}
	return to, os.RemoveAll(l.dir)
}

// artifacts is the folder that `go test -artifacts` has for the test, or "" if it was not called so.
func artifacts(t testing.TB) string {
	if f := flag.Lookup("test.artifacts"); f == nil || f.Value.String() != "true" {
		return ""
	}
	return t.ArtifactDir()
}
