package etcd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// place is where etcd has its data.
type place struct {
	Data string
	Log  string // empty if it is in Data
}

// noted is a place in the file.
type noted struct {
	Data supervisor.RawString `json:"data-dir"`
	Log  supervisor.RawString `json:"wal-dir,omitempty"`
}

// noteIn is the file in the data folder that says where the last run had etcd's data. It is there only if that was not
// the folder that it is in without flags.
func noteIn(p *supervisor.Plan) string { return p.Path(names.Etcd + ".json") }

func placeOf(c *embed.Config) (at place, err error) {
	if at.Data, err = filepath.Abs(c.Dir); err == nil && c.WalDir != "" {
		at.Log, err = filepath.Abs(c.WalDir)
	}
	return at, err
}

// note notes the place, for those who look for the data when nothing runs.
func (at place) note(p *supervisor.Plan) error {
	file := noteIn(p)
	if at == (place{Data: p.Path(names.Etcd)}) {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := json.MarshalIndent(noted{supervisor.RawString(at.Data), supervisor.RawString(at.Log)}, "", "  ")
	if err != nil {
		return err
	}
	return cluster.Write(file, append(text, '\n'))
}

// lastPlace is where the last run had etcd's data, or where the first one will have it.
func lastPlace(p *supervisor.Plan) (at place, err error) {
	file := noteIn(p)
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return place{Data: p.Path(names.Etcd)}, nil
	case err != nil:
		return place{}, err
	}
	var n noted
	if err := json.Unmarshal(text, &n); err != nil || n.Data == "" {
		return place{}, fmt.Errorf("%s, which says where etcd's data is, is damaged: remove it if that is in %s, or else start etcd once", file, p.Path(names.Etcd))
	}
	return place{string(n.Data), string(n.Log)}, nil
}

// Present reports whether there is data of etcd's in the folder. An error says that not all of it is there.
func Present(dir string) (bool, error) {
	_, err := os.Stat(DatabaseIn(dir))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return wal.Exist(walIn(dir)), nil
	case err != nil:
		return false, err
	case !wal.Exist(walIn(dir)):
		return false, fmt.Errorf("%w: its log, %s, is missing beside the database; if that is elsewhere (--etcd.wal-dir), use etcdctl and etcdutl",
			errDamaged, walIn(dir))
	}
	return true, nil
}

func walIn(dir string) string { return filepath.Join(dir, "member", "wal") }

// OldSuffix ends the name of data that a restore has moved away where that cannot be done in one step, as long as the
// restored data has not taken its place.
const OldSuffix = ".old"

// whole refuses a folder of which a restore has been killed when it had moved the one data away, and not yet the other
// to its place: an etcd that starts there would begin anew. See package snapshot.
func whole(dir string) error {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	siblings, err := os.ReadDir(filepath.Dir(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, sibling := range siblings {
		if !strings.HasPrefix(sibling.Name(), filepath.Base(dir)+"-") || !strings.HasSuffix(sibling.Name(), OldSuffix) {
			continue
		}
		return fmt.Errorf("etcd's data is not in %s, as a restore was killed in the middle: to go back to the state before it, mv %s %s",
			dir, supervisor.ShellQuote(filepath.Join(filepath.Dir(dir), sibling.Name())), supervisor.ShellQuote(dir))
	}
	return nil
}
