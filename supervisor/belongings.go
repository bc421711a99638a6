package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-200a7251/km/supervisor/internal/crash"
	"github.com/seed-200a7251/km/supervisor/internal/text"
	"github.com/seed-200a7251/km/supervisor/mounts"
)

// The data folder may have existed before, and users may put things into it. What belongs to the program is known by
// its name: the names of this package, and those that the servers declare (Server.State). Anything else is left alone,
// and so is what was there before the first run.

// foundList is a file in a data folder that existed before the program used it. It lists the paths of what was in the
// folder, each followed by a zero byte.
const foundList = "found"

// belongings is what is in a data folder.
type belongings struct {
	own    []string // paths in it, of what belongs to the program
	folder []string // paths of folders with such paths in them, the outer ones first
	others []string // paths of what does not
}

// stateNames are the patterns of the paths in the data folder that belong to the program.
func (hk *HyperKube) stateNames() []string {
	names := []string{hk.Name + ".lock", hk.Name + ".sock", plainRecord, socketDir + "/*.sock", foundList, logPlaces, logPlaces + ".new",
		crash.ReportFile, crash.OldReportFile, crash.MarkFile}
	logs := []string{hk.Name}
	for _, s := range hk.servers {
		names = append(append(names, s.Name()+".child.sock"), s.State...)
		logs = append(logs, s.Name())
	}
	for _, log := range logs {
		names = append(names, "logs/"+log+".log", "logs/"+log+"-[0-9]*.log") // and those that have been renamed
	}
	return names
}

// survey looks at what is in the data folder.
func (hk *HyperKube) survey(p *Plan) (*belongings, error) {
	found, err := readFound(p)
	if err != nil {
		return nil, err
	}
	b := &belongings{}
	return b, b.look(p, ".", hk.stateNames(), found)
}

// look looks at a folder in the data folder. If names is nil, all in it belongs to the program, except what was found.
func (b *belongings) look(p *Plan, dir string, names []string, found map[string]bool) error {
	entries, err := os.ReadDir(p.Path(dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		rel := path.Join(dir, e.Name())
		whole, below := match(names, rel)
		// Stat follows symlinks: somebody may have put one in the place of a folder of the program's.
		info, err := os.Stat(p.Path(rel))
		isDir := err == nil && info.IsDir()
		switch has := has(found, rel); {
		case found[rel]:
			b.others = append(b.others, rel)
		case whole && has:
			err = b.look(p, rel, nil, found)
		case whole:
			b.own = append(b.own, rel)
		case below && isDir:
			if e.IsDir() {
				b.folder = append(b.folder, rel)
			}
			err = b.look(p, rel, names, found)
			if !e.IsDir() {
				b.others = append(b.others, rel)
			}
		default:
			b.others = append(b.others, rel)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// match reports whether a path has one of the names, and whether something in it may have one.
func match(names []string, rel string) (whole, below bool) {
	if names == nil {
		return true, true
	}
	depth := strings.Count(rel, "/") + 1
	for _, name := range names {
		elements := strings.Split(name, "/")
		if len(elements) < depth {
			continue
		}
		ok, err := path.Match(strings.Join(elements[:depth], "/"), rel)
		if err != nil || !ok {
			continue
		}
		whole = whole || len(elements) == depth
		below = below || len(elements) > depth
	}
	return whole, below
}

// has reports whether one of the paths is below a folder.
func has(paths map[string]bool, folder string) bool {
	for p := range paths {
		if strings.HasPrefix(p, folder+"/") {
			return true
		}
	}
	return false
}

// remove deletes what belongs to the program, but for the lock, which is what keeps others out meanwhile.
func (b *belongings) remove(p *Plan, lock string) error {
	var errs []error
	for _, own := range b.own {
		if file := p.Path(own); file != lock {
			errs = append(errs, mounts.RemoveAll(file))
		}
	}
	for _, folder := range slices.Backward(b.folder) {
		_ = os.Remove(p.Path(folder)) // there is something in it that stays
	}
	return errors.Join(errs...)
}

// takeOver checks that an existing data folder may be used: it is the program's, or is empty. What has a name of the
// program's is allowed in it: users may put it there before the first run. note is to be called when the folder is
// held.
func (hk *HyperKube) takeOver(p *Plan) (note func() error, err error) {
	none := func() error { return nil }
	if lock, err := os.Lstat(p.Path(hk.Name + ".lock")); err == nil && lock.Mode().IsRegular() {
		return none, hk.safe(p)
	}
	entries, err := os.ReadDir(p.DataDir)
	if err != nil {
		return none, cannotUse(p, err)
	}
	names := hk.stateNames()
	var others []string
	for _, e := range entries {
		if whole, below := match(names, e.Name()); !whole && !below {
			others = append(others, e.Name())
		}
	}
	if len(others) > 0 {
		return none, fmt.Errorf("the data folder %s is not empty, and no %s has made it: there is %s in it; "+
			"name a new or empty one with --data-dir, such as --data-dir=%s", p.DataDir, hk.Name, few(others), text.ShellQuote(p.Path(hk.Name)))
	}
	if err := hk.safe(p); err != nil {
		return none, err
	}
	if _, err := os.Lstat(p.Path(foundList)); err == nil { // it has been noted
		return none, nil
	}
	list, err := listFound(p)
	if err != nil {
		return none, cannotUse(p, err)
	}
	return func() error { return os.WriteFile(p.Path(foundList), list, 0o600) }, nil
}

// listFound lists what is in the data folder before the program puts something there.
func listFound(p *Plan) (list []byte, err error) {
	err = filepath.WalkDir(p.DataDir+string(filepath.Separator), func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(p.DataDir, file)
		if err == nil && rel != "." && (!d.IsDir() || emptyFolder(file)) {
			list = append(append(list, filepath.ToSlash(rel)...), 0)
		}
		return err
	})
	return list, err
}

func emptyFolder(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

// readFound returns what was found in the data folder.
func readFound(p *Plan) (map[string]bool, error) {
	text, err := os.ReadFile(p.Path(foundList))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	found := map[string]bool{}
	for name := range strings.SplitSeq(string(text), "\x00") {
		if name != "" {
			found[name] = true
		}
	}
	return found, err
}

// few are the first of some names, in a sentence.
func few(names []string) string {
	const enough = 5
	var quoted []string
	for _, name := range names[:min(len(names), enough)] {
		quoted = append(quoted, text.ShellQuote(name))
	}
	text := strings.Join(quoted, ", ")
	if more := len(names) - enough; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
