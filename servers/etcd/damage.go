package etcd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/pkg/v3/pbutil"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
	"github.com/seed-200a7251/km/supervisor/errno"
)

// errDamaged is data with which no etcd can go on.
var errDamaged = errors.New("etcd's data is damaged")

// log is where etcd has its log.
func (at place) log() string {
	if at.Log != "" {
		return at.Log
	}
	return walIn(at.Data)
}

// sound looks for damage that etcd would make worse: with a log that is missing, or ends before what is in the
// database, it starts, and takes no write any more; and a database that is cut off ends the process. All else it finds
// by itself, and heals what a power cut leaves: the torn end of a log, or a missing database that the log has all of.
// Nothing is changed.
func (at place) sound() error {
	database := DatabaseIn(at.Data)
	info, err := os.Stat(database)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	d := stored{}
	if err == nil {
		d, err = readStored(database)
	}
	switch {
	case errors.Is(err, bolterrors.ErrTimeout): // somebody has it open, and etcd waits for him
		return nil
	case err != nil:
		return err
	case d.Version != "":
		if err := CheckVersion(database, d.Version); err != nil {
			return err
		}
	}
	switch {
	case d.index == 0: // a first start was killed: nothing has been stored
		return nil
	case !wal.Exist(at.log()):
		return fmt.Errorf("%w: its log, %s, is missing beside the database", errDamaged, at.log())
	}
	last, err := lastIndex(at.log(), d.index)
	if err != nil {
		return err
	}
	if last < d.index {
		return fmt.Errorf("%w: its log, in %s, ends at entry %d, and the database has that up to %d", errDamaged, at.log(), last, d.index)
	}
	return nil
}

// stored is what a database says of itself.
type stored struct {
	index   uint64 // of the last entry of the log that is in it
	Version string
}

// readStored reads a database that no etcd has open.
func readStored(database string) (d stored, err error) {
	err = view(database, func(tx *bbolt.Tx) error {
		info, err := os.Stat(database)
		if err != nil {
			return err
		}
		if info.Size() < tx.Size() {
			return fmt.Errorf("%w: %s is cut off: it has %s of %s", errDamaged, database, component.Size(info.Size()), component.Size(tx.Size()))
		}
		if meta := tx.Bucket(schema.Meta.Name()); meta != nil {
			if index := meta.Get(schema.MetaConsistentIndexKeyName); len(index) == 8 {
				d.index = binary.BigEndian.Uint64(index)
			}
			d.Version = string(meta.Get(schema.MetaStorageVersionName))
		}
		// When etcd opens it, bbolt looks at all pages, in a goroutine of its own, and a panic there ends the process.
		return tx.ForEach(func(_ []byte, bucket *bbolt.Bucket) error {
			bucket.Stats()
			return nil
		})
	})
	return d, err
}

// view calls f with a database that no etcd has open.
func view(database string, f func(*bbolt.Tx) error) (err error) {
	// What is damaged has bbolt panic, or read beyond the end of the file.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %s: %v", errDamaged, database, v)
		}
	}()
	db, err := bbolt.Open(database, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockPause})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout), errors.Is(err, fs.ErrPermission):
		return err
	case err != nil:
		return fmt.Errorf("%w: %s: %w", errDamaged, database, err)
	}
	defer db.Close()
	return db.View(f)
}

// lastIndex is that of the last entry of a log that can be read. It looks at the last files first, and not further when
// it has reached enough. What etcd cuts off is left to it.
func lastIndex(log string, enough uint64) (last uint64, err error) {
	files, err := fileutil.ReadDir(log, fileutil.WithExt(".wal")) // sorted, by their numbers
	if err != nil {
		return 0, err
	}
	for _, file := range slices.Backward(files) {
		index, err := lastIndexIn(filepath.Join(log, file))
		if last = max(last, index); err != nil || last >= enough {
			return last, err
		}
	}
	return last, nil
}

func lastIndexIn(file string) (last uint64, err error) {
	defer func() { // etcd's code expects that what has a fitting checksum is an entry
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: its log, in %s, cannot be read: %v", errDamaged, file, v)
		}
	}()
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	decoder := wal.NewDecoder(fileutil.NewFileReader(f))
	var record walpb.Record
	for {
		switch err := decoder.Decode(&record); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // maybe the torn end that a power cut leaves
			return last, nil
		case err != nil:
			return last, fmt.Errorf("%w: its log, in %s, cannot be read: %w", errDamaged, file, err)
		}
		switch record.GetType() {
		case wal.CrcType: // goes on from the file before
			decoder.UpdateCRC(record.GetCrc())
		case wal.EntryType:
			last = wal.MustUnmarshalEntry(record.Data).GetIndex()
		case wal.SnapshotType:
			var snapshot walpb.Snapshot
			pbutil.MustUnmarshalMessage(&snapshot, record.Data)
			last = max(last, snapshot.GetIndex())
		}
	}
}

