package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// hold makes the data folder, and keeps other processes out of it until release is called. An ephemeral folder is removed
// by release.
func hold(p *Plan, program string) (release func() error, err error) {
	none := func() error { return nil }
	if p.Ephemeral {
		// Mkdir, not MkdirAll: a folder that is there already is not ours to remove.
		if err := os.Mkdir(p.DataDir, 0o700); err != nil {
			return none, fmt.Errorf("no temporary folder for --ephemeral: %w; TMPDIR names another place", err)
		}
	} else if err := os.MkdirAll(p.DataDir, 0o700); err != nil {
		return none, cannotUse(p, err)
	}
	// What is in it is for its owner alone, whatever the modes of the files that others write there.
	if err := os.Chmod(p.DataDir, 0o700); err != nil {
		return none, cannotUse(p, err)
	}
	clean := func() error {
		if p.Ephemeral {
			return os.RemoveAll(p.DataDir)
		}
		return nil
	}
	file := p.Path(program + ".lock")
	lock := flock.New(file, flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	switch {
	case err != nil:
		return clean, cannotUse(p, err)
	case !locked:
		return none, fmt.Errorf("the data folder %s is in use by %s: stop that one, or use another folder with --name or --data-dir",
			p.DataDir, holder(file, program))
	}
	// Who holds it is for the message above; the lock does not depend on it.
	if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		return clean, errors.Join(cannotUse(p, err), lock.Unlock())
	}
	return func() error { return errors.Join(lock.Unlock(), clean()) }, nil
}

func cannotUse(p *Plan, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("the data folder %s cannot be used: %w; name another one with --data-dir", p.DataDir, err)
}

// held reports whether a process holds the data folder.
func held(p *Plan, program string) bool {
	// It is looked for in the way in which it is held, but shared and without making anything.
	lock := flock.New(p.Path(program+".lock"), flock.SetFlag(os.O_RDONLY))
	locked, err := lock.TryRLock()
	if locked {
		_ = lock.Unlock() // it is closed
	}
	return err == nil && !locked
}

// holder says which process has the lock.
func holder(file, program string) string {
	text, err := os.ReadFile(file)
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return "process " + pid
	}
	return "another " + program
}
