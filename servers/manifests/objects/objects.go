// Package objects reads manifests: Kubernetes objects in files, as `kubectl apply -f` and `kubectl apply -k` take them.
package objects

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// StandardInput is the name that stands for it in place of a file's.
const StandardInput = "-"

// Object is one object, and where it stands.
type Object struct {
	*unstructured.Unstructured
	// File is the file's name, as the user has given it or its folder. Of an object that a kustomization has made it is
	// that of the kustomization.
	File string
	// Line is the first line of the object's document that is not blank or a comment, from 1; 0 if a kustomization has
	// made it.
	Line int
}

// At is where the object stands: FILE:LINE.
func (o Object) At() string { return at(o.File, o.Line) }

func at(file string, line int) string {
	if line == 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, line)
}

// String is what the object is: its kind, namespace and name.
func (o Object) String() string {
	if o.GetNamespace() == "" {
		return o.GetKind() + " " + o.GetName()
	}
	return o.GetKind() + " " + o.GetNamespace() + "/" + o.GetName()
}

// extensions are those of the files in a folder that are read, as with kubectl.
var extensions = []string{".json", ".yaml", ".yml"}

// Kept are the texts of what can be read once, by its path: StandardInput, which the caller reads, and pipes.
type Kept map[string][]byte

// Read returns the objects of all paths, in order. A path is a file; a folder, of which the files named *.yaml, *.yml
// and *.json are read, in the order of their names, and no folders in it; a folder with a kustomization, which is
// built; or StandardInput, whose text is kept. The text of a pipe is added to kept, and taken from there the next time.
// Each of the errors is one thing that is wrong, with its place, and all are told that are found.
func Read(paths []string, kept Kept) (all []Object, wrong []error) {
	for _, path := range paths {
		found, errs := readPath(path, kept)
		all, wrong = append(all, found...), append(wrong, errs...)
	}
	return all, wrong
}

func readPath(path string, kept Kept) (found []Object, wrong []error) {
	if path == StandardInput {
		found, wrong = parse("standard input", kept[path])
		if len(found)+len(wrong) == 0 {
			wrong = append(wrong, errors.New("--apply=-: there are no manifests in standard input; pipe some into it (--config - reads it to its end, too)"))
		}
		return found, wrong
	}
	text, read := kept[path]
	if !read {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return nil, []error{fmt.Errorf("--apply=%s: %w; name a file, a folder, or - for standard input", path, reason(err))}
		case info.IsDir():
			return readFolder(path)
		}
		if text, err = os.ReadFile(path); err != nil {
			return nil, []error{fmt.Errorf("%s: %w", path, reason(err))}
		}
		if !info.Mode().IsRegular() {
			kept[path] = text
		}
	}
	found, wrong = parse(path, text)
	if len(found)+len(wrong) == 0 {
		wrong = append(wrong, fmt.Errorf("--apply=%s: there are no manifests in it; name another file", path))
	}
	return found, wrong
}

// IsPipe reports whether a path names what can be read once, such as a pipe of the shell's <(COMMAND), or is
// StandardInput.
func IsPipe(path string) bool {
	if path == StandardInput {
		return true
	}
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && !info.Mode().IsRegular()
}

func readFile(path string) ([]Object, []error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, []error{fmt.Errorf("%s: %w", path, reason(err))}
	}
	return parse(path, text)
}

func readFolder(folder string) (all []Object, wrong []error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, []error{fmt.Errorf("--apply=%s: %w", folder, reason(err))}
	}
	read := 0
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if slices.Contains(konfig.RecognizedKustomizationFileNames(), e.Name()) {
			return build(folder, path)
		}
		if !slices.Contains(extensions, filepath.Ext(path)) || isFolder(path) {
			continue
		}
		read++
		if IsPipe(path) {
			wrong = append(wrong, fmt.Errorf("%s: it is a pipe, or a device, and a folder is read with each restart; put a file there, or name it by itself", path))
			continue
		}
		found, errs := readFile(path)
		all, wrong = append(all, found...), append(wrong, errs...)
	}
	switch {
	case len(all)+len(wrong) > 0:
	case read > 0:
		wrong = append(wrong, fmt.Errorf("--apply=%s: there are no manifests in its files; name another folder", folder))
	default:
		wrong = append(wrong, fmt.Errorf("--apply=%s: there is no file *.yaml, *.yml or *.json in it; name another folder (folders in it are not looked into)", folder))
	}
	return all, wrong
}

// isFolder follows links.
func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// build builds a kustomization, as kubectl does (k8s.io/cli-runtime/pkg/resource/kustomizevisitor.go).
func build(folder, kustomization string) ([]Object, []error) {
	absolute, err := filepath.Abs(folder) // others may look like a repository on the web
	if err != nil {
		return nil, []error{fmt.Errorf("%s: %w", kustomization, err)}
	}
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy
	built, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), absolute)
	if err != nil {
		return nil, []error{fmt.Errorf("%s: %w", kustomization, err)}
	}
	text, err := built.AsYaml()
	if err != nil {
		return nil, []error{fmt.Errorf("%s: %w", kustomization, err)}
	}
	all, wrong := parse(kustomization, text)
	for i := range all {
		all[i].Line = 0 // of a text that nobody has seen
	}
	if len(all)+len(wrong) == 0 {
		wrong = append(wrong, fmt.Errorf("%s: it comes to no objects; name some below resources", kustomization))
	}
	return all, wrong
}

// reason is an error about a file without the file's name.
func reason(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}

// IsURL reports whether a path is none, but where something is on the web.
func IsURL(path string) bool {
	return strings.HasPrefix(path, "http://") || strings.HasPrefix(path, "https://")
}
