package logging

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A file that somebody has removed while it is written, or its folder, is made anew, and no line is lost.
func TestRemovedFileIsMadeAnew(t *testing.T) {
	for _, what := range []string{"file", "folder"} {
		t.Run(what, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "logs")
			path := filepath.Join(dir, "db.log")
			ls, db := openLog(t, File{Path: path})
			db.Zap().Info("before")
			ls.Flush()
			removed := path
			if what == "folder" {
				removed = dir
			}
			for _, message := range []string{"first", "second"} {
				if err := os.RemoveAll(removed); err != nil {
					t.Fatal(err)
				}
				db.Zap().Info(message)
				for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
					if info, err := os.Stat(path); err == nil && info.Size() > 0 {
						break
					}
				}
				ls.Flush()
				if got := messages(t, path); got != message {
					t.Errorf("the file has %q, want %q", got, message)
				}
				for name, want := range map[string]os.FileMode{path: 0o600, dir: 0o700 | os.ModeDir} {
					if info, err := os.Stat(name); err != nil || info.Mode() != want {
						t.Errorf("%s: %v, want mode %v (%v)", name, info, want, err)
					}
				}
			}
		})
	}
}

// A folder above the file's own is not made: it is somebody else's, such as a data folder that was deleted on purpose.
func TestRemovedFolderAboveIsNotMadeAnew(t *testing.T) {
	top := filepath.Join(t.TempDir(), "data")
	ls, db := openLog(t, File{Path: filepath.Join(top, "logs", "db.log")})
	db.Zap().Info("before")
	ls.Flush()
	if err := os.RemoveAll(top); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		db.Zap().Info("after")
		ls.Flush()
	}
	ls.Close()
	if _, err := os.Lstat(top); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there again (%v)", err)
	}
}

// Nothing is made anew where whoever has opened the file says so.
func TestRemovedFileIsNotMadeAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logs", "db.log")
	asked := make(chan struct{}, 1)
	ls, db := openLog(t, File{Path: path, Renew: func() bool {
		select {
		case asked <- struct{}{}:
		default:
		}
		return false
	}})
	db.Zap().Info("before")
	ls.Flush()
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	db.Zap().Info("after")
	receive("the question", asked)
	ls.Close()
	if _, err := os.Lstat(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there again (%v)", err)
	}
}
