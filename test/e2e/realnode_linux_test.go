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
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// appImage is what all containers run: testdata/realapp. pauseImage is the same program, which keeps the
	// namespaces of a pod.
	appImage   = "example.invalid/app:1"
	pauseImage = "registry.k8s.io/pause:3.6"

	// nodeIP is the address of the machine. It is an example's, and the machine has no way out of its namespace.
	nodeIP = "192.0.2.10"
)

// realNode is a machine for a real node, as far as there can be several in one: a network namespace and a folder. It has a
// containerd of its own once that is started. The folder is HOME, too, so that it has km's data folder.
type realNode struct {
	home
	name string   // of the namespace, and of the network of the pods; no other machine has it
	cni  string   // folder of the plugins
	km   *process // the last one
	// noNetwork is a containerd that does not know how to connect pods.
	noNetwork bool
}

// requireRealNode skips the test on machines where nothing real can run, and says what is missing. CI skips nothing.
func requireRealNode(t *testing.T) (cni string) {
	t.Helper()
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "root")
	}
	for _, command := range []string{"containerd", "ctr", "runc", "nft", "iptables", "ip", "nsenter", "go"} {
		if _, err := exec.LookPath(command); err != nil {
			missing = append(missing, command)
		}
	}
	for _, dir := range []string{"/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"} {
		if !slices.ContainsFunc([]string{"bridge", "host-local", "portmap", "loopback"}, func(plugin string) bool {
			_, err := os.Stat(filepath.Join(dir, plugin))
			return err != nil
		}) {
			cni = dir
		}
	}
	if cni == "" {
		missing = append(missing, "CNI plugins")
	}
	// Without it, what a pod on the bridge answers to another one does not pass the rules that have to translate it back.
	if _, err := os.Stat("/proc/sys/net/bridge"); err != nil && exec.Command("modprobe", "br_netfilter").Run() != nil {
		missing = append(missing, "the kernel's br_netfilter")
	}
	if len(missing) > 0 {
		skipOrFail(t, "a real node needs what is missing here: "+strings.Join(missing, ", "))
	}
	return cni
}

// skipOrFail skips the test, except on CI.
func skipOrFail(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	// go test does not tell of skipped tests; make test shows this file.
	if file := os.Getenv("KM_SKIPPED"); file != "" {
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(f, "%s: %s\n", t.Name(), why)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	t.Skip(why)
}

// newRealNode makes the machine. It is gone when the test has ended, and everything that ran on it.
func newRealNode(t *testing.T) *realNode {
	t.Helper()
	cni := requireRealNode(t)
	dir, err := os.MkdirTemp("", "km") // t.TempDir is too long for the sockets
	if err != nil {
		t.Fatal(err)
	}
	n := &realNode{home: home(dir), name: filepath.Base(dir), cni: cni}
	settings := kernelSettings()
	t.Cleanup(func() {
		n.remove(t)
		for file, value := range settings {
			_ = os.WriteFile(file, []byte(value), 0) // who may not do that has not changed it
		}
	})

	n.host(t, "ip", "netns", "add", n.name)
	for _, command := range []string{
		"link set lo up",
		"link add eth0 type veth peer name eth1", // both ends are here: all that is needed is an address
		"addr add " + nodeIP + "/24 dev eth0",
		"link set eth0 up",
		"link set eth1 up",
		"route add default via 192.0.2.1", // the kubelet takes the address of the device with the default route
	} {
		n.host(t, "ip", append([]string{"-n", n.name}, strings.Fields(command)...)...)
	}
	for _, server := range nameservers() {
		// Nobody waits for the answer of a name server that cannot be reached.
		n.host(t, "ip", "-n", n.name, "route", "add", "unreachable", server)
	}
	return n
}

// kernelSettings are the machine's that kubelets change, with their values. No namespace keeps those apart.
func kernelSettings() map[string]string {
	values := map[string]string{}
	for _, name := range []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"} {
		file := filepath.Join("/proc/sys", name)
		if value, err := os.ReadFile(file); err == nil {
			values[file] = string(value)
		}
	}
	return values
}

