package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/supervisor"
)

// An etcd that cannot write ends by a fatal line, whose goroutine keeps the locks that it has: it cannot be closed any
// more, nor another one be started in the process. So it is closed while it can be, when space gets short, and started
// again when there is enough. What it writes until then, and to close, has its place on the disk already: etcd
// allocates its log ahead, and km the database.
const (
	// lowSpace is how little free space is left when etcd is closed.
	lowSpace = 16 << 20
	// spareSpace is how much has to be left at a start, beyond what etcd allocates for its log: more than lowSpace, so
	// that it does not start and stop again and again.
	spareSpace = 2 * lowSpace
	// aheadSpace is how much is allocated for the database beyond its end. Within spacePoll etcd does not write more.
	aheadSpace = 16 << 20
	// spacePoll is how often it is looked at.
	spacePoll = time.Second
)

// segment is how much etcd allocates for a file of its log. It does so for the one that it writes, and for the next.
func segment() int64 { return wal.SegmentSizeBytes }

// missingSegments is how much of that is not allocated yet.
func missingSegments(log string) int64 {
	// what a killed etcd has left, and the next one takes
	missing := max(0, segment()-allocated(filepath.Join(log, "0.tmp")))
	files, err := fileutil.ReadDir(log, fileutil.WithExt(".wal"))
	if err != nil || len(files) == 0 {
		return missing + segment()
	}
	return missing + max(0, segment()-allocated(filepath.Join(log, files[len(files)-1])))
}

// orphaned is how much of the disk a defragmentation has that was killed. A start of etcd removes it first.
func orphaned(data string) (bytes int64) {
	// a pattern that is right is no error
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(DatabaseIn(data)), "db.tmp*"))
	for _, file := range files {
		bytes += allocated(file)
	}
	return bytes
}

// existing is the folder, or that above it which is there.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || filepath.Dir(dir) == dir {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// needs is how much must be free for a start, on the disks of at.folders.
func (at place) needs() []int64 {
	data, log := spareSpace-orphaned(at.Data), missingSegments(at.log())
	if at.Log == "" {
		return []int64{data + log}
	}
	return []int64{data, log + spareSpace}
}

// short returns why there is not enough space for a start, or nil.
func (at place) short() error {
	var errs []error
	needs := at.needs()
	for i, dir := range at.folders() {
		errs = append(errs, shortOf(dir, needs[i]))
	}
	return waiting(errors.Join(errs...))
}

// low returns why an etcd that runs is to be closed, or nil.
func (at place) low() error {
	var errs []error
	for _, dir := range at.folders() {
		errs = append(errs, shortOf(dir, lowSpace))
	}
	return waiting(errors.Join(errs...))
}

// waiting says of space that is short that it is waited for.
func waiting(short error) error {
	if short == nil {
		return nil
	}
	return fmt.Errorf("%w; it goes on by itself when there is enough", short)
}

// shortOf returns an error if the disk of the folder has less free than that. The number that it says is rounded, so
// that the text stays while little changes.
func shortOf(dir string, needed int64) error {
	free, ok := freeIn(existing(dir))
	if !ok || free >= needed {
		return nil
	}
	const step = 10_000_000
	have := "less than " + component.Size(step) + " are"
	if free >= step {
		have = component.Size(free/step*step) + " are"
	}
	return fmt.Errorf("free space on the disk of %s: etcd needs %s there, and %s free", dir, component.Size(needed), have)
}

// waitForSpace waits until there is enough for a start, or ctx ends. Whoever can free some is told.
func waitForSpace(ctx context.Context, s *supervisor.Server, at place) {
	for {
		err := at.short()
		s.Hindered(err)
		if err == nil {
			return
		}
		select {
		case <-time.After(spacePoll):
		case <-ctx.Done():
			return
		}
	}
}

// spaceHook notes that etcd could not allocate the next file of its log: it logs that, goes on, and ends when it needs
// the file.
type spaceHook chan struct{}

func (h spaceHook) option() zap.Option {
	return zap.Hooks(func(e zapcore.Entry) error {
		if e.Message == "failed to preallocate space when creating a new WAL" {
			select {
			case h <- struct{}{}:
			default:
			}
		}
		return nil
	})
}

// watchSpace sends why etcd is to be closed, when space gets short before ctx ends; and keeps space for the database.
func watchSpace(ctx context.Context, at place, segmentMissing spaceHook, low chan<- error) {
	ticker := time.NewTicker(spacePoll)
	defer ticker.Stop()
	ahead := int64(-1)
	for {
		if info, err := os.Stat(DatabaseIn(at.Data)); err == nil && info.Size() != ahead {
			ahead = info.Size()
			allocate(DatabaseIn(at.Data), ahead+aheadSpace)
		}
		if err := at.low(); err != nil {
			low <- cmp.Or(at.short(), err) // what the next start needs
			return
		}
		select {
		case <-ticker.C:
		case <-segmentMissing:
			// It may have been short for a moment.
			low <- cmp.Or(at.short(), fmt.Errorf("free space on the disk of %s: etcd could not allocate the next file of its log", at.log()))
			return
		case <-ctx.Done():
			return
		}
	}
}
