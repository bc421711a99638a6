package main

import (
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// upstreams are the packages that make upstream's binaries.
var upstreams = []string{
	"go.etcd.io/etcd/server/v3",
	"k8s.io/kubernetes/cmd/kube-apiserver",
	"k8s.io/kubernetes/cmd/kube-controller-manager",
	"k8s.io/kubernetes/cmd/kube-proxy",
	"k8s.io/kubernetes/cmd/kube-scheduler",
	"k8s.io/kubernetes/cmd/kubectl",
	"k8s.io/kubernetes/cmd/kubelet",
}

// What upstream's main packages import for the sake of their init functions (log formats, metrics, time zones) is
// nowhere else: a binary without it compiles, and lacks it.
func TestUpstreamImports(t *testing.T) {
	own := dependencies(t, ".")
	for _, name := range dependencies(t, upstreams...) {
		if !slices.Contains(own, name) && !slices.Contains(upstreams, name) {
			t.Errorf("upstream's binaries have %s, km has not", name)
		}
	}
}

func dependencies(t *testing.T, packages ...string) []string {
	t.Helper()
	list := exec.Command("go", append([]string{"list", "-deps"}, packages...)...)
	var stderr bytes.Buffer
	list.Stderr = &stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	return strings.Fields(string(out))
}
