package snapshot

import (
	"fmt"

	"github.com/gofrs/flock"

	"github.com/seed-200a7251/km/servers/names"
)

// lock keeps other restores away: while a cluster runs, that one holds the data folder, and not they.
func (r *restore) lock() (unlock func() error, err error) {
	lock := flock.New(r.plan.Path(names.Etcd+".restoring.lock"), flock.SetPermissions(0o600))
	mine, err := lock.TryLock()
	switch {
	case err != nil:
		return nil, fmt.Errorf("nothing was restored: %w", err)
	case !mine:
		return nil, fmt.Errorf("nothing was restored: another restore goes on in %s; wait for its end", r.plan.DataDir)
	}
	return lock.Unlock, nil
}
