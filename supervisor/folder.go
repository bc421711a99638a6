package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"

	"github.com/seed-200a7251/km/supervisor/errno"
	"github.com/seed-200a7251/km/supervisor/internal/kept"
	"github.com/seed-200a7251/km/supervisor/internal/sweep"
	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/mounts"
)

// hold makes the data folder, and keeps other processes out of it until release is called. An existing folder is used
// if it is the program's, or empty; its mode stays. An ephemeral folder is removed by release, or when this process is
// killed.
func (hk *HyperKube) hold(p *Plan) (release func() error, err error) {
	none := func() error { return nil }
	note := none
	if err := hk.checkUmask(); err != nil {
		return none, err
	}
	if p.Ephemeral {
		// Mkdir, not MkdirAll: a folder that is there already is not ours to remove.
		if err := os.Mkdir(p.DataDir, 0o700); err != nil {
			return none, fmt.Errorf("no temporary folder for --ephemeral: %w; TMPDIR names another place", err)
		}
	} else if note, err = hk.makeFolder(p); err != nil {
		return none, err
	}
	clean := none
	if p.Ephemeral || p.run.foreground != nil {
		if clean, err = hk.sweep(p); err != nil {
			return clean, err
		}
	}
	file := p.Path(hk.Name + ".lock")
	lock := flock.New(file, flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	for late := now().Add(lookLimit); err == nil && !locked && !held(p, hk.Name) && now().Before(late); {
		time.Sleep(time.Millisecond)
		locked, err = lock.TryLock()
	}
	switch {
	case err != nil:
		return clean, cannotUse(p, err)
	case !locked:
		return clean, inUse(p, hk.Name)
	case !sameFile(lock, file):
		return clean, errors.Join(fmt.Errorf("the data folder %s was deleted at this moment: try again", p.DataDir), lock.Unlock())
	}
	// Who holds it is for the message above; the lock does not depend on it.
	if err := system.NoteHolder(file); err != nil {
		return clean, errors.Join(cannotUse(p, err), lock.Unlock())
	}
	if err := errors.Join(note(), p.forgetPaths(hk.Name)); err != nil {
		return clean, errors.Join(cannotUse(p, err), lock.Unlock())
	}
	folder := kept.LookAfter(true, func() []string { return []string{p.DataDir, file} })
	p.run.folder = folder
	return func() error {
		folder.Close()
		return errors.Join(lock.Unlock(), clean())
	}, nil
}

func (hk *HyperKube) checkUmask() error {
	if mask, known := system.Umask(); known && mask&0o700 != 0 {
		return fmt.Errorf("the umask is %04o, with which this user may not use the files that %s makes: call `umask 077` before",
			mask, hk.Name)
	}
	return nil
}

// inUse is the error about a data folder that another process holds.
func inUse(p *Plan, program string) error {
	return fmt.Errorf("the data folder %s is in use by %s: stop that one, or use another folder with --name or --data-dir",
		p.DataDir, holder(p.Path(program+".lock"), program))
}

// checkFolder looks for what hold would refuse, as far as that can be seen without writing. made says that the folder
// is not there yet.
func (hk *HyperKube) checkFolder(p *Plan) (made bool, err error) {
	if err := hk.checkUmask(); err != nil {
		return false, err
	}
	dir := p.DataDir
	if _, err := os.Lstat(dir); err == nil {
		if _, err := hk.takeOver(p); err != nil {
			return false, err
		}
	} else {
		for made = true; errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir; {
			dir = filepath.Dir(dir) // it is where the missing ones are made
			_, err = os.Stat(dir)
		}
	}
	if err := system.Writable(dir); err != nil {
		return made, cannotUse(p, err)
	}
	return made, nil
}

// lookLimit is longer than any command takes to see whether the data folder is held: while it looks, it has the lock,
// shared.
const lookLimit = 10 * time.Second

// makeFolder makes the data folder, for its owner alone, or uses an existing one. note is to be called when it is held.
func (hk *HyperKube) makeFolder(p *Plan) (note func() error, err error) {
	none := func() error { return nil }
	if err := os.MkdirAll(filepath.Dir(p.DataDir), 0o700); err != nil {
		return none, cannotUse(p, err)
	}
	switch err := os.Mkdir(p.DataDir, 0o700); {
	case err == nil:
		return none, nil
	case errors.Is(err, fs.ErrExist):
		return hk.takeOver(p)
	default:
		return none, cannotUse(p, err)
	}
}

// sweep starts the process that cleans up if this one is killed. If it is not, clean removes an ephemeral folder, and
// ends that process.
func (hk *HyperKube) sweep(p *Plan) (clean func() error, err error) {
	clean = func() error {
		if p.Ephemeral {
			hk.forgetElsewhere(context.Background(), p, io.Discard) // standard output may be a command's
		}
		if p.Ephemeral && !p.run.lost.Load() {
			return mounts.RemoveAll(p.DataDir)
		}
		return nil
	}
	self, err := system.Executable()
	if err != nil {
		return clean, err
	}
	if p.run.sweeper, err = sweep.Start(self, hk.Name+": sweeper"); err != nil {
		return clean, err
	}
	if p.Ephemeral {
		err = p.run.sweeper.Folder(p.DataDir)
	}
	remove := clean
	return func() error {
		err := remove()
		_ = p.run.sweeper.Close() // somebody may have killed it; it is not needed any more
		return err
	}, err
}

func cannotUse(p *Plan, err error) error {
	helps := "name another one with --data-dir"
	if errno.NoSpace(err) {
		helps = "free space on its disk, or " + helps
	}
	return fmt.Errorf("the data folder %s cannot be used: %w; %s", p.DataDir, withoutPath(err), helps)
}

// withSpace adds to an error, which may be nil, what to do if the disk is full.
func (p *Plan) withSpace(err error) error {
	if !errno.NoSpace(err) {
		return err
	}
	return fmt.Errorf("%w; free space on the disk of %s, and try again", err, p.DataDir)
}

// withoutPath removes the file's name from an error about the file: the message around it has the name.
func withoutPath(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// sameFile reports whether the lock is on the file that is at the path now. It is not if `reset` has deleted that file
// meanwhile.
func sameFile(lock *flock.Flock, path string) bool {
	locked, err := lock.Stat()
	there, errThere := os.Stat(path)
	return err == nil && errThere == nil && os.SameFile(locked, there)
}

// held reports whether a process holds the data folder.
func held(p *Plan, program string) bool {
	// This tries to take the lock as hold does, but shared, and without making a file.
	lock := flock.New(p.Path(program+".lock"), flock.SetFlag(os.O_RDONLY))
	locked, err := lock.TryRLock()
	if locked {
		_ = lock.Unlock() // it is closed
	}
	return err == nil && !locked
}

// holder says which process has the lock.
func holder(file, program string) string {
	if pid := system.Holder(file); pid != "" {
		return "process " + pid
	}
	return "another " + program
}
