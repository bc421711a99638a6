package images

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	imageutils "k8s.io/kubernetes/test/utils/image"
)

// The modules of programs, which built.go keeps in go.mod.
const (
	kubernetes      = "k8s.io/kubernetes"
	sampleAPIServer = "k8s.io/sample-apiserver"
	etcd            = "go.etcd.io/etcd/server/v3"
	coreDNS         = "github.com/coredns/coredns"
)

// here is this package.
const here = "github.com/seed-200a7251/km/test/conformance/images"

// module is one that is there.
type module struct{ path, version, dir string }

func (m module) String() string { return m.path + " " + m.version }

// modules are those that go.mod has, by path. They are downloaded where they are not there.
func modules(ctx context.Context, paths ...string) (map[string]module, error) {
	list, err := output(ctx, "go", append([]string{"mod", "download", "-json"}, paths...)...)
	if err != nil {
		return nil, err
	}
	found := map[string]module{}
	for d := json.NewDecoder(strings.NewReader(list)); d.More(); {
		var m struct{ Path, Version, Dir string }
		if err := d.Decode(&m); err != nil {
			return nil, fmt.Errorf("go mod download: %w", err)
		}
		found[m.Path] = module{m.Path, m.Version, m.Dir}
	}
	for _, p := range paths {
		if found[p].dir == "" {
			return nil, fmt.Errorf("module %s: go mod download does not tell its folder: %s", p, list)
		}
	}
	return found, nil
}

// build builds all programs, without libraries of the system.
func (m *maker) build(ctx context.Context) error {
	const images = kubernetes + "/test/images/"
	if _, err := output(ctx, "env", "CGO_ENABLED=0", "go", "build", "-ldflags=-s -w", "-o", m.program("")+"/",
		images+"agnhost", images+"nonewprivs", images+"regression-issue-74839", images+"resource-consumer",
		images+"resource-consumer/consume-cpu", sampleAPIServer, etcd, kubernetes+"/test/conformance/image/go-runner", here+"/coredns", here+"/sh"); err != nil {
		return err
	}
	_, err := output(ctx, "gcc", "-Os", "-Wall", "-static", "-s", "-DVERSION=v"+tag(imageutils.Pause),
		"-o", m.program("pause"), m.source("build/pause/linux/pause.c"))
	return err
}

// program is the file of one that has been built.
func (m *maker) program(name string) string { return filepath.Join(m.dir, "bin", name) }

// source is a file of Kubernetes' sources.
func (m *maker) source(name string) string {
	return filepath.Join(m.modules[kubernetes].dir, filepath.FromSlash(name))
}
