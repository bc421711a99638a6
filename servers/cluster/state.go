package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/util/version"

	"github.com/seed-200a7251/km/servers/versions"
)

// layout is the version of the data folder's layout.
const layout = 1

// state is what state.json says: who wrote the folder last.
type state struct {
	Layout     int    `json:"layout"`
	Kubernetes string `json:"kubernetes"`
	Etcd       string `json:"etcd"`
}

// claim refuses a folder that a newer program has written: what is stored there may be unreadable for this one, and
// would be lost. Otherwise it notes that this one writes it now.
func claim(file string) error {
	mine := state{Layout: layout, Kubernetes: versions.Kubernetes(), Etcd: versions.Etcd()}
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		var theirs state
		if err := json.Unmarshal(text, &theirs); err != nil {
			return fmt.Errorf("%s is damaged: %w; remove it, and km takes the folder for one of its own version", file, err)
		}
		if err := older(theirs, mine); err != nil {
			return fmt.Errorf("the data folder %s was last used by %w; use that version, or another folder with --name or --data-dir",
				filepath.Dir(file), err)
		}
		if theirs == mine {
			return nil
		}
	}
	text, err = json.MarshalIndent(mine, "", "  ")
	if err != nil {
		return err
	}
	return Write(file, append(text, '\n'))
}

// older returns an error that names what is newer in theirs than in mine. Patch releases can read each other's data.
func older(theirs, mine state) error {
	if theirs.Layout > mine.Layout {
		return fmt.Errorf("a newer km (layout %d; this one knows %d)", theirs.Layout, mine.Layout)
	}
	for _, v := range []struct{ what, theirs, mine string }{
		{"Kubernetes", theirs.Kubernetes, mine.Kubernetes},
		{"etcd", theirs.Etcd, mine.Etcd},
	} {
		a, errA := version.Parse(v.theirs)
		b, errB := version.Parse(v.mine)
		if errA != nil || errB != nil {
			continue // a development build: nothing is known
		}
		if a.Major() > b.Major() || a.Major() == b.Major() && a.Minor() > b.Minor() {
			return fmt.Errorf("%s %s, and this km carries %s", v.what, v.theirs, v.mine)
		}
	}
	return nil
}
