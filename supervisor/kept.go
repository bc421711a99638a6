package supervisor

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

// kept are files and folders that are to stay where they are while they are used.
type kept struct {
	paths  func() []string
	strict bool // a file must be the same one, too

	mu     sync.Mutex
	all    []keptFile
	closed bool
}

// keptFile is one of them. It is held open: nothing that takes its place can get its number.
type keptFile struct {
	path string
	file *os.File    // nil if it could not be opened
	info os.FileInfo // of what was there; nil likewise
}

// lookAfter begins to look after what paths returns. It is asked again where something is missing, which may have been
// replaced as it should.
func lookAfter(strict bool, paths func() []string) *kept {
	return &kept{paths: paths, strict: strict, all: take(paths())}
}

// take opens what is to be looked after.
func take(paths []string) (all []keptFile) {
	for _, path := range paths {
		f := keptFile{path: path}
		var err error
		if f.file, err = os.Open(path); err == nil {
			f.info, err = f.file.Stat()
		}
		if err != nil { // whether it is there is looked at all the same
			f.info = nil
		}
		all = append(all, f)
	}
	return all
}

func drop(all []keptFile) {
	for _, f := range all {
		if f.file != nil {
			_ = f.file.Close() // nothing was written
		}
	}
}

// close ends it: nothing is missed any more.
func (k *kept) close() {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	drop(k.all)
	k.all, k.closed = nil, true
}

// lost tells what is gone; nil if all is there.
func (k *kept) lost() *lostError {
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
	if slices.EqualFunc(k.all, paths, func(f keptFile, path string) bool { return f.path == path }) {
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

// look is lost for what was taken.
func (k *kept) look(all []keptFile) *lostError {
	for i := range all {
		f := &all[i]
		there, err := os.Stat(f.path)
		missing := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
		switch {
		case err != nil && !missing: // nobody can say: it may come back
		case !missing && (f.info == nil || os.SameFile(there, f.info)):
		case !missing && !k.strict && !f.info.IsDir():
			// it was replaced in one step, as files are that are written anew
			// What was there before would take its space for as long as it is open.
			drop(all[i : i+1])
			all[i] = take([]string{f.path})[0]
		default:
			lost := &lostError{path: f.path, replaced: !missing}
			lost.deleted, lost.moved = f.fate()
			return lost
		}
	}
	return nil
}

// fate tells what has become of what is not at its path any more, as far as the system says.
func (f *keptFile) fate() (deleted bool, moved string) {
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

// lostError tells that a file or folder is gone which was in use.
type lostError struct {
	path     string
	deleted  bool
	moved    string // where it is now, if that is known
	replaced bool   // there is another one in its place
}

func (e *lostError) Error() string {
	text := e.path + " is not there any more"
	switch {
	case e.moved != "":
		text = e.path + " was moved to " + e.moved
	case e.deleted:
		text = e.path + " was deleted"
	}
	if e.replaced {
		text += " (another one is in its place)"
	}
	return text
}
