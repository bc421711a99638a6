package images

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	imageutils "k8s.io/kubernetes/test/utils/image"
)

// recipes are those of all images: what the conformance suite's specs use, and what is cheap to make beyond. Their
// configurations are those in the Dockerfiles of k8s.io/kubernetes/test/images.
func (m *maker) recipes() []recipe {
	of := func(what, path string) string { return what + " of " + m.modules[path].String() }
	debian := func(names ...string) string {
		var all []string
		for _, n := range names {
			all = append(all, n+" "+m.debian(n).version)
		}
		return strings.Join(all, ", ") + " of Debian"
	}
	agnhost := v1.Config{
		Entrypoint: []string{"/agnhost"}, Cmd: []string{"pause"},
		ExposedPorts: ports("80", "8080", "8081", "9376", "5000"),
	}
	web := agnhost
	web.Cmd = []string{"test-webserver"}
	nginx := v1.Config{
		Cmd: []string{"nginx", "-g", "daemon off;"}, ExposedPorts: ports("80"), StopSignal: "SIGQUIT",
	}
	shell := v1.Config{Cmd: []string{"bash"}}
	suite := v1.Config{Entrypoint: []string{"kubeconformance"}, Env: append([]string{searchPath}, suiteEnvironment...)}
	all := []recipe{
		{imageutils.GetE2EImage(imageutils.Pause), of("pause", kubernetes), false, []string{"pause"}, v1.Config{
			User: "65535:65535", Entrypoint: []string{"/pause"}}},
		{imageutils.GetE2EImage(imageutils.Agnhost), of("agnhost", kubernetes) + ", " + of("CoreDNS", coreDNS) + ", " +
			debian("bind9-dnsutils", "curl", "iperf", "iproute2", "netcat-openbsd", "socat"),
			m.standIn(imageutils.Agnhost, "agnhost"), []string{"userland", "agnhost"}, agnhost},
		{imageutils.GetE2EImage(imageutils.AgnhostPrev), of("agnhost", kubernetes), true, []string{"userland", "agnhost"}, agnhost},
		{imageutils.GetE2EImage(imageutils.Kitten), of("agnhost", kubernetes) + ", /etc/os-release with the name of the published image's system", true,
			[]string{"userland", "agnhost", "kitten"}, web},
		{imageutils.GetE2EImage(imageutils.Nautilus), of("agnhost", kubernetes), m.standIn(imageutils.Nautilus, "nautilus"),
			[]string{"userland", "agnhost", "nautilus"}, web},
		{imageutils.GetE2EImage(imageutils.APIServer), of("sample-apiserver", sampleAPIServer), true, []string{"ground", "sample-apiserver"},
			v1.Config{Entrypoint: []string{"/sample-apiserver"}}},
		{imageutils.GetE2EImage(imageutils.Etcd), of("etcd", etcd), true, []string{"ground", "etcd"}, v1.Config{
			Cmd: []string{"etcd"}, ExposedPorts: ports("2379", "2380", "4001", "7001")}},
		{imageutils.GetE2EImage(imageutils.BusyBox), debian("busybox-static", "bash-static", "wget"), true, []string{"busybox"},
			v1.Config{Cmd: []string{"sh"}}},
		{imageutils.GetE2EImage(imageutils.Nginx), debian("nginx-light"), true, []string{"userland", "nginx"}, nginx},
		{imageutils.GetE2EImage(imageutils.NginxNew), debian("nginx-light"), true, []string{"userland", "nginx"}, nginx},
		{imageutils.GetE2EImage(imageutils.Nonewprivs), of("nonewprivs", kubernetes), m.standIn(imageutils.Nonewprivs, "nonewprivs"),
			[]string{"ground", "nonewprivs"}, v1.Config{Cmd: []string{"nnp"}}},
		{imageutils.GetE2EImage(imageutils.NonRoot), debian("bash", "coreutils"), m.standIn(imageutils.NonRoot, "nonroot"),
			[]string{"userland"}, v1.Config{Cmd: []string{"bash"}, User: "1234"}},
		{imageutils.GetE2EImage(imageutils.GlibcDnsTesting), debian("bind9-dnsutils") + ", " + of("CoreDNS", coreDNS),
			m.standIn(imageutils.GlibcDnsTesting, "glibc-dns-testing"), []string{"userland", "coredns"}, shell},
		{imageutils.GetE2EImage(imageutils.IpcUtils), debian("util-linux"), true, []string{"userland"}, shell},
		{imageutils.GetE2EImage(imageutils.DistrolessIptables), debian("conntrack"), true, []string{"userland", "conntrack"}, shell},
		{imageutils.GetE2EImage(imageutils.ResourceConsumer), of("resource-consumer", kubernetes) + ", " + debian("stress"),
			m.standIn(imageutils.ResourceConsumer, "resource-consumer"), []string{"userland", "resource-consumer"}, v1.Config{
				Entrypoint: []string{"/consumer"}, ExposedPorts: ports("8080")}},
		{imageutils.GetE2EImage(imageutils.RegressionIssue74839), of("regression-issue-74839", kubernetes),
			m.standIn(imageutils.RegressionIssue74839, "regression-issue-74839"),
			[]string{"ground", "regression-issue-74839"}, v1.Config{Entrypoint: []string{"/regression-issue-74839"}}},
	}
	if m.suite != (Suite{}) {
		all = append(all, recipe{
			"registry.k8s.io/conformance:" + m.modules[kubernetes].version, of("e2e.test and go-runner", kubernetes) + ", ginkgo, and km as kubectl",
			false, []string{"userland", "conformance"}, suite,
		})
	}
	return all
}

