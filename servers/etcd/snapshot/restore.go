package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/etcd"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// restore is `snapshot restore`.
func (s *snapshots) restore(ctx context.Context, path string, yes bool) error {
	file, err := examine(path)
	if err != nil {
		return err
	}
	status, errStatus := s.hk.Status(ctx, s.plan)
	switch {
	case errStatus == nil && status.Server(names.Etcd) == nil:
		return fmt.Errorf("%s runs without an etcd of its own here: use `etcdutl snapshot restore` where the etcd is that --apiserver.etcd-servers names", s.hk.Name)
	case errStatus != nil && !errors.Is(errStatus, supervisor.ErrNotRunning):
		return errStatus
	}
	dir, err := s.etcd.Dir()
	if err != nil {
		return err
	}
	r := &restore{snapshots: s, file: file, yes: yes}
	if r.live, err = filepath.EvalSymlinks(dir); errors.Is(err, fs.ErrNotExist) {
		r.live, err = dir, nil
	}
	if err != nil {
		return err
	}
	if errStatus != nil {
		status = nil
	}
	if err := r.etcd.RefuseSeveral(ctx, r.live, status); err != nil {
		return err
	}
	switch {
	case status != nil:
		return r.inRun(ctx, status)
	}
	r.there, err = etcd.Present(r.live)
	r.there = r.there || err != nil // damaged data is a reason for a restore
	return r.stopped(ctx)
}

// restore is one restore.
type restore struct {
	*snapshots
	file  *examined
	yes   bool
	live  string // the folder with the data that is to be replaced; links to it have been followed
	there bool   // that there is any
}

// staged is where the restored data is before it takes the place of the other. What is found there was left by a
// restore that was killed.
func (r *restore) staged() string { return r.live + ".restoring" }

// stopped restores in a cluster that does not run.
func (r *restore) stopped(ctx context.Context) (err error) {
	if r.there && !r.yes {
		if err := r.hk.Confirm(ctx, []string{r.warning()}, "restored"); err != nil {
			return err
		}
	}
	release, err := r.hk.Hold(r.plan)
	defer func() { err = errors.Join(err, release()) }()
	if err != nil {
		return err
	}
	unlock, err := r.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := r.stage(ctx, nil); err != nil {
		return err
	}
	aside, err := "", cluster.New().Open(ctx, r.plan)
	if err == nil {
		aside, err = r.swap()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("nothing was restored: %w", err), os.RemoveAll(r.staged()))
	}
	r.tell(aside)
	with := ""
	if dir, err := r.etcd.Dir(); err == nil && dir != r.plan.Path(names.Etcd) {
		with = fmt.Sprintf(", and the --etcd.data-dir or --etcd.config-file of before: the data is in %s", dir)
	}
	fmt.Fprintf(r.hk.Out(), "start the cluster with `%s`%s\n", r.plan.Command("run"), with)
	return r.sync()
}

func (r *restore) warning() string {
	return fmt.Sprintf("The state of the cluster in %s is replaced by that in %s (revision %d), and kept beside it.", r.live, r.file.path, r.file.Revision)
}

// tell says what has been done.
func (r *restore) tell(aside string) {
	fmt.Fprintf(r.hk.Out(), "restored %s\n", r.file)
	if aside != "" {
		fmt.Fprintf(r.hk.Out(), "what was there before is in %s: remove it when you do not need it\n", aside)
	}
}

// stage makes the restored data, beside the other, and starts etcd with it, to see that it can. An error says that
// nothing has changed. status is that of the run, or nil.
func (r *restore) stage(ctx context.Context, status *supervisor.Status) (err error) {
	staged := r.staged()
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("nothing was restored: %w", err), os.RemoveAll(staged))
		}
	}()
	if err := os.RemoveAll(staged); err != nil {
		return err
	}
	if err := r.etcd.Restore(r.file.path, staged, r.bump(ctx, status)); err != nil {
		return err
	}
	if err := r.etcd.Serve(ctx, staged, func(endpoint string) error { return r.endAlarm(ctx, endpoint) }); err != nil && ctx.Err() == nil {
		return fmt.Errorf("etcd cannot be started with %s: %w", r.file.path, err)
	}
	if ctx.Err() != nil {
		return errors.New("interrupted")
	}
	// Upstream leaves some of it to the kernel. It is to be on the disk before it takes the place of what is.
	return filepath.WalkDir(staged, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return syncFile(path)
	})
}

// endAlarm ends the alarm that the snapshot's database had reached its quota: it is in there, and etcd would refuse all
// writes.
func (r *restore) endAlarm(ctx context.Context, endpoint string) error {
	full, err := etcd.EndAlarm(ctx, endpoint, r.staged())
	if full {
		fmt.Fprintf(os.Stderr, "warning: %s is of a store that is full, and all of it is in use: %s\n", r.file.path, r.etcd.WhatHelps())
	}
	return err
}

// swap has the restored data take the place of the other, in one step: whenever this process, or the machine, is
// stopped, one of them is there. It returns where the other is now, if there was any.
func (r *restore) swap() (aside string, err error) {
	entries, err := os.ReadDir(r.live)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = os.Rename(r.staged(), r.live)
	case err == nil && len(entries) == 0:
		if err = os.Remove(r.live); err == nil {
			err = os.Rename(r.staged(), r.live)
		}
	default: // also if it is no folder
		// It gets the name under which the other is found afterwards before, so that nothing is left to do then.
		if aside, err = r.setAside(); err == nil {
			if err = exchange(aside, r.live); err != nil {
				err = errors.Join(err, os.Rename(aside, r.staged()))
			}
		}
	}
	if err != nil {
		return "", fmt.Errorf("%s cannot be replaced: %w", r.live, err)
	}
	return aside, nil
}

// sync has the swap on the disk.
func (r *restore) sync() error {
	if err := syncFile(filepath.Dir(r.live)); err != nil {
		return fmt.Errorf("a power failure could undo this: %w", err)
	}
	return nil
}

// setAside renames the restored data to what the other is to be called: a name with the time, which is not taken.
func (r *restore) setAside() (string, error) {
	name := r.live + "-" + time.Now().Format("20060102-150405")
	aside := name
	for n := 2; ; n++ {
		_, err := os.Lstat(aside)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return aside, os.Rename(r.staged(), aside)
		case err != nil:
			return "", err
		}
		aside = fmt.Sprintf("%s-%d", name, n)
	}
}

// exchangeInSteps is exchange for systems that cannot do it in one. A process that is killed between the steps leaves
// nothing at b: the data of before is at a with etcd.OldSuffix behind it then, and the restored one at a. Access.Dir
// finds that.
func exchangeInSteps(a, b string) error {
	old := a + etcd.OldSuffix
	if err := os.Rename(b, old); err != nil {
		return err
	}
	if err := os.Rename(a, b); err != nil {
		return errors.Join(err, os.Rename(old, b))
	}
	return os.Rename(old, a)
}
