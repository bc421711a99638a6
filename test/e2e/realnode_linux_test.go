package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"

	"github.com/seed-200a7251/km/test/machines"
	"github.com/seed-200a7251/km/test/skip"
)

const (
	// appImage is what all containers run: testdata/realapp. pauseImage is the same program, which keeps the
	// namespaces of a pod.
	appImage   = "example.invalid/app:1"
	pauseImage = "registry.k8s.io/pause:3.6"
)

// realNode is a host for a real node, on which its commands run. It has a containerd of its own once that is started.
// Its folder is HOME, so that it has km's data folder.
type realNode struct {
	home
	host *machines.Host
	cni  string   // folder of the plugins
	km   *process // the last one
	// noNetwork is a containerd that does not know how to connect pods.
	noNetwork bool
}

// requireRealNode skips the test on machines where nothing real can run, and says what is missing. CI skips nothing.
func requireRealNode(t *testing.T) (cni string) {
	t.Helper()
	cni, missing := machines.MissingForNodes("containerd", "ctr", "unshare", "go")
	if len(missing) > 0 {
		skip.OrFail(t, "a real node needs what is missing here: "+strings.Join(missing, ", "))
	}
	return cni
}

// newRealNode makes the host. It is gone when the test has ended, and everything that ran on it.
func newRealNode(t *testing.T) *realNode {
	t.Helper()
	return newRealNodes(t, 1)[0]
}

// newRealNodes makes several, which are joined by a network.
func newRealNodes(t *testing.T, count int) (all []*realNode) {
	t.Helper()
	cni := requireRealNode(t)
	for _, host := range machines.NewNodes(t, count) {
		h := homeIn(t, host.Dir)
		h.on = host.Do
		all = append(all, &realNode{home: h, host: host, cni: cni})
	}
	return all
}

// path is one in the host's folder.
func (n *realNode) path(names ...string) string { return n.host.Path(names...) }

func (n *realNode) socket() string { return n.path("c.sock") }

// command runs a command on the host, which has to succeed.
func (n *realNode) command(t *testing.T, name string, args ...string) string {
	t.Helper()
	r := n.do(t, name, args...)
	if r.code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s%s", name, strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// ctr runs containerd's client in the namespace of the kubelet's containers.
func (n *realNode) ctr(t *testing.T, args ...string) string {
	t.Helper()
	return n.command(t, "ctr", append([]string{"-a", n.socket(), "-n", "k8s.io"}, args...)...)
}

// runContainerd starts the container runtime, with the images in it.
func (n *realNode) runContainerd(t *testing.T) *process {
	t.Helper()
	conflist := fmt.Sprintf(`{
	"cniVersion": "0.4.0", "name": %q,
	"plugins": [
		{"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
			"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.85.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": %q}},
		{"type": "portmap", "capabilities": {"portMappings": true}}
	]
}`, n.host.Cgroup(), n.path("ipam"))
	if !n.noNetwork {
		writeFile(t, n.path("cni", "10-bridge.conflist"), conflist)
	}
	config := writeFile(t, n.path("containerd.toml"), fmt.Sprintf(`
version = 2
root = "%[1]s/r"
state = "%[1]s/s"
[debug]
  level = "warn"
[grpc]
  address = "%[1]s/c.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "%[1]s/opt"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true # not every root may lower it
  sandbox_image = %[3]q
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %[2]q
    conf_dir = "%[1]s/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "%[1]s/runc"
`, n.dir, n.cni, pauseImage))
	p := n.start(t, "containerd", "--config", config)
	poll(t, "containerd", func(context.Context) (bool, error) {
		select {
		case <-p.done:
			return false, errors.New("it ended")
		default:
		}
		return n.do(t, "ctr", "-a", n.socket(), "version").code == 0, nil
	})
	t.Cleanup(func() { n.endContainers(t) }) // also if km does not end
	t.Cleanup(func() { n.stopKM(t) })

	archive := n.path("images.tar")
	if _, err := os.Stat(archive); err != nil {
		if err := os.WriteFile(archive, images(t), 0o600); err != nil {
			t.Fatal(err)
		}
		n.ctr(t, "images", "import", archive)
	}
	return p
}

// startKM starts `km run` with a real node, and does not wait for anything.
func (n *realNode) startKM(t *testing.T, args ...string) *process {
	t.Helper()
	args = append([]string{"run", "--executor.runtime=cri", "--executor.container-runtime-endpoint=unix://" + n.socket(),
		// How many connections the kernel tracks cannot be set in a network namespace.
		"--proxy.conntrack-max-per-core=0"}, args...)
	n.km = n.start(t, binary, args...)
	t.Cleanup(func() { n.stopKM(t) })
	return n.km
}

// stopKM stops km if the test has not done it, as long as it can stop its pods.
func (n *realNode) stopKM(t *testing.T) {
	if n.km == nil {
		return
	}
	_ = n.km.cmd.Process.Signal(syscall.SIGTERM) // it has ended already, if all went well
	await(t, "the end of km", n.km.done)
}

// runKM starts `km run` with a real node, and waits until it is ready.
func (n *realNode) runKM(t *testing.T, args ...string) *process {
	t.Helper()
	p := n.startKM(t, args...)
	p.waitReady()
	return p
}

// feed runs `km kubectl` on the machine, with a standard input.
func (n *realNode) feed(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	input := func(cmd *exec.Cmd) { cmd.Stdin = strings.NewReader(stdin) }
	return n.doWith(t, input, binary, append([]string{"kubectl"}, args...)...)
}

// kubectl is the output of a kubectl that is expected to succeed.
func (n *realNode) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	return n.kubectlFed(t, "", args...)
}

