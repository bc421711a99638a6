// Package images makes the container images that Kubernetes' end-to-end tests want, and serves them: of the sources in
// Go's modules, as go.mod has their versions, and of Debian's packages. Nothing of it comes from a registry.
//
// It wants Debian with lists of packages (apt-get update), gcc, and a working directory in this module. No package is
// installed, and no container is run.
package images

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image is one that is served.
type Image struct {
	// Name has registry and tag, as the tests have it.
	Name string `json:"name"`
	// Made tells people of what it is made.
	Made string `json:"made"`
	// StandIn is whether the program it is named after is another one in the published image, or another version.
	StandIn bool `json:"standIn"`
	// Size is that of its layers, as they are pulled. Images have layers in common.
	Size int64 `json:"-"`
}

// Suite has the programs of the image in which the tests themselves run, as files. Without them there is no such image.
type Suite struct {
	Tests, Ginkgo, Kubectl string
}

// Serve makes all images, below dir, and returns a registry that has them by their repositories' paths, without hosts:
// as a mirror of any registry is asked for them. Dir has to stay while it serves. What has been downloaded to dir
// before is not downloaded again.
func Serve(ctx context.Context, dir string, suite Suite) (http.Handler, []Image, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, nil, err
	}
	m := &maker{dir: dir, suite: suite, layers: map[string]v1.Layer{}}
	if err := m.sources(ctx); err != nil {
		return nil, nil, err
	}
	served := registry.New(registry.Logger(log.New(io.Discard, "", 0)),
		registry.WithBlobHandler(registry.NewDiskBlobHandler(filepath.Join(dir, "blobs"))))
	// The library's way into a registry is HTTP.
	intake := httptest.NewServer(served)
	defer intake.Close()
	var images []Image
	for _, r := range m.recipes() {
		i := Image{Name: r.name, Made: r.made, StandIn: r.standIn}
		if err := func() error {
			made, err := m.image(ctx, r)
			if err != nil {
				return err
			}
			if i.Size, err = size(made); err != nil {
				return err
			}
			_, repository, _ := strings.Cut(i.Name, "/")
			to, err := name.ParseReference(strings.TrimPrefix(intake.URL, "http://")+"/"+repository, name.Insecure)
			if err != nil {
				return err
			}
			return remote.Write(to, made, remote.WithContext(ctx))
		}(); err != nil {
			return nil, nil, fmt.Errorf("image %s: %w", i.Name, err)
		}
		images = append(images, i)
	}
	return served, images, nil
}

func size(image v1.Image) (int64, error) {
	layers, err := image.Layers()
	if err != nil {
		return 0, err
	}
	sum := int64(0)
	for _, l := range layers {
		n, err := l.Size()
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// searchPath is the variable by which containers find programs.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// A recipe tells how an image is made.
type recipe struct {
	name    string
	made    string
	standIn bool
	layers  []string // by what fill names them, from below
	config  v1.Config
}

// maker makes layers, and images of them.
type maker struct {
	dir     string
	suite   Suite
	modules map[string]module
	debs    map[string][]deb // by layers
	layers  map[string]v1.Layer
}

// sources gets all that images are made of.
func (m *maker) sources(ctx context.Context) error {
	err := os.RemoveAll(filepath.Join(m.dir, "blobs")) // of other versions
	for _, below := range []string{"bin", "layers", "blobs"} {
		if err == nil {
			err = os.MkdirAll(filepath.Join(m.dir, below), 0o755)
		}
	}
	if err != nil {
		return err
	}
	if m.modules, err = modules(ctx, kubernetes, sampleAPIServer, etcd, coreDNS); err != nil {
		return err
	}
	if m.debs, err = debian(ctx, filepath.Join(m.dir, "debian")); err != nil {
		return err
	}
	return m.build(ctx)
}

// image makes one as a recipe tells, with layers that are made once.
func (m *maker) image(ctx context.Context, r recipe) (v1.Image, error) {
	if r.config.Env == nil {
		r.config.Env = []string{searchPath}
	}
	var layers []v1.Layer
	for _, called := range r.layers {
		if m.layers[called] == nil {
			file := filepath.Join(m.dir, "layers", called+".tar.gz")
			l, err := layer(file, func(f *files) error { return m.fill(ctx, called, f) })
			if err != nil {
				return nil, fmt.Errorf("layer %s: %w", called, err)
			}
			m.layers[called] = l
		}
		layers = append(layers, m.layers[called])
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	image, err := mutate.AppendLayers(image, layers...)
	if err != nil {
		return nil, err
	}
	made, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	made = made.DeepCopy()
	made.OS, made.Architecture, made.Config = "linux", runtime.GOARCH, r.config
	return mutate.ConfigFile(image, made)
}