// nameservers are the IPv4 ones of this machine, without those on the loopback device, where nobody listens in a namespace.
func nameservers() []string {
	text, _ := os.ReadFile("/etc/resolv.conf") // without it, there are none
	var found []string
	for _, line := range lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "nameserver" {
			if ip := net.ParseIP(f[1]); ip.To4() != nil && !ip.IsLoopback() && !slices.Contains(found, f[1]) {
				found = append(found, f[1])
			}
		}
	}
	return found
}

// path is one in the machine's folder.
func (n *realNode) path(names ...string) string {
	return filepath.Join(append([]string{string(n.home)}, names...)...)
}

func (n *realNode) socket() string { return n.path("c.sock") }

func (n *realNode) netns() string { return "/run/netns/" + n.name }

// host runs a command of the host, which has to succeed.
func (n *realNode) host(t *testing.T, name string, args ...string) string {
	t.Helper()
	r := n.do(t, name, args...)
	if r.code != 0 {
		t.Fatalf("%s %s: exit code %d\n%s%s", name, strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// within are the arguments of nsenter for a command on the machine. `ip netns exec` would hide the cgroups.
func (n *realNode) within(command ...string) []string {
	return append([]string{"--net=" + n.netns(), "--"}, command...)
}

// ctr runs containerd's client in the namespace of the kubelet's containers.
func (n *realNode) ctr(t *testing.T, args ...string) string {
	t.Helper()
	return n.host(t, "ctr", append([]string{"-a", n.socket(), "-n", "k8s.io"}, args...)...)
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
}`, n.name, n.path("ipam"))
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
`, n.home, n.cni, pauseImage))
	p := n.start(t, "nsenter", n.within("containerd", "--config", config)...)
	poll(t, "containerd", func(context.Context) (bool, error) {
		select {
		case <-p.done:
			return false, errors.New("it ended")
		default:
		}
		return n.do(t, "ctr", "-a", n.socket(), "version").code == 0, nil
	})
	t.Cleanup(func() {
		n.stopKM(t)
		n.endContainers(t)
	})

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
	command := append([]string{binary, "run", "--executor.runtime=cri", "--executor.container-runtime-endpoint=unix://" + n.socket(),
		// How many connections the kernel tracks cannot be set in a network namespace.
		"--proxy.conntrack-max-per-core=0"}, args...)
	n.km = n.start(t, "nsenter", n.within(command...)...)
	t.Cleanup(func() { n.stopKM(t) })
	return n.km
}

// stopKM stops km if the test has not done it, as long as it can stop its pods.
func (n *realNode) stopKM(t *testing.T) {
	if n.km == nil {
		return
	}
	_ = n.km.cmd.Process.Signal(syscall.SIGTERM) // it has ended already, if all went well
	select {
	case <-n.km.done:
	case <-time.After(patience):
		t.Error("km did not stop")
	}
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
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "nsenter", n.within(append([]string{binary, "kubectl"}, args...)...)...)
	cmd.Env = n.env()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
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
	if r := n.feed(t, "", "wait", "--for="+condition, object, "--timeout=100s"); r.code != 0 {
		described := n.feed(t, "", "describe", object)
		t.Fatalf("%s: %s: %s\n%s%s", object, condition, r.stderr, described.stdout, described.stderr)
	}
}

// dial connects from the machine. Its network must name the address by numbers: a name would be looked up elsewhere.
func (n *realNode) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var c net.Conn
	err := n.inside(func() error {
		var err error
		c, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// inside calls f on a thread that is in the machine's namespace, and that ends with it.
func (n *realNode) inside(f func() error) error {
	result := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: nobody else may get this thread
		result <- func() error {
			ns, err := os.Open(n.netns())
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			return f()
		}()
	}()
	return <-result
}

// client speaks HTTP from the machine. It trusts everybody: what is tested is what servers think of clients.
func (n *realNode) client() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: n.dial, DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
}

// request is the status and the body that are answered on the machine, with a bearer token if there is one.
func (n *realNode) request(method, url, token string) (int, string, error) {
	request, err := http.NewRequest(method, url, nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	r, err := n.client().Do(request)
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
		code, body, err := n.request(http.MethodGet, url, "")
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
		forgetCNI("*-" + id + "-*")
	}
}