func ports(tcp ...string) map[string]struct{} {
	all := map[string]struct{}{}
	for _, p := range tcp {
		all[p+"/tcp"] = struct{}{}
	}
	return all
}

// tag is that of an image.
func tag(id imageutils.ImageID) string {
	name := imageutils.GetE2EImage(id)
	return name[strings.LastIndex(name, ":")+1:]
}

// standIn tells whether the sources of an image are another version than the one that specs use.
func (m *maker) standIn(id imageutils.ImageID, sources string) bool {
	version, err := os.ReadFile(m.source("test/images/" + sources + "/VERSION"))
	return err != nil || strings.TrimSpace(string(version)) != tag(id)
}

// debian is a package of those that have been downloaded.
func (m *maker) debian(name string) deb {
	for _, debs := range m.debs {
		for _, d := range debs {
			if d.name == name {
				return d
			}
		}
	}
	panic("package " + name + " is in no layer")
}

// fill puts what the layer of a name has.
func (m *maker) fill(ctx context.Context, layer string, f *files) error {
	switch layer {
	case "ground":
		return f.ground()
	case "pause":
		return f.copied("pause", 0o755, m.program("pause"))
	case "userland":
		return errors.Join(f.ground(), f.text("etc/wgetrc", wgetrc), f.packages(ctx, m.debs[layer]), f.link("bin/sh", "bash"),
			f.link("bin/nc", "nc.openbsd"), m.applets(ctx, f))
	case "busybox":
		return errors.Join(f.ground(), f.text("etc/wgetrc", wgetrc), f.packages(ctx, m.debs[layer]),
			f.copied("usr/bin/sh", 0o755, m.program("sh")), m.applets(ctx, f))
	case "agnhost":
		return m.agnhost(ctx, f)
	case "kitten":
		// A spec looks for the name of that system where it has mounted this image.
		return errors.Join(m.page(layer, f), f.text("etc/os-release", "NAME=\"Alpine Linux\"\n"))
	case "nautilus":
		return m.page(layer, f)
	case "sample-apiserver", "regression-issue-74839", "coredns":
		return f.copied(layer, 0o755, m.program(layer))
	case "etcd":
		return f.copied("usr/local/bin/etcd", 0o755, m.program("server"))
	case "nonewprivs":
		return f.copied("usr/local/bin/nnp", 0o6755, m.program("nonewprivs"))
	case "nginx":
		return errors.Join(f.text("etc/nginx/nginx.conf", nginxConf), f.packages(ctx, m.debs[layer]))
	case "conntrack":
		return f.packages(ctx, m.debs[layer])
	case "conformance":
		const below = "usr/local/bin/"
		return errors.Join(f.copied(below+"e2e.test", 0o755, m.suite.Tests), f.copied(below+"ginkgo", 0o755, m.suite.Ginkgo),
			f.copied(below+"kubectl", 0o755, m.suite.Kubectl), f.copied(below+"kubeconformance", 0o755, m.program("go-runner")))
	case "resource-consumer":
		return errors.Join(f.packages(ctx, m.debs[layer]), f.copied("consumer", 0o755, m.program("resource-consumer")),
			f.dir("consume-cpu", 0o755), f.copied("consume-cpu/consume-cpu", 0o755, m.program("consume-cpu")))
	}
	return errors.New("nothing tells what it has")
}

