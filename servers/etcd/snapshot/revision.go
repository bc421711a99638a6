package snapshot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/servers/etcd"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// askTime is how long etcd may take to say its revision, and a database to be let go of.
const askTime = 5 * time.Second

// bump is by how much the revision of the restored data is to be higher than that of the snapshot. status is that of
// the run, or nil.
func (r *restore) bump(ctx context.Context, status *supervisor.Status) uint64 {
	reached, err := r.reached(ctx, status)
	if err != nil && ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "warning: which revision the cluster has reached cannot be found out: %v. Clients that have seen a revision above %d must be restarted, or "+
			"they miss changes.\n", err, r.file.Revision+etcd.RevisionBump)
	}
	return uint64(max(0, reached-r.file.Revision) + etcd.RevisionBump)
}

// reached is the revision that the cluster has reached before the restore, or a bit less; 0 if there is no data.
func (r *restore) reached(ctx context.Context, status *supervisor.Status) (int64, error) {
	if status == nil || status.Server(names.Etcd).State != supervisor.Ready {
		return revisionIn(etcd.DatabaseIn(r.live))
	}
	endpoint, err := r.etcd.Endpoint(status, elsewhere)
	if err != nil {
		return 0, err
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
	if err != nil {
		return 0, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	answer, err := client.Get(ctx, "/", clientv3.WithCountOnly())
	if err != nil {
		return 0, err
	}
	return answer.Header.Revision, nil
}

// revisionIn is the revision that is in a database which no etcd has open. After a kill, etcd's log may have some
// thousand more, which is nothing against etcd.RevisionBump; so the log, which may be damaged, is not looked at, and
// nothing is changed.
func revisionIn(database string) (revision int64, err error) {
	// What is damaged, which is a reason for a restore, has bbolt panic, or read beyond the end of the file.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			revision, err = 0, fmt.Errorf("%s is damaged: %v", database, v)
		}
	}()
	if _, err := os.Stat(database); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	db, err := bbolt.Open(database, 0o600, &bbolt.Options{ReadOnly: true, Timeout: askTime})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", database, err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		if keys := tx.Bucket(schema.Key.Name()); keys != nil {
			if last, _ := keys.Cursor().Last(); last != nil {
				revision = mvcc.BytesToRev(last).Main
			}
		}
		// That of the restore before is not among the keys any more when they have been compacted.
		if meta := tx.Bucket(schema.Meta.Name()); meta != nil {
			if compacted := meta.Get(schema.ScheduledCompactKeyName); len(compacted) >= 8 {
				revision = max(revision, int64(binary.BigEndian.Uint64(compacted)))
			}
		}
		return nil
	})
	return revision, err
}
