package etcd

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/coreos/go-semver/semver"
	"go.etcd.io/etcd/api/v3/version"
	etcdutl "go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
)

// snapshotFile is a snapshot of etcd's in a file, which has been looked at.
type snapshotFile struct {
	path string
	etcdutl.Status
}

// String tells of the file what `etcdutl snapshot status` does.
func (f *snapshotFile) String() string {
	return fmt.Sprintf("%s: revision %d, %d keys, %s", f.path, f.Revision, f.TotalKey, size(f.TotalSize))
}

// examine looks at a file that is to be a whole snapshot, and one that this etcd can open. An error says why it is not.
func examine(path string) (*snapshotFile, error) {
	if err := checkSum(path); err != nil {
		return nil, err
	}
	f := &snapshotFile{path: path}
	err := func() (err error) {
		defer func() { // of what is no database of etcd's, upstream expects that it is one
			if v := recover(); v != nil {
				err = fmt.Errorf("%v", v)
			}
		}()
		f.Status, err = etcdutl.NewV3(zap.NewNop()).Status(path)
		return err
	}()
	if err != nil {
		return nil, fmt.Errorf("%s is no snapshot of etcd: %w", path, err)
	}
	return f, f.checkVersion()
}

// checkSum checks that the file ends in the hash of all that is before, which etcd adds to a snapshot. It comes first:
// upstream would map a damaged database into memory, or wait for one that a server has open.
func checkSum(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return fmt.Errorf("%s cannot be read: %w", path, reason(err))
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a file: name a snapshot of etcd", path)
	case info.Size() == 0:
		return fmt.Errorf("%s is empty: name a snapshot of etcd", path)
	case info.Size()%512 != sha256.Size: // databases are of whole pages
		return fmt.Errorf("%s is no snapshot of etcd, or not the whole of one: it does not end in a checksum; name another one", path)
	}
	file, err := os.Open(path) // not before: with a pipe it would wait
	if err != nil {
		return fmt.Errorf("%s cannot be read: %w", path, reason(err))
	}
	defer file.Close()
	hash := sha256.New()
	sum := make([]byte, sha256.Size)
	if _, err = io.CopyN(hash, file, info.Size()-sha256.Size); err == nil {
		_, err = io.ReadFull(file, sum)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be read: %w", path, reason(err))
	}
	if !bytes.Equal(hash.Sum(nil), sum) {
		return fmt.Errorf("%s is damaged, or no snapshot of etcd: its checksum does not fit; name another one", path)
	}
	return nil
}

// checkVersion refuses a snapshot whose storage version this etcd does not know. etcd upgrades that of older ones down
// to 3.5, which did not note any (server/storage/schema); whether it can is seen when it is started with the data.
func (f *snapshotFile) checkVersion() error {
	if f.Version == "" {
		return nil
	}
	theirs, err := semver.NewVersion(f.Version)
	if err != nil {
		return fmt.Errorf("%s is no snapshot of etcd: its storage version is %q", f.path, f.Version)
	}
	mine, err := semver.NewVersion(version.Version)
	if err != nil {
		return errors.Join(errors.New("the version of this etcd is not known"), err)
	}
	if theirs.Major > mine.Major || theirs.Major == mine.Major && theirs.Minor > mine.Minor {
		return fmt.Errorf("%s is of etcd %d.%d, and this km carries %d.%d: use a newer km", f.path, theirs.Major, theirs.Minor, mine.Major, mine.Minor)
	}
	return nil
}
