package images

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// layer writes one to a file, of what fill puts in.
func layer(file string, fill func(*files) error) (v1.Layer, error) {
	to, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	defer to.Close()
	zip, err := gzip.NewWriterLevel(to, gzip.BestSpeed) // it is pulled from the same machine, or one nearby
	if err != nil {
		return nil, err
	}
	f := &files{to: tar.NewWriter(zip), has: map[string]bool{}}
	if err := errors.Join(fill(f), f.to.Close(), zip.Close(), to.Close()); err != nil {
		return nil, err
	}
	return tarball.LayerFromFile(file, tarball.WithMediaType(types.OCILayer))
}

// files are those of a layer. Of two with one name the first is kept.
type files struct {
	to  *tar.Writer
	has map[string]bool
}

// moved are the folders that are in /usr, where / has links to them: Debian's packages still have files in both.
var moved = []string{"bin", "lib", "lib64", "sbin"}

// place is where a file really is.
func place(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if top, _, _ := strings.Cut(name, "/"); slices.Contains(moved, top) {
		return "usr/" + name
	}
	return name
}

func (f *files) put(h tar.Header, content io.Reader) error {
	from := path.Clean("/" + h.Name)
	h.Name = place(h.Name)
	switch h.Typeflag {
	case tar.TypeLink:
		h.Linkname = place(h.Linkname)
	case tar.TypeSymlink: // relative to a folder that is not there
		if "/"+h.Name != from && !path.IsAbs(h.Linkname) {
			h.Linkname = path.Join(path.Dir(from), h.Linkname)
		}
	}
	if h.Name == "" || f.has[h.Name] {
		return nil
	}
	f.has[h.Name] = true
	if h.Typeflag == tar.TypeDir {
		h.Name += "/"
	}
	h.Format, h.PAXRecords = tar.FormatUnknown, nil
	if err := f.to.WriteHeader(&h); err != nil {
		return fmt.Errorf("%s: %w", h.Name, err)
	}
	if content != nil {
		if _, err := io.Copy(f.to, content); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	return nil
}

func (f *files) dir(name string, mode int64) error {
	return f.put(tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: mode}, nil)
}

func (f *files) text(name, text string) error {
	h := tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(text))}
	return f.put(h, strings.NewReader(text))
}

func (f *files) link(name, to string) error {
	return f.put(tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to, Mode: 0o777}, nil)
}

// copied puts a file of this machine.
func (f *files) copied(name string, mode int64, file string) error {
	from, err := os.Open(file)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	return f.put(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: info.Size()}, from)
}

// all puts what an archive has, but for what is left out.
func (f *files) all(archive io.Reader, leftOut func(name string) bool) error {
	for from := tar.NewReader(archive); ; {
		h, err := from.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if leftOut(place(h.Name)) {
			continue
		}
		if err := f.put(*h, from); err != nil {
			return err
		}
	}
}

// accounts are users and groups that programs look up.
const (
	users = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/:/bin/false
`
	groups = `root:x:0:
daemon:x:1:
bin:x:2:
adm:x:4:
tty:x:5:
www-data:x:33:
nogroup:x:65534:
`
)

// ground puts what any system has, with links to the folders in /usr first.
func (f *files) ground() error {
	var errs []error
	for _, d := range moved {
		h := tar.Header{Typeflag: tar.TypeSymlink, Name: d, Linkname: "usr/" + d, Mode: 0o777}
		errs = append(errs, f.to.WriteHeader(&h))
	}
	for _, d := range []string{"dev", "etc", "home", "proc", "run", "sys", "usr", "usr/bin", "usr/lib", "usr/lib64",
		"usr/sbin", "usr/local", "usr/local/bin", "usr/local/sbin", "var", "var/lib", "var/log"} {
		errs = append(errs, f.dir(d, 0o755))
	}
	return errors.Join(append(errs, f.dir("root", 0o700), f.dir("tmp", 0o1777), f.dir("var/tmp", 0o1777),
		f.link("var/run", "/run"), f.text("etc/passwd", users), f.text("etc/group", groups),
		f.text("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"))...)
}
