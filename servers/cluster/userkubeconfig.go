package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/seed-200a7251/km/supervisor"
)

// userKubeconfig is the user's own kubeconfig: the files that kubectl reads. Of an entry that is in several, the first
// one counts.
type userKubeconfig struct {
	files []*userFile
	// target is where new entries go, and the current context: the first file that is there, else the last one.
	target *userFile
	unlock []func()
}

// userFile is one of them.
type userFile struct {
	path   string
	config *clientcmdapi.Config
	before *clientcmdapi.Config
	// keys says that the cluster's key is in it, from which others are to be kept.
	keys bool
}

// userFiles are the files of the user's own kubeconfig: those of KUBECONFIG, or ~/.kube/config. A cluster's own file,
// as in `km run -- COMMAND`, is none of them: km reads it, and would take other entries in it for damage.
func userFiles(p *supervisor.Plan) ([]string, error) {
	access := clientcmd.NewDefaultPathOptions()
	var files []string
	for _, file := range access.GetLoadingPrecedence() {
		path, err := filepath.Abs(file)
		if file != "" && err == nil && !isClusters(p, path) && !slices.Contains(files, path) {
			files = append(files, path)
		}
	}
	if len(files) > 0 {
		return files, nil
	}
	if isClusters(p, access.GlobalFile) {
		return nil, fmt.Errorf("your kubeconfig %s is that of a cluster of km: there is nothing to merge", access.GlobalFile)
	}
	return []string{access.GlobalFile}, nil
}

// isClusters reports whether a file is a kubeconfig in the data folder of this cluster or another one.
func isClusters(p *supervisor.Plan, file string) bool {
	if filepath.Dir(file) == p.Path(kubeconfigDir) {
		return true
	}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		file = real
	}
	dir := filepath.Dir(file)
	_, err := os.Stat(filepath.Join(filepath.Dir(dir), "pki", "ca.crt"))
	return filepath.Base(dir) == kubeconfigDir && err == nil
}

// openUserKubeconfig reads the files, and keeps others from writing them until close. Without files it makes none, but
// for the folder of the one that is to be made.
func openUserKubeconfig(ctx context.Context, files []string) (*userKubeconfig, error) {
	u := &userKubeconfig{}
	target := files[len(files)-1]
	if i := slices.IndexFunc(files, isThere); i >= 0 {
		target = files[i]
	}
	// Not in the folder of a link's target: kubectl does not either. Always in the same order, so that no two wait for
	// each other.
	for _, file := range slices.Sorted(slices.Values(files)) {
		if file != target && !isThere(file) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return u, fmt.Errorf("your kubeconfig %s cannot be made: %w", file, cause(err))
		}
		unlock, err := lockKubeconfig(ctx, file)
		if err != nil {
			return u, err
		}
		u.unlock = append(u.unlock, unlock)
	}
	err := u.read(files)
	for _, f := range u.files {
		if f.path == target {
			u.target = f
		}
	}
	return u, err
}

// read reads the files.
func (u *userKubeconfig) read(files []string) error {
	for _, file := range files {
		f := &userFile{path: file, config: clientcmdapi.NewConfig()}
		info, err := os.Stat(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err == nil && !info.Mode().IsRegular():
			return fmt.Errorf("your kubeconfig %s is no file; name another one with KUBECONFIG", file)
		default:
			if f.config, err = clientcmd.LoadFromFile(file); err != nil {
				return fmt.Errorf("your kubeconfig %s cannot be read: %w; mend it, or name another file with KUBECONFIG", file, cause(err))
			}
		}
		f.before = f.config.DeepCopy()
		u.files = append(u.files, f)
	}
	return nil
}

// close lets others write the files again. What has not been saved is lost.
func (u *userKubeconfig) close() {
	for _, unlock := range u.unlock {
		unlock()
	}
}

// save writes the files that have been changed. It returns what else was done, in sentences.
func (u *userKubeconfig) save() (done []string, err error) {
	for _, f := range u.files {
		if f.keys {
			note, err := f.protect()
			if err != nil {
				return done, fmt.Errorf("your kubeconfig %s cannot be written: %w", f.path, cause(err))
			}
			if note != "" {
				done = append(done, note)
			}
		}
		if reflect.DeepEqual(f.config, f.before) {
			continue
		}
		if err := f.write(); err != nil {
			return done, fmt.Errorf("your kubeconfig %s cannot be written: %w", f.path, cause(err))
		}
	}
	return done, nil
}

// protect takes from others than the owner what they may do with the file, if it is there, and says so. kubectl, kind
// and minikube make a new file for its owner alone, too, but leave the mode of one that is there.
func (f *userFile) protect() (note string, err error) {
	file, err := os.OpenFile(f.path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	before := info.Mode().Perm()
	after := before &^ 0o077
	if runtime.GOOS == "windows" || before == after {
		return "", nil
	}
	if err := file.Chmod(after); err != nil { // it may be somebody else's, or on a file system without modes
		return fmt.Sprintf("%s may be read or changed by others (its mode is %04o), and there is a key in it: its mode cannot be changed: %v",
			f.path, before, cause(err)), nil
	}
	return fmt.Sprintf("%s is for its owner alone now, as there is a key in it: its mode was %04o, and is %04o", f.path, before, after), nil
}

// write replaces the file in one step, so that a full disk costs nothing. A link stays one, and the owner and the mode
// stay (see protect). A new file is for its owner alone, as there are keys in it.
func (f *userFile) write() error {
	text, err := clientcmd.Write(*f.config)
	if err != nil {
		return err
	}
	const mode = 0o600
	path, err := filepath.EvalSymlinks(f.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(f.path); err == nil { // a link to a file that is not there
			return os.WriteFile(f.path, text, mode)
		}
		path = f.path
	case err != nil:
		return err
	}
	info, err := os.Stat(path)
	if err == nil {
		// A file that must not be written could be replaced all the same.
		writable, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_ = writable.Close() // nothing was written
	}
	err = replaceFile(path, text, info)
	if errors.Is(err, syscall.EBUSY) { // it is mounted there, as into a container
		return os.WriteFile(path, text, mode)
	}
	return err
}

// lockLimit is how long it is waited for others who write a kubeconfig. kubectl takes milliseconds.
const lockLimit = 10 * time.Second

// lockKubeconfig keeps others from writing a kubeconfig, in the way of kubectl and kind: there is a file with that name
// and .lock. Whoever is killed leaves it behind.
func lockKubeconfig(ctx context.Context, file string) (unlock func(), err error) {
	name := file + ".lock"
	for deadline := time.Now().Add(lockLimit); ; {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0)
		if err == nil {
			_ = f.Close() // there is nothing in it
			return func() { _ = os.Remove(name) }, nil
		}
		switch {
		case !errors.Is(err, fs.ErrExist):
			return nil, fmt.Errorf("your kubeconfig %s cannot be written: %s: %w", file, name, cause(err))
		case time.Now().After(deadline):
			since := ""
			if info, err := os.Stat(name); err == nil {
				since = " since " + info.ModTime().Format(time.DateTime)
			}
			return nil, fmt.Errorf("your kubeconfig %s is being written by somebody: %s is there%s; if nobody is, such as after a kill, remove that file",
				file, name, since)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func isThere(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
