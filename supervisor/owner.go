package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// The machine may have other users. The owner of a folder, and everybody who may write to it, can replace what is in
// it: by keys of their own, or by a symlink through which this process writes to files that they may not touch. So the
// data folder, and what has names of the program's in it, must belong to this user or root, and nobody else may write
// to it.

// orChown is what to do: way, or the command that makes a file this user's, if the user is able to.
func orChown(user int, file, way string) string {
	if user != 0 {
		return way
	}
	return fmt.Sprintf("call `chown -R 0 %s` if you trust what is in it, or %s", text.ShellQuote(file), way)
}

// safe refuses a data folder in which others can change something, such as keys, or may have done so.
func (hk *HyperKube) safe(p *Plan) error {
	link, err := os.Lstat(p.DataDir)
	if err != nil {
		return cannotUse(p, err)
	}
	if !system.IsTrusted(link) && link.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("the data folder %s is not safe, as it is a link of %s, who may have it lead elsewhere: "+
			"name the folder behind it, or another one, with --data-dir", p.DataDir, system.Owner(link))
	}
	info, err := os.Stat(p.DataDir)
	switch {
	case err != nil:
		return cannotUse(p, err)
	case !system.IsTrusted(info):
		return fmt.Errorf("the data folder %s is not safe, as it belongs to %s, who may change what is in it: "+
			"%s", p.DataDir, system.Owner(info), orChown(os.Geteuid(), p.DataDir, "name another one with --data-dir"))
	case !system.OthersWrite(info):
	case info.Mode()&os.ModeSticky != 0: // it is for everybody
		return fmt.Errorf("the data folder %s is not safe, as others may put something into it: "+
			"name one in it with --data-dir, such as --data-dir=%s", p.DataDir, text.ShellQuote(p.Path(hk.Name)))
	default:
		return fmt.Errorf("the data folder %s is not safe, as others may change what is in it: "+
			"call `chmod go-w %s`, or name another one with --data-dir", p.DataDir, text.ShellQuote(p.DataDir))
	}
	return hk.safeInside(p, ".", system.IsEnterable(info))
}

// safeInside is safe for what is in a folder in the data folder. Modes count only for what others can reach. Folders of
// the program's further below are not looked at: containers have volumes there with any owner, and nobody else gets
// past the folders that were looked at.
func (hk *HyperKube) safeInside(p *Plan, dir string, reachable bool) error {
	entries, err := os.ReadDir(p.Path(dir))
	if err != nil {
		return cannotUse(p, err)
	}
	names := hk.stateNames()
	for _, e := range entries {
		rel := path.Join(dir, e.Name())
		whole, below := match(names, rel)
		if !whole && !below || dir != "." && e.IsDir() {
			continue
		}
		info, err := e.Info()
		if err == nil {
			err = hk.safeEntry(p, rel, info, reachable)
		}
		if err == nil && below && dir == "." {
			if info, err = os.Stat(p.Path(rel)); err == nil && info.IsDir() {
				err = hk.safeInside(p, rel, reachable && system.IsEnterable(info))
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// safeEntry is safe for a file or folder in the data folder.
func (hk *HyperKube) safeEntry(p *Plan, rel string, info fs.FileInfo, reachable bool) error {
	file := p.Path(rel)
	if system.IsTrusted(info) && info.Mode()&fs.ModeSymlink != 0 {
		behind, err := os.Stat(file) // it may be anywhere: no folder around it keeps others away
		if err != nil {
			return err
		}
		info, reachable = behind, true
	}
	switch {
	case !system.IsTrusted(info):
		return fmt.Errorf("the data folder %s is not safe, as %s in it belongs to %s: %s",
			p.DataDir, rel, system.Owner(info), orChown(os.Geteuid(), file, "remove it, or name another folder with --data-dir"))
	case reachable && system.OthersWrite(info):
		return fmt.Errorf("the data folder %s is not safe, as others may change %s in it: call `chmod go-w %s`, "+
			"or name another folder with --data-dir", p.DataDir, rel, text.ShellQuote(file))
	}
	return nil
}

// warnAbove warns of a folder above the data folder in which others can rename that, and put their own in its place. It
// is no error: folders in containers are often somebody else's, or for everybody, and there are no other users.
func (p *Plan) warnAbove() {
	if p.Ephemeral { // a new folder among the temporary ones, as other programs have it
		return
	}
	above := system.Replaceable(p.DataDir)
	if above == "" {
		return
	}
	p.run.logs.Program().Zap().WithOptions(zap.WithCaller(false)).Warn("others may put another folder in the place of the data folder, "+
		"as they may change a folder above it; if that is not as you want it, have nobody else change that one, or name a data folder "+
		"elsewhere with --data-dir",
		zap.String("folder", p.DataDir), zap.String("above", above))
}