// fewFiles begins the line with which upstream ends the process because it may open too few files
// (embed.configureClientListeners).
const fewFiles = "file descriptor limit of etcd process is too low"

// explain adds to an error of a start, or of what has ended a run after it, what can be done about it, and says where
// another try is pointless.
func (at place) explain(p *supervisor.Plan, err error, starting bool) error {
	var fatal *fatalError
	isFatal := errors.As(err, &fatal)
	switch {
	case err == nil:
		return nil
	case errno.NoSpace(err):
		return fmt.Errorf("%w: free space in %s, or raise the disk's quota; nothing that was acknowledged is lost", err,
			strings.Join(at.folders(), " and "))
	case errors.Is(err, syscall.EROFS):
		return supervisor.Permanent(fmt.Errorf("%w: %s must be writable, but is on a file system that is mounted read-only, maybe since an "+
			"error of the disk: look at the kernel's log (dmesg), and mount it again", err, at.Data))
	case errors.Is(err, syscall.EMFILE) || strings.Contains(err.Error(), fewFiles):
		return supervisor.Permanent(fmt.Errorf("%w: raise the limit, with `ulimit -n 1024` as far as you may, or by LimitNOFILE= of a systemd "+
			"unit, and start anew; nothing is wrong with the data", err))
	case errors.Is(err, fs.ErrPermission) && (isFatal || at.has(err)):
		return supervisor.Permanent(fmt.Errorf("%w: %s, and what is in it, must be readable and writable for the user that runs this: put "+
			"back its owner and mode", err, at.Data))
	case errors.Is(err, syscall.EIO):
		return supervisor.Permanent(fmt.Errorf("%w: the disk under %s reports errors: look at the kernel's log (dmesg), and save what can "+
			"be read", err, at.Data))
	case errors.Is(err, fileutil.ErrLocked) || strings.Contains(err.Error(), fileutil.ErrLocked.Error()):
		return err // by somebody who may end
	case errors.Is(err, errRemoved):
		return supervisor.Permanent(fmt.Errorf("%w: delete its data folder with `%s`, and join again with a new token", err, p.Command("reset")))
	case errors.Is(err, errDamaged):
	case strings.Contains(err.Error(), "use a newer km"):
		return supervisor.Permanent(err)
	case starting && (isFatal || errors.Is(err, walpb.ErrCRCMismatch) || ofData(err.Error())):
		// What upstream ends the process for at a start is about what it reads.
		err = fmt.Errorf("%w: %w", errDamaged, err)
	default:
		return err
	}
	return supervisor.Permanent(fmt.Errorf("%w. %s stays as it is until you decide: %s", err, at.Data, at.wayOut(p)))
}

// wayOut is what can be done about damaged data.
func (at place) wayOut(p *supervisor.Plan) string {
	if joined, err := cluster.ReadMembership(p); err == nil && joined != nil {
		return fmt.Sprintf("move %s away, and start km again: it joins anew, and gets the data of the others", strings.Join(at.folders(), " and "))
	}
	way := fmt.Sprintf("`%s` goes back to a snapshot and keeps what is there beside it; `%s` begins anew",
		p.Command("snapshot", "restore", "FILE"), p.Command("reset"))
	switch {
	case at.Log != "":
		way = fmt.Sprintf("move it and %s away, and begin anew, or restore a snapshot with etcdutl", at.Log)
	case at.Data != p.Path(names.Etcd):
		way = fmt.Sprintf("`%s` goes back to a snapshot and keeps what is there beside it; to begin anew, move it away",
			p.Command("snapshot", "restore", "FILE"))
	}
	if cluster.IsAdvertised(p) {
		way += fmt.Sprintf("; where other machines have a control plane, `%s`, and join one of them with a new token", p.Command("reset"))
	}
	return way
}

// ofData reports whether an error's text is about data that upstream, or what it reads with, could not make sense of.
func ofData(text string) bool {
	return strings.HasPrefix(text, "panic: ") || strings.HasPrefix(text, "proto:") || strings.HasPrefix(text, "database file")
}

// has reports whether the error is about a file of etcd's data.
func (at place) has(err error) bool {
	var path *fs.PathError
	return errors.As(err, &path) && slices.ContainsFunc(at.folders(), func(dir string) bool {
		return path.Path == dir || strings.HasPrefix(path.Path, dir+string(filepath.Separator))
	})
}

// folders are those on whose disks etcd writes.
func (at place) folders() []string {
	if at.Log == "" {
		return []string{at.Data}
	}
	return []string{at.Data, at.Log}
}
