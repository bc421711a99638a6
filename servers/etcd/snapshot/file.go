package snapshot

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"

	etcdutl "go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/etcd"
)

// examined is a snapshot of etcd's in a file, which has been looked at.
type examined struct {
	path string
	etcdutl.Status
}

// String tells of the file what `etcdutl snapshot status` does.
func (f *examined) String() string {
	return fmt.Sprintf("%s: revision %d, %d keys, %s", f.path, f.Revision, f.TotalKey, component.Size(f.TotalSize))
}

// examine looks at a file that is to be a whole snapshot, and one that this etcd can open. An error says why it is not.
func examine(path string) (*examined, error) {
	if err := checkSum(path); err != nil {
		return nil, err
	}
	f := &examined{path: path}
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
	return f, etcd.CheckVersion(f.path, f.Version)
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
