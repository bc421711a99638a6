package images

import (
	"context"
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

// modules are those that go.mod has, by path.
func modules(ctx context.Context, paths ...string) (map[string]module, error) {
	list, err := output(ctx, "go", append([]string{"list", "-m", "-f", "{{.Path}}\t{{.Version}}\t{{.Dir}}"}, paths...)...)
	if err != nil {
		return nil, err
	}
	found := map[string]module{}
	for line := range strings.Lines(list) {
		if f := strings.Split(strings.TrimSpace(line), "\t"); len(f) == 3 {
			found[f[0]] = module{f[0], f[1], f[2]}
		}
	}
	for _, p := range paths {
		if found[p].dir == "" {
			return nil, fmt.Errorf("module %s: go list does not tell its folder; has it been downloaded? %s", p, list)
		}
	}
	return found, nil
}

// build builds all programs, without libraries of the system.
func (m *maker) build(ctx context.Context) error {
	const images = kubernetes + "/test/images/"
	if _, err := output(ctx, "env", "CGO_ENABLED=0", "go", "build", "-ldflags=-s -w", "-o", m.program("")+"/",
		images+"agnhost", images+"nonewprivs", images+"regression-issue-74839", images+"resource-consumer",
		images+"resource-consumer/consume-cpu", sampleAPIServer, etcd, here+"/coredns"); err != nil {
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