func (n *realNode) kubectlFed(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	r := n.feed(t, stdin, args...)
	if r.code != 0 {
		t.Fatalf("kubectl %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// applyReal applies a manifest whose words APP are the image.
func (n *realNode) applyReal(t *testing.T, manifest string) {
	t.Helper()
	n.kubectlFed(t, realManifest(manifest), "apply", "-f", "-")
}

// realManifest puts the image in; there is no registry to pull it from.
func realManifest(manifest string) string {
	return strings.ReplaceAll(manifest, "image: APP", "image: "+appImage+", imagePullPolicy: Never")
}

// realPod is the manifest of a pod; without a command, its container is a web server.
func realPod(name, spec string) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, labels: {app: %[1]s}}
spec:
  %[2]s
`, name, spec)
}

// runPod runs a pod until the test ends, and waits until it is ready.
func (n *realNode) runPod(t *testing.T, name, spec string) {
	t.Helper()
	n.applyReal(t, realPod(name, spec))
	t.Cleanup(func() { n.feed(t, "", "delete", "pod", name, "--wait=false", "--ignore-not-found") })
	n.waitFor(t, "pod/"+name, "condition=Ready")
}

// podURL is where the pod's web server answers.
func (n *realNode) podURL(t *testing.T, name string) string {
	t.Helper()
	return "http://" + n.value(t, "pod/"+name, "{.status.podIP}") + ":8080"
}

// file is what is in a file in a pod that is a web server.
func (n *realNode) file(t *testing.T, pod, path string) string {
	t.Helper()
	return n.get(t, n.podURL(t, pod)+"/file?path="+path)
}

// value is one of an object's fields.
func (n *realNode) value(t *testing.T, object, jsonpath string) string {
	t.Helper()
	return n.kubectl(t, "get", object, "-o", "jsonpath="+jsonpath)
}

// waitFor waits for a condition of an object, which tells how it is if that does not come.
func (n *realNode) waitFor(t *testing.T, object, condition string) {
	t.Helper()
	if r := n.feed(t, "", "wait", "--for="+condition, object, patient); r.code != 0 {
		described := n.feed(t, "", "describe", object)
		t.Fatalf("%s: %s: %s\n%s%s", object, condition, r.stderr, described.stdout, described.stderr)
	}
}

// client speaks HTTP from the machine. It trusts everybody: what is tested is what servers think of clients.
func (n *realNode) client(limit time.Duration) *http.Client {
	return &http.Client{Timeout: limit, Transport: &http.Transport{
		DialContext: n.host.Dial, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
}

// request is the status and the body that are answered on the machine, with a bearer token if there is one.
func (n *realNode) request(method, url, token string) (int, string, error) {
	return n.requestWithin(patience, method, url, token)
}

// attempt is the status and the body of one GET of several: what is asked may not be there yet, and nobody say so.
func (n *realNode) attempt(url string) (int, string, error) {
	return n.requestWithin(10*time.Second, http.MethodGet, url, "")
}

func (n *realNode) requestWithin(limit time.Duration, method, url, token string) (int, string, error) {
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	r, err := n.client(limit).Do(request)
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return r.StatusCode, string(body), err
}

// get waits until the URL answers on the machine, and returns what.
func (n *realNode) get(t *testing.T, url string) string {
	t.Helper()
	var text, last string
	t.Cleanup(func() {
		if t.Failed() && last != "" {
			t.Logf("GET %s, at last: %s", url, last)
		}
	})
	poll(t, "GET "+url, func(context.Context) (bool, error) {
		code, body, err := n.attempt(url)
		if err != nil {
			last = err.Error()
			return false, nil
		}
		text, last = body, fmt.Sprintf("%d %s", code, body)
		return code == http.StatusOK, nil
	})
	last = ""
	return text
}

// endContainers ends what km has left running, as long as containerd can be asked.
func (n *realNode) endContainers(t *testing.T) {
	if n.do(t, "ctr", "-a", n.socket(), "version").code != 0 {
		return
	}
	list := func(what string) []string { return strings.Fields(n.ctr(t, what, "ls", "-q")) }
	for _, id := range list("tasks") {
		n.do(t, "ctr", "-a", n.socket(), "-n", "k8s.io", "tasks", "kill", "-s", "SIGKILL", id)
		n.do(t, "ctr", "-a", n.socket(), "-n", "k8s.io", "tasks", "rm", "-f", id)
	}
	for _, id := range list("containers") {
		n.do(t, "ctr", "-a", n.socket(), "-n", "k8s.io", "containers", "rm", id)
	}
}

// mounts are the mount points on the host that are below a folder, in the order in which they were made.
func (n *realNode) mounts(t *testing.T, folder string) (found []string) {
	t.Helper()
	text, err := os.ReadFile(n.host.Root("/proc/1/mountinfo"))
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := mountinfo.GetMountsFromReader(bytes.NewReader(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		if strings.HasPrefix(m.Mountpoint, folder+"/") {
			found = append(found, m.Mountpoint)
		}
	}
	return found
}

// images is an archive of the images that the tests need, as `docker save` writes it.
func images(t *testing.T) []byte {
	t.Helper()
	archive, err := buildImages()
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

var buildImages = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "km")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	app := filepath.Join(dir, "app")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", app, "./testdata/realapp")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the program of the containers: %w\n%s", err, out)
	}
	program, err := os.ReadFile(app)
	if err != nil {
		return nil, err
	}
	layer, err := tarOf(
		tarEntry{tar.Header{Name: "app", Mode: 0o755}, program},
		tarEntry{tar.Header{Name: "bin/", Mode: 0o755, Typeflag: tar.TypeDir}, nil},
		tarEntry{tar.Header{Name: "bin/tar", Linkname: "../app", Typeflag: tar.TypeSymlink}, nil},
		tarEntry{tar.Header{Name: "bin/test", Linkname: "../app", Typeflag: tar.TypeSymlink}, nil},
		tarEntry{tar.Header{Name: "etc/", Mode: 0o755, Typeflag: tar.TypeDir}, nil},
		tarEntry{tar.Header{Name: "tmp/", Mode: 0o1777, Typeflag: tar.TypeDir}, nil},
	)
	if err != nil {
		return nil, err
	}
	entries := []tarEntry{{tar.Header{Name: "layer.tar", Mode: 0o644}, layer}}
	var manifest []map[string]any
	for file, image := range map[string]struct {
		name    string
		command []string
	}{
		"app.json":   {appImage, []string{"/app", "web"}},
		"pause.json": {pauseImage, []string{"/app", "pause"}},
	} {
		config, err := json.Marshal(map[string]any{
			"architecture": runtime.GOARCH, "os": "linux",
			"config": map[string]any{"Cmd": image.command, "Env": []string{"PATH=/bin:/"}},
			"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(layer))}},
		})
		if err != nil {
			return nil, err
		}
		entries = append(entries, tarEntry{tar.Header{Name: file, Mode: 0o644}, config})
		manifest = append(manifest, map[string]any{"Config": file, "RepoTags": []string{image.name}, "Layers": []string{"layer.tar"}})
	}
	text, err := json.Marshal(manifest)
	if err != nil {
		return nil, err
	}
	return tarOf(append(entries, tarEntry{tar.Header{Name: "manifest.json", Mode: 0o644}, text})...)
})

type tarEntry struct {
	header tar.Header
	data   []byte
}

func tarOf(entries ...tarEntry) ([]byte, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, e := range entries {
		e.header.Size = int64(len(e.data))
		if err := w.WriteHeader(&e.header); err != nil {
			return nil, err
		}
		if _, err := w.Write(e.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return archive.Bytes(), err
}
