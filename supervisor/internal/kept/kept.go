// Package kept looks after files and folders that are to stay where they are while they are used.
package kept

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Files are files and folders that are to stay where they are. A nil *Files has none.
type Files struct {
	paths  func() []string
	strict bool // a file must be the same one, too

	mu     sync.Mutex
	all    []file
	closed bool
}

// file is one of them. It is held open: nothing that takes its place can get its number. Not on Windows: there nobody
// could rename or remove it.
type file struct {
	path string
	file *os.File    // nil if it could not be opened, and on Windows
	info os.FileInfo // of what was there; nil if it could not be opened
}

// LookAfter begins to look after what paths returns. It calls paths again if something is missing: the server may have
// replaced it. Unless strict is set, a file may be replaced in one step, by a rename.
func LookAfter(strict bool, paths func() []string) *Files {
	return &Files{paths: paths, strict: strict, all: take(paths())}
}

// take opens what is to be looked after.
func take(paths []string) (all []file) {
	for _, path := range paths {
		f := file{path: path}
		var err error
		if f.file, err = os.Open(path); err == nil {
			f.info, err = f.file.Stat() // of an open file it has the number, which is compared
			if runtime.GOOS == "windows" {
				_ = f.file.Close() // nothing was written
				f.file = nil
			}
		}
		if err != nil { // look checks all the same that it is there
			f.info = nil
		}
		all = append(all, f)
	}
	return all
}

func drop(all []file) {
	for _, f := range all {
		if f.file != nil {
			_ = f.file.Close() // nothing was written
		}
	}
}

// Close ends it: nothing is missed any more.
func (k *Files) Close() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	drop(k.all)
	k.all, k.closed = nil, true
}

// Lost returns what is gone, or nil if all is there. It costs one stat for each path.
func (k *Files) Lost() *LostError {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	lost := k.look(k.all)
	if lost == nil || k.closed {
		return nil
	}
	paths := k.paths()
	if slices.EqualFunc(k.all, paths, func(f file, path string) bool { return f.path == path }) {
		return lost
	}
	now := take(paths)
	if k.look(now) != nil {
		drop(now)
		return lost
	}
	drop(k.all)
	k.all = now
	return nil
}

// look is Lost for what was taken.
func (k *Files) look(all []file) *LostError {
	for i := range all {
		f := &all[i]
		there, err := os.Stat(f.path)
		missing := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
		switch {
		case err != nil && !missing: // nobody can say: it may come back
		case !missing && (f.info == nil || os.SameFile(there, f.info)):
		case !missing && !k.strict && !f.info.IsDir(): // it was replaced in one step
			// The old file would take up space as long as it is open.
			drop(all[i : i+1])
			all[i] = take([]string{f.path})[0]
		default:
			lost := &LostError{Path: f.path, Replaced: !missing}
			lost.Deleted, lost.Moved = f.fate()
			return lost
		}
	}
	return nil
}

// fate tells what has become of a file that is not at its path any more, as far as the system says.
func (f *file) fate() (deleted bool, moved string) {
	if f.info == nil || runtime.GOOS != "linux" {
		return false, ""
	}
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.file.Fd()))
	if err != nil {
		return false, ""
	}
	if there, err := os.Stat(path); err == nil && os.SameFile(there, f.info) {
		return false, path
	}
	return strings.HasSuffix(path, " (deleted)"), ""
}

// LostError says that a file or folder that was in use is gone.
type LostError struct {
	Path     string
	Deleted  bool
	Moved    string // where it is now, if that is known
	Replaced bool   // there is another one in its place
}

func (e *LostError) Error() string {
	text := e.Path + " is not there any more"
	switch {
	case e.Moved != "":
		text = e.Path + " was moved to " + e.Moved
	case e.Deleted:
		text = e.Path + " was deleted"
	}
	if e.Replaced {
		text += " (another one is in its place)"
	}
	return text
}
