package supervisor

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// A path becomes part of other things: of URLs, of comma- or colon-separated lists, of files with a syntax of their
// own. Some of these do not take every character, and the path of a socket must be short. If the path of the data
// folder is not plain, there is a second one, through a symlink in a temporary folder, as long as somebody needs it.
const (
	plainLink   = "data"       // the symlink in that folder, to the data folder
	plainRecord = "plain-path" // a symlink in the data folder, to that folder
	socketDir   = "sockets"    // a folder in the data folder, if others may enter that
)

// plainPath has only characters without a meaning in any of these.
var plainPath = regexp.MustCompile(`^/[A-Za-z0-9/._-]*$`)

func isPlain(path string) bool {
	return plainPath.MatchString(path) && len(path) <= system.MaxSocketPath
}

// plainFolder is the folder of the second path to a data folder; empty if that needs none. Nothing is written.
func plainFolder(dataDir, program string) string {
	if plainPath.MatchString(dataDir) && len(dataDir)+system.SocketRoom <= system.MaxSocketPath || runtime.GOOS == "windows" {
		return ""
	}
	name := program + "-path-" + rand.Text()[:12]
	for _, folder := range system.TemporaryFolders() {
		if path := filepath.Join(folder, name); plainPath.MatchString(path) && len(path)+len(plainLink)+1+system.SocketRoom <= system.MaxSocketPath {
			return path
		}
	}
	return filepath.Join(os.TempDir(), name) // MakePaths tells why it is of no use
}

// PlainPath is Path for what becomes part of something else, such as a URL or a list: it has only letters, digits and
// "/._-" in it, and is short enough for a socket. It may be another one than Path, which leads to the same file from
// Prepare on, until the end of the run.
func (p *Plan) PlainPath(elem ...string) string {
	path := p.Path(elem...)
	if p.plain == "" || isPlain(path) {
		return path
	}
	return filepath.Join(append([]string{p.plain, plainLink}, elem...)...)
}

// SocketPath is PlainPath for a unix socket of that name, in a folder that nobody else may enter.
func (p *Plan) SocketPath(name string) string {
	if p.open {
		return p.PlainPath(socketDir, name)
	}
	return p.PlainPath(name)
}

// RunningPath is PlainPath for others than the run itself. It returns false if there is no such path.
func (p *Plan) RunningPath(elem ...string) (path string, ok bool) {
	if path = p.Path(elem...); p.plain == "" || isPlain(path) {
		return path, true
	}
	folder, err := os.Readlink(p.Path(plainRecord))
	if err != nil || !system.IsPrivate(folder) {
		return "", false
	}
	path = filepath.Join(append([]string{folder, plainLink}, elem...)...)
	_, err = os.Stat(path)
	return path, err == nil
}

// MakePaths has PlainPath and SocketPath lead to the data folder until remove is called. A run has done it; it is for
// commands that hold the data folder (Hold), or work beside a run. remove is to be called in any case.
func (p *Plan) MakePaths() (remove func() error, err error) {
	none := func() error { return nil }
	if p.open {
		if err := os.Mkdir(p.Path(socketDir), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return none, cannotUse(p, err)
		}
		if dir := p.Path(socketDir); !system.IsPrivate(dir) {
			return none, fmt.Errorf("%s is not for you alone: remove it, or name another folder with --data-dir", dir)
		}
	}
	if p.plain == "" {
		return none, nil
	}
	noOther := func(err error) error {
		return fmt.Errorf("the path of the data folder, %s, is too long, or has characters that mean something else in URLs "+
			"and lists, and there is no other one: %w; name a folder with a short path of letters and digits with --data-dir, "+
			"or a temporary one with TMPDIR", p.DataDir, err)
	}
	if !isPlain(filepath.Join(p.plain, plainLink)) {
		return none, noOther(fmt.Errorf("the path of the temporary folder %s is such a one, too", os.TempDir()))
	}
	if err := os.Mkdir(p.plain, 0o700); err != nil { // an existing one is somebody else's
		return none, noOther(err)
	}
	if p.run != nil && p.run.sweeper != nil {
		err = p.run.sweeper.Folder(p.plain)
	}
	if err == nil {
		err = os.Symlink(p.DataDir, filepath.Join(p.plain, plainLink))
	}
	remove = func() error { return removePlain(p.plain) }
	if err != nil {
		return none, errors.Join(noOther(err), remove())
	}
	return remove, nil
}

// holdWithPaths is hold, with PlainPath and SocketPath.
func (hk *HyperKube) holdWithPaths(p *Plan) (release func() error, err error) {
	leave, err := hk.hold(p)
	if err != nil {
		return leave, err
	}
	remove, err := p.MakePaths()
	if err == nil {
		err = p.recordPaths()
	}
	return func() error {
		var err error
		if !p.run.lost.Load() { // or the record is another run's
			err = p.forgetPaths(hk.Name)
		}
		return errors.Join(err, remove(), leave())
	}, err
}

// recordPaths notes where the second path is, for RunningPath, and for the next run if this one is killed. The data
// folder is held.
func (p *Plan) recordPaths() error {
	if p.plain == "" {
		return nil
	}
	if err := os.Symlink(p.plain, p.Path(plainRecord)); err != nil {
		return cannotUse(p, err)
	}
	return nil
}

// forgetPaths removes the second path that a run has left. The data folder is held.
func (p *Plan) forgetPaths(program string) error {
	record := p.Path(plainRecord)
	folder, err := os.Readlink(record)
	if err != nil {
		return nil // there is none, or something else of that name
	}
	// A temporary folder may have been emptied since, and others may have put something there.
	if strings.HasPrefix(filepath.Base(folder), program+"-path-") && system.IsPrivate(folder) {
		_ = removePlain(folder) // what somebody else has put in it stays
	}
	return os.Remove(record)
}

// removePlain removes what MakePaths has made, and nothing else.
func removePlain(folder string) error {
	if err := os.Remove(filepath.Join(folder, plainLink)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
