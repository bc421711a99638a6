package e2e

import (
	"context"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-200a7251/km/test/machines"
)

// km stops what it started: after it, no container runs, nothing is mounted and no rule is in force. What it ran, it
// runs again.
func TestRealNodeStops(t *testing.T) {
	t.Parallel()
	n := newRealNode(t)
	before, settings := n.elsewhere(t), map[string]string{}
	for _, name := range machines.Settings {
		settings[name] = n.setting(t, name)
	}
	n.runContainerd(t)
	p := n.runKM(t)
	const spec = `containers: [{name: main, image: APP, volumeMounts: [{name: hidden, mountPath: /hidden}, {name: scratch, mountPath: /scratch}]}]
  volumes: [{name: hidden, secret: {secretName: hidden}}, {name: scratch, emptyDir: {medium: Memory}}]`
	n.kubectl(t, "create", "secret", "generic", "hidden", "--from-literal=password=sesame")
	n.applyReal(t, realPod("kept", spec))
	n.waitFor(t, "pod/kept", "condition=Ready")
	if mounts := n.mounts(t, n.dataDir("km")); len(mounts) < 2 {
		t.Errorf("mounted below the data folder: %v, want the pod's volumes", mounts)
	}
	if tables := n.nftables(t); !strings.Contains(tables, "kube-proxy") {
		t.Errorf("nftables:\n%s", tables)
	}
	// Upstream's kubelet changes these when it starts.
	for _, name := range []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops"} {
		if now := n.setting(t, name); now != settings[name] {
			t.Errorf("%s is %s, and was %s", name, now, settings[name])
		}
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	t.Run("containers", func(t *testing.T) { n.noContainers(t) })
	t.Run("mounts", func(t *testing.T) {
		if mounts := n.mounts(t, n.dataDir("km")); len(mounts) > 0 {
			t.Errorf("still mounted: %v", mounts)
		}
	})
	t.Run("rules", func(t *testing.T) {
		if tables := n.nftables(t); strings.Contains(tables, "kube-proxy") {
			t.Errorf("left in nftables:\n%s", tables)
		}
	})
	t.Run("again", func(t *testing.T) {
		p := n.runKM(t)
		// What the API server knows of the pod is of the time before, until the kubelet has said more.
		poll(t, "the pod's answer", func(context.Context) (bool, error) {
			code, body, err := n.attempt(n.podURL(t, "kept") + "/file?path=/hidden/password")
			return err == nil && code == http.StatusOK && body == "sesame", nil
		})
		n.waitFor(t, "pod/kept", "condition=Ready")
		if phase := n.value(t, "pod/kept", "{.status.phase}"); phase != "Running" {
			t.Errorf("the pod is %s", phase)
		}
		n.kubectl(t, "delete", "pod", "kept", patient)
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		n.noContainers(t)
	})
	// What a km that is killed leaves running, the next one takes up as it is.
	t.Run("killed", func(t *testing.T) {
		p := n.runKM(t)
		n.applyReal(t, realPod("goes-on", spec))
		n.waitFor(t, "pod/goes-on", "condition=Ready")
		url := n.podURL(t, "goes-on") + "/file?path=/hidden/password"
		container := n.value(t, "pod/goes-on", "{.status.containerStatuses[0].containerID}")
		if code := p.stop(syscall.SIGKILL); code != -1 {
			t.Errorf("exit code %d, want the signal", code)
		}
		if body := n.get(t, url); body != "sesame" {
			t.Errorf("the pod answers %q", body)
		}
		// Another cluster's kubelet would stop it.
		other := n.path("other")
		if err := os.Mkdir(other, 0o700); err != nil {
			t.Fatal(err)
		}
		refused(t, n.refusedKM(t, home{dir: other}, n.socket(), nil), "pods of another node", "default/goes-on")
		p = n.runKM(t)
		n.waitFor(t, "pod/goes-on", "condition=Ready")
		if now := n.value(t, "pod/goes-on", "{.status.containerStatuses[0].containerID}"); now != container {
			t.Errorf("the container is %s, and was %s", now, container)
		}
		n.kubectl(t, "delete", "pod", "goes-on", patient)
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		n.noContainers(t)
	})
	t.Run("ephemeral", func(t *testing.T) {
		p := n.runKM(t, "--ephemeral")
		m := regexp.MustCompile(`in a temporary folder, (\S+)`).FindStringSubmatch(p.stdout.String())
		if m == nil {
			t.Fatalf("the folder is not named:\n%s", p.stdout)
		}
		kubeconfig := "--kubeconfig=" + filepath.Join(m[1], "kubeconfig", "admin.conf")
		n.kubectl(t, kubeconfig, "create", "secret", "generic", "hidden", "--from-literal=password=sesame")
		n.kubectlFed(t, realManifest(realPod("short", spec)), kubeconfig, "apply", "-f", "-")
		n.kubectl(t, kubeconfig, "wait", "--for=condition=Ready", "pod/short", patient)
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		n.noContainers(t)
		if mounts := n.mounts(t, m[1]); len(mounts) > 0 {
			t.Errorf("still mounted: %v", mounts)
		}
		if _, err := os.Stat(m[1]); !os.IsNotExist(err) {
			t.Errorf("%s is still there (%v)", m[1], err)
		}
	})
	// A cluster whose nodes were simulated has the real one alone, as soon as that is asked for.
	t.Run("after simulated nodes", func(t *testing.T) {
		p := n.start(t, binary, "run", "--name=turned", "--executor.nodes=2")
		p.waitReady()
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		p = n.runKM(t, "--name=turned")
		kubeconfig := "--kubeconfig=" + filepath.Join(n.dataDir("turned"), "kubeconfig", "admin.conf")
		if nodes := n.kubectl(t, kubeconfig, "get", "nodes", "-o", "jsonpath={.items[*].status.nodeInfo.containerRuntimeVersion}"); !strings.HasPrefix(nodes, "containerd://") || strings.Contains(nodes, " ") {
			t.Errorf("the runtimes of the nodes are %q, want containerd's alone", nodes)
		}
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	})
	t.Run("elsewhere", func(t *testing.T) { // what all of these runs left, as none of their pods is kept
		for path := range n.elsewhere(t) {
			if !before[path] {
				t.Errorf("left: %s", path)
			}
		}
	})
}