// applets puts links to busybox for all that it can do and is not there.
func (m *maker) applets(ctx context.Context, f *files) error {
	to := filepath.Join(m.dir, "bin", "busybox")
	if _, err := output(ctx, "dpkg-deb", "--extract", m.debian("busybox-static").file, to); err != nil {
		return err
	}
	list, err := output(ctx, filepath.Join(to, "bin", "busybox"), "--list")
	if err != nil {
		return err
	}
	for _, applet := range strings.Fields(list) {
		if f.has["usr/sbin/"+applet] {
			continue
		}
		if err := f.link("usr/bin/"+applet, "busybox"); err != nil {
			return err
		}
	}
	return nil
}

// page puts what kitten and nautilus show.
func (m *maker) page(name string, f *files) error {
	html := "test/images/" + name + "/html/"
	return errors.Join(f.copied(name+".jpg", 0o644, m.source(html+name+".jpg")), f.copied("data.json", 0o644, m.source(html+"data.json")))
}

// agnhost puts what is in agnhost's image beside a system.
func (m *maker) agnhost(ctx context.Context, f *files) error {
	const porter = "test/images/agnhost/porter/"
	return errors.Join(
		f.copied("agnhost", 0o755, m.program("agnhost")), f.link("agnhost-2", "agnhost"),
		f.copied("coredns", 0o755, m.program("coredns")), f.link("usr/local/bin/iperf", "/usr/bin/iperf"),
		f.copied("localhost.crt", 0o644, m.source(porter+"localhost.crt")),
		f.copied("localhost.key", 0o644, m.source(porter+"localhost.key")), f.dir("uploads", 0o755),
		// A spec wants to find these in the image.
		f.text("etc/passwd", users+"user-defined-in-image:x:1000:1000::/home/user-defined-in-image:/bin/sh\n"),
		f.text("etc/group", groups+"user-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n"),
		f.dir("home/user-defined-in-image", 0o755), m.fakeRegistry(ctx, f))
}

// fakeRegistry puts the image of pause where agnhost's fake-registry-server serves it from, as pause:testing: for specs
// that pull from a registry in the cluster.
func (m *maker) fakeRegistry(ctx context.Context, f *files) error {
	recipes := m.recipes()
	pause, err := m.image(ctx, recipes[slices.IndexFunc(recipes, func(r recipe) bool { return r.name == imageutils.GetE2EImage(imageutils.Pause) })])
	if err != nil {
		return err
	}
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: pause, Descriptor: v1.Descriptor{
		Platform: &v1.Platform{OS: "linux", Architecture: runtime.GOARCH}}})
	const below = "var/registry/pause"
	put := func(kind string, content io.Reader, err error) error {
		if err != nil {
			return err
		}
		text, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		digest, _, err := v1.SHA256(bytes.NewReader(text))
		if err != nil {
			return err
		}
		return f.text(path.Join(below, kind, digest.Algorithm, digest.Hex[:2], digest.Hex, "data"), string(text))
	}
	blobs, err := pause.Layers()
	if err != nil {
		return err
	}
	config, err := partial.ConfigLayer(pause)
	if err != nil {
		return err
	}
	for _, b := range append(blobs, config) {
		content, err := b.Compressed()
		if err := put("blobs", content, err); err != nil {
			return err
		}
		content.Close() // it has been read
	}
	for _, manifest := range []partial.WithRawManifest{pause, index} {
		text, err := manifest.RawManifest()
		if err := put("manifests", bytes.NewReader(text), err); err != nil {
			return err
		}
	}
	digest, err := index.Digest()
	if err != nil {
		return err
	}
	return f.text(path.Join(below, "manifests", "testing"), digest.String()+"\n")
}

// As the Dockerfile of k8s.io/kubernetes/test/conformance/image has it.
var suiteEnvironment = []string{
	`E2E_FOCUS=\[Conformance\]`, "E2E_SKIP=", "E2E_PROVIDER=local", "E2E_PARALLEL=1", "E2E_VERBOSITY=4", "RESULTS_DIR=/tmp/results", "KUBECONFIG=",
}

// As busybox' wget, which is the one that specs expect, it tries once.
const wgetrc = "tries = 1\n"

// As the published image: it serves a folder, in the foreground, and prints its logs. It loads no modules.
const nginxConf = `user www-data;
worker_processes 2;
pid /run/nginx.pid;
error_log /dev/stderr notice;
events {
	worker_connections 1024;
}
http {
	include /etc/nginx/mime.types;
	default_type application/octet-stream;
	access_log /dev/stdout;
	server {
		listen 80;
		root /usr/share/nginx/html;
		index index.html;
	}
}
`
