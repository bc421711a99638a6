package supervisor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/pflag"
)

// makeSymlinks creates a symlink to this binary for each server and alias. A dead symlink to such a binary is replaced.
// Anything else under such a name is left alone; if it does not lead to this binary, that is an error.
func (hk *HyperKube) makeSymlinks() error {
	binary, err := os.Executable()
	if err != nil {
		return err
	}
	dir := hk.linkDir
	if dir == "" {
		dir = filepath.Dir(binary)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("--dir %s: %w", dir, withoutPath(err))
	}
	var wrong []error
	for _, name := range hk.serverNames() {
		link := filepath.Join(dir, name+executable)
		err := hk.makeSymlink(binary, link)
		if err == nil {
			fmt.Fprintln(hk.Out(), link)
		}
		wrong = append(wrong, err)
	}
	if hk.Linked != nil {
		wrong = append(wrong, hk.Linked(dir))
	}
	return errors.Join(wrong...)
}

// executable is what the names of programs end with.
var executable = map[string]string{"windows": ".exe"}[runtime.GOOS]

// AnnotationLinks is the annotation of a flag that is for --make-symlinks alone.
const AnnotationLinks = "supervisor.links"

// linksFlag is a flag for --make-symlinks that was given, or "".
func (hk *HyperKube) linksFlag() (name string) {
	hk.Flags().Visit(func(f *pflag.Flag) {
		if _, ok := f.Annotations[AnnotationLinks]; ok {
			name = f.Name
		}
	})
	return name
}

func (hk *HyperKube) makeSymlink(binary, link string) error {
	err := makeLink(binary, link)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if leads(link, binary) {
		return nil
	}
	if hk.isDeadLink(link) {
		if err := os.Remove(link); err != nil {
			return err
		}
		return makeLink(binary, link)
	}
	return fmt.Errorf("%s is there already, and is not a link to %s: remove it, or choose another folder with --dir",
		link, binary)
}

// makeLink makes a symlink. On Windows few may do that; there a hard link is as good, until the binary is replaced.
func makeLink(binary, link string) error {
	err := os.Symlink(binary, link)
	if err == nil || errors.Is(err, fs.ErrExist) || runtime.GOOS != "windows" {
		return err
	}
	if errLink := os.Link(binary, link); errLink != nil {
		return errors.Join(err, errLink)
	}
	return nil
}

// leads reports whether a link, symbolic or hard, leads to the binary.
func leads(link, binary string) bool {
	there, err := os.Stat(link)
	own, errOwn := os.Stat(binary)
	return err == nil && errOwn == nil && os.SameFile(there, own)
}

// isDeadLink reports whether it is a symlink to a binary like this one that is gone. A symlink to a file with a
// server's name is somebody else's: the real server may come back there.
func (hk *HyperKube) isDeadLink(link string) bool {
	target, err := os.Readlink(link)
	if err != nil || hk.linked(strings.TrimSuffix(filepath.Base(target), executable)) != nil {
		return false
	}
	_, err = os.Stat(link)
	return errors.Is(err, fs.ErrNotExist)
}
