package etcd

import (
	"errors"
	"fmt"

	"github.com/coreos/go-semver/semver"
	"go.etcd.io/etcd/api/v3/version"
)

// CheckVersion refuses a file whose storage version this etcd does not know. Empty, it is that of 3.5 or before, which
// did not note any: etcd upgrades those of older ones (server/storage/schema), and whether it can is seen when it is
// started with the data.
func CheckVersion(file, storage string) error {
	if storage == "" {
		return nil
	}
	theirs, err := semver.NewVersion(storage)
	if err != nil {
		return fmt.Errorf("%s is no snapshot of etcd: its storage version is %q", file, storage)
	}
	mine, err := semver.NewVersion(version.Version)
	if err != nil {
		return errors.Join(errors.New("the version of this etcd is not known"), err)
	}
	if theirs.Major > mine.Major || theirs.Major == mine.Major && theirs.Minor > mine.Minor {
		return fmt.Errorf("%s is of etcd %d.%d, and this km carries %d.%d: use a newer km", file, theirs.Major, theirs.Minor, mine.Major, mine.Minor)
	}
	return nil
}
