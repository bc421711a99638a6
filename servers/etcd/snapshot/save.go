package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/snapshot"
	"go.uber.org/zap"
	"golang.org/x/term"
)

// save is `snapshot save`.
func (s *snapshots) save(ctx context.Context, file string, force bool) error {
	if err := writable(file, force); err != nil {
		return err
	}
	return s.etcd.Ask(ctx, "save", elsewhere, func(endpoint string, _ bool) error { return s.fetch(ctx, endpoint, file, force) })
}

// elsewhere is what to type where km has no etcd of its own.
const elsewhere = "etcdctl snapshot save"

// print is `snapshot save -`: the snapshot goes to standard output, when it is known to be whole.
func (s *snapshots) print(ctx context.Context) (err error) {
	if out, ok := s.hk.Out().(*os.File); ok && term.IsTerminal(int(out.Fd())) {
		return errors.New("standard output is a terminal: name a file, or send it to one (`>`)")
	}
	place, err := os.MkdirTemp("", partFolder) // nobody else may enter it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(place)) }()
	file := filepath.Join(place, partFile)
	quiet := *s
	quiet.silent = true
	if err := quiet.save(ctx, file, false); err != nil {
		return err
	}
	saved, err := examine(file)
	if err != nil {
		return err
	}
	opened, err := os.Open(file)
	if err != nil {
		return err
	}
	defer opened.Close()
	if _, err := io.Copy(s.hk.Out(), opened); err != nil {
		return fmt.Errorf("standard output cannot be written: %w", reason(err))
	}
	saved.path = "standard output"
	fmt.Fprintln(os.Stderr, saved)
	return nil
}

// writable reports why a file cannot be written, as far as that can be seen.
func writable(file string, force bool) error {
	info, err := os.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return cannotWrite(file, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is there, and is not a file: name another one", file)
	case !force:
		return alreadyThere(file)
	}
	return nil
}

func alreadyThere(file string) error {
	return fmt.Errorf("%s is there already: name another file, or replace it with --force", file)
}

func cannotWrite(file string, err error) error {
	return fmt.Errorf("%s cannot be written: %w; name another file", file, reason(err))
}

// fetch saves what the etcd has in a file: all of it, or there is none. It is written in a folder beside, so that
// nobody sees a half one, and no file is lost that is there by chance.
func (s *snapshots) fetch(ctx context.Context, endpoint, file string, force bool) (err error) {
	folder := filepath.Dir(file)
	if err := removeLeft(folder); err != nil {
		return cannotWrite(file, err)
	}
	part, remove, err := beside(folder)
	if err != nil {
		return cannotWrite(file, err)
	}
	defer func() { err = errors.Join(err, remove()) }()
	_, err = snapshot.SaveWithVersion(ctx, zap.NewNop(), clientv3.Config{Endpoints: []string{endpoint}}, part)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted; %s is not written", file)
	case err != nil && reason(err) != err:
		return cannotWrite(file, err)
	case err != nil:
		return fmt.Errorf("etcd at %s gives no snapshot: %w", endpoint, err)
	}
	saved, err := examine(part)
	if err != nil {
		return fmt.Errorf("%s is not written: what etcd gave is not as it should be: %w", file, err)
	}
	if err := giveName(part, file, force); err != nil {
		return err
	}
	if err := syncFile(folder); err != nil {
		return cannotWrite(file, err)
	}
	saved.path = file
	if !s.silent {
		fmt.Fprintln(s.hk.Out(), saved)
	}
	return nil
}

// giveName gives a file its name.
func giveName(part, file string, force bool) error {
	if !force {
		err := os.Link(part, file) // unlike a renaming, it does not replace what is there
		switch {
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrExist):
			return alreadyThere(file)
		case !errors.Is(err, syscall.EPERM) && !errors.Is(err, errors.ErrUnsupported):
			return cannotWrite(file, err)
		}
		// The file system has no links.
	}
	if err := writable(file, force); err != nil {
		return err
	}
	if err := os.Rename(part, file); err != nil {
		return cannotWrite(file, err)
	}
	return nil
}