// setting is the value of one of the kernel's.
func (n *realNode) setting(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(n.host.Root("/proc/sys/" + name))
	if err := ignore(err, os.IsNotExist); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// nftables are the tables of the machine.
func (n *realNode) nftables(t *testing.T) string {
	t.Helper()
	return n.command(t, "nft", "list", "tables")
}

// noContainers checks that containerd has nothing of the kubelet's.
func (n *realNode) noContainers(t *testing.T) {
	t.Helper()
	for _, what := range []string{"tasks", "containers"} {
		if left := n.ctr(t, what, "ls"); len(lines(left)) > 1 { // the first is the heading
			t.Errorf("%s left:\n%s", what, left)
		}
	}
}

// elsewhere is what is in the folders outside of the data folder in which kubelets and their like leave something.
func (n *realNode) elsewhere(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	for _, root := range []string{"/etc/kubernetes", "/usr/libexec/kubernetes", "/var/lib/cni", "/var/lib/kubelet", "/var/lib/kube-proxy", "/var/log/containers", "/var/log/pods"} {
		err := filepath.WalkDir(n.host.Root(root), func(path string, d fs.DirEntry, err error) error {
			path = strings.TrimPrefix(path, n.host.Root(""))
			// These names are fixed upstream, the last one by the container runtime; real-containers.md
			// tells of km's.
			fixed := []string{"/var/lib/kubelet", "/var/log/containers", "/var/lib/cni/results"}
			if err == nil && !slices.Contains(fixed, path) && !strings.HasPrefix(path, "/var/lib/kubelet/device-plugins") {
				found[path] = true
			}
			return ignore(err, os.IsNotExist)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// What a real node lacks is found before anything starts, all of it at once.
func TestRealNodeWrong(t *testing.T) {
	t.Parallel()
	n := newRealNode(t)
	deaf := n.path("deaf.sock")
	l, err := net.Listen("unix", deaf)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()

	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	for _, test := range []struct {
		name     string
		endpoint string
		as       *syscall.Credential
		want     []string
	}{
		{"no socket", n.path("none.sock"), nil, []string{n.path("none.sock")}},
		{"no container runtime", deaf, nil, []string{deaf}},
		{"neither rights nor socket", n.path("none.sock"), nobody, []string{"root", n.path("none.sock")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			state := n.path(strings.ReplaceAll(test.name, " ", "-"))
			if err := os.Mkdir(state, 0o700); err != nil {
				t.Fatal(err)
			}
			r := n.refusedKM(t, home{dir: state}, test.endpoint, test.as)
			refused(t, r, test.want...)
			entries, err := os.ReadDir(home{dir: state}.dataDir("km"))
			if err != nil && !os.IsNotExist(err) || len(entries) > 1 {
				t.Errorf("written: %v (%v)", entries, err)
			}
		})
	}
}

// A kernel that lets km watch too few files is found, too.
func TestRealNodeWithoutWatchers(t *testing.T) {
	t.Parallel()
	n := newRealNode(t)
	// The limit is one of the user namespace. root in there is root on the machine, for its files.
	limited := []string{"unshare", "--user", "--map-root-user", "sh", "-c", `echo 3 > /proc/sys/user/max_inotify_instances && exec "$0" "$@"`}
	command := append(limited, binary, "run", "--executor.runtime=cri", "--executor.container-runtime-endpoint=unix://"+n.path("none.sock"))
	refused(t, n.do(t, command[0], command[1:]...), "instances of inotify", "fs.inotify.max_user_instances=", n.path("none.sock"))
}

// A container runtime that cannot connect pods is found, too.
func TestRealNodeWithoutNetwork(t *testing.T) {
	t.Parallel()
	n := newRealNode(t)
	n.noNetwork = true
	n.runContainerd(t)
	r := n.refusedKM(t, n.home, n.socket(), nil)
	refused(t, r, "no network for pods", n.path("cni"), `"type": "bridge"`)
}

// refusedKM runs a km that is expected to end by itself, as another user if there is one.
func (n *realNode) refusedKM(t *testing.T, h home, endpoint string, as *syscall.Credential) result {
	t.Helper()
	command := binary
	if as != nil { // who may not get where the binary and the home are
		command = n.path("km")
		copyFile(t, binary, command)
		for _, path := range []string{n.dir, h.dir, command} {
			if err := os.Chown(path, int(as.Uid), int(as.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.on = n.host.Do
	change := func(c *exec.Cmd) {
		if as != nil {
			c.SysProcAttr = &syscall.SysProcAttr{Credential: as}
		}
	}
	return h.doWith(t, change, command, "run", "--executor.runtime=cri", "--executor.container-runtime-endpoint=unix://"+endpoint)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// Called as minion, km makes this machine a node of a cluster elsewhere: here, of one in another process.
func TestRealMinion(t *testing.T) {
	t.Parallel()
	n := newRealNode(t)
	n.runContainerd(t)
	control := n.start(t, binary, "run", "etcd,apiserver,controller-manager,scheduler", "--apiserver.bind-address="+n.host.IP,
		// The node's serving certificate is its own.
		"--apiserver.kubelet-certificate-authority=")
	control.waitReady()
	kubeconfig := filepath.Join(n.dataDir("km"), "kubeconfig", "admin.conf")
	n.km = n.start(t, binary, "minion", "--name=node", "--kubeconfig="+kubeconfig, "--runtime=cri", "--container-runtime-endpoint=unix://"+n.socket(),
		"--cluster-dns=10.96.0.10")
	t.Cleanup(func() { n.stopKM(t) })
	n.km.waitReady()
	n.runPod(t, "there", "containers: [{name: main, image: APP}]")
	if text := n.file(t, "there", "/etc/resolv.conf"); !strings.Contains(text, "search default.svc.cluster.local ") || !strings.Contains(text, "nameserver 10.96.0.10\n") {
		t.Errorf("how the pod looks names up: %q", text)
	}
	n.get(t, n.podURL(t, "there")+"/heard")
	if out := n.kubectl(t, "logs", "there"); !strings.Contains(out, "web: GET /heard\n") {
		t.Errorf("logs: %q", out)
	}
	if code := n.km.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	// With storage, it has volumes, too. Drivers for others look for the kubelet in its usual folder.
	n.km = n.start(t, binary, "run", "minion,storage", "--name=node", "--executor.runtime=cri", "--executor.container-runtime-endpoint=unix://"+n.socket(),
		"--executor.kubeconfig="+kubeconfig, "--proxy.kubeconfig="+kubeconfig, "--storage.kubeconfig="+kubeconfig,
		"--executor.root-dir=/var/lib/kubelet")
	n.km.waitReady()
	testRealPersistentVolume(t, n)
	n.runPod(t, "driver", `containers: [{name: main, image: APP, volumeMounts: [{name: registration, mountPath: /registration}]}]
  volumes: [{name: registration, hostPath: {path: /var/lib/kubelet/plugins_registry, type: Directory}}]`)
	for _, p := range []*process{n.km, control} {
		if code := p.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	}
	n.noContainers(t)
}
