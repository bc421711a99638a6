package e2e

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Called as minion, km makes this machine a node of a cluster elsewhere: here, of one in another process.
func TestRealMinion(t *testing.T) {
	n := newRealNode(t)
	n.runContainerd(t)
	control := n.start(t, "nsenter", n.within(binary, "run", "etcd,apiserver,controller-manager,scheduler", "--apiserver.bind-address="+nodeIP,
		// The node's serving certificate is its own.
		"--apiserver.kubelet-certificate-authority=")...)
	control.waitReady()
	kubeconfig := filepath.Join(n.dataDir("km"), "kubeconfig", "admin.conf")
	n.km = n.start(t, "nsenter", n.within(binary, "minion", "--name=node", "--kubeconfig="+kubeconfig, "--runtime=cri", "--container-runtime-endpoint=unix://"+n.socket())...)
	t.Cleanup(func() { n.stopKM(t) })
	n.km.waitReady()
	n.runPod(t, "there", "containers: [{name: main, image: APP}]")
	n.get(t, n.podURL(t, "there")+"/heard")
	if out := n.kubectl(t, "logs", "there"); !strings.Contains(out, "web: GET /heard\n") {
		t.Errorf("logs: %q", out)
	}
	for _, p := range []*process{n.km, control} {
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	}
	n.noContainers(t)
}
