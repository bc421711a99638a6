package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gofrs/flock"

	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// startingLock keeps etcd from opening its data while a restore replaces it: etcd shares it with others while it
// starts, a restore has it alone. Once etcd has started, its database is locked.
func startingLock(p *supervisor.Plan) *flock.Flock {
	return flock.New(p.Path(names.Etcd+".starting.lock"), flock.SetPermissions(0o600))
}

// lockPause is how long it takes at most to see that a lock is free.
const lockPause = 20 * time.Millisecond

// WhileNoneStarts calls f while no etcd of the data folder can start.
func WhileNoneStarts(p *supervisor.Plan, f func() error) (err error) {
	lock := startingLock(p)
	mine, err := lock.TryLock()
	switch {
	case err != nil:
		return err
	case !mine:
		return errors.New("etcd is being started by somebody else: try again")
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	return f()
}

// whileNotReplaced calls f while no restore replaces etcd's data. It waits for the end of one, or of ctx; then it
// returns nil, and has not called f.
func whileNotReplaced(ctx context.Context, lock *flock.Flock, f func() error) (err error) {
	mine, err := lock.TryRLockContext(ctx, lockPause)
	switch {
	case ctx.Err() != nil && !mine:
		return nil
	case err != nil:
		return fmt.Errorf("it cannot be seen whether a restore goes on: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	return f()
}