// remove removes the machine, and checks that nothing of it is left.
func (n *realNode) remove(t *testing.T) {
	for _, pid := range n.processes() {
		_ = syscall.Kill(pid, syscall.SIGKILL) // shims, and containers that lost them
	}
	poll(t, "the end of the machine's processes", func(context.Context) (bool, error) { return len(n.processes()) == 0, nil })
	mounts := n.mounts()
	slices.Reverse(mounts)
	for _, mount := range mounts {
		_ = unix.Unmount(mount, unix.MNT_DETACH) // what is left is told below
	}
	if left := n.mounts(); len(left) > 0 {
		t.Errorf("still mounted: %v", left)
	}
	if r := n.do(t, "ip", "netns", "del", n.name); r.code != 0 {
		t.Errorf("ip netns del: %s", r.stderr)
	}
	forgetCNI(n.name + "-*")
	n.forgetLogs()
	removeCgroups()
	if err := os.RemoveAll(string(n.home)); err != nil {
		t.Error(err)
	}
	for _, path := range []string{n.netns(), string(n.home)} {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s is still there (%v)", path, err)
		}
	}
}

// forgetCNI removes what CNI noted of pods whose network it has not been asked to remove.
func forgetCNI(pattern string) {
	notes, _ := filepath.Glob("/var/lib/cni/*/" + pattern) // the pattern is right
	for _, file := range notes {
		_ = os.Remove(file)
	}
}

// forgetLogs removes the links to the logs of containers that nobody removed.
func (n *realNode) forgetLogs() {
	links, _ := filepath.Glob("/var/log/containers/*.log") // the pattern is right
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, string(n.home)+"/") {
			_ = os.Remove(link)
		}
	}
}

// mounts are the mount points below the machine's folder, in the order in which they were made.
func (n *realNode) mounts() []string { return mountsBelow(string(n.home)) }

func mountsBelow(folder string) []string {
	text, _ := os.ReadFile("/proc/self/mountinfo") // it is always there
	var found []string
	for _, line := range lines(string(text)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], folder+"/") {
			found = append(found, f[4])
		}
	}
	return found
}

// processes are those that name the machine's folder in their command line, or have their root in it.
func (n *realNode) processes() []int {
	own, _ := os.Readlink("/proc/self/ns/mnt")
	entries, _ := os.ReadDir("/proc")
	var found []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		of := func(file string) string { return filepath.Join("/proc", e.Name(), file) }
		command, _ := os.ReadFile(of("cmdline")) // it may have ended
		if bytes.Contains(command, []byte(n.home+"/")) || bytes.Contains(command, []byte("--net="+n.netns()+"\x00")) {
			found = append(found, pid)
			continue
		}
		if namespace, err := os.Readlink(of("ns/mnt")); err == nil && namespace != own && n.isRootOf(of("mountinfo")) {
			found = append(found, pid)
		}
	}
	return found
}

// isRootOf tells whether the root of a mount table is a container's file system that is in the machine's folder.
func (n *realNode) isRootOf(mountinfo string) bool {
	text, _ := os.ReadFile(mountinfo)
	return slices.ContainsFunc(lines(string(text)), func(line string) bool {
		f := strings.Fields(line)
		return len(f) > 4 && f[4] == "/" && strings.Contains(line, string(n.home)+"/")
	})
}

// removeCgroups removes what kubelets leave of their cgroups, as far as nothing is in them.
func removeCgroups() {
	var folders []string
	for _, pattern := range []string{"/sys/fs/cgroup/kubepods*", "/sys/fs/cgroup/*/kubepods*"} {
		roots, _ := filepath.Glob(pattern) // the pattern is right
		for _, root := range roots {
			_ = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					folders = append(folders, path)
				}
				return nil
			})
		}
	}
	slices.Reverse(folders)
	for _, folder := range folders {
		_ = unix.Rmdir(folder) // the kernel removes none with a process in it
	}
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
