package images

import (
	"archive/tar"
	"bytes"
	"flag"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	imageutils "k8s.io/kubernetes/test/utils/image"
)

var imagesIn = flag.String("images", "", "folder to make all images in, and to run what is in them: as root, in minutes")

// Files of a package are where its folders really are, the first of a name stays, and what no one reads is left out.
func TestLayer(t *testing.T) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, h := range []tar.Header{
		{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "./bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "./bin/true", Typeflag: tar.TypeReg, Mode: 0o4755, Size: 3},
		{Name: "./bin/yes", Typeflag: tar.TypeLink, Linkname: "./bin/true"},
		{Name: "./lib/one.so", Typeflag: tar.TypeSymlink, Linkname: "../etc/one"},
		{Name: "./usr/bin/ours", Typeflag: tar.TypeReg, Mode: 0o755, Size: 3},
		{Name: "./usr/share/doc/readme", Typeflag: tar.TypeReg, Mode: 0o644, Size: 3},
		{Name: "./usr/share/doctor", Typeflag: tar.TypeReg, Mode: 0o644, Size: 3},
	} {
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Size > 0 {
			io.WriteString(w, "its")
		}
	}
	w.Close()
	l, err := layer(filepath.Join(t.TempDir(), "layer"), func(f *files) error {
		if err := f.ground(); err != nil {
			return err
		}
		if err := f.text("bin/ours", "ours"); err != nil {
			return err
		}
		return f.all(&archive, unread.MatchString)
	})
	if err != nil {
		t.Fatal(err)
	}
	from, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	found, content := map[string]tar.Header{}, map[string]string{}
	for r := tar.NewReader(from); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, twice := found[h.Name]; twice {
			t.Errorf("%s is there twice", h.Name)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		found[h.Name], content[h.Name] = *h, string(text)
	}
	for name, want := range map[string]tar.Header{
		"bin":            {Typeflag: tar.TypeSymlink, Linkname: "usr/bin", Mode: 0o777},
		"usr/bin/":       {Typeflag: tar.TypeDir, Mode: 0o755},
		"usr/bin/true":   {Typeflag: tar.TypeReg, Mode: 0o4755},
		"usr/bin/yes":    {Typeflag: tar.TypeLink, Linkname: "usr/bin/true"},
		"usr/lib/one.so": {Typeflag: tar.TypeSymlink, Linkname: "/etc/one"},
		"tmp/":           {Typeflag: tar.TypeDir, Mode: 0o1777},
	} {
		if got := found[name]; got.Typeflag != want.Typeflag || got.Linkname != want.Linkname || got.Mode != want.Mode {
			t.Errorf("%s is %c to %q with mode %o, want %c to %q with %o", name,
				got.Typeflag, got.Linkname, got.Mode, want.Typeflag, want.Linkname, want.Mode)
		}
	}
	if got := content["usr/bin/ours"]; got != "ours" {
		t.Errorf("usr/bin/ours has %q, want what was put first", got)
	}
	if _, ok := found["usr/share/doc/readme"]; ok {
		t.Error("usr/share/doc/readme is there")
	}
	if _, ok := found["usr/share/doctor"]; !ok {
		t.Error("usr/share/doctor is not there")
	}
}

// What apt-get says is understood.
func TestWould(t *testing.T) {
	const says = `Inst libc6 (2.36-9+deb12u14 Debian:12.15/oldstable, Debian-Security:12/oldstable [amd64]) []
Inst libacl1 (2.3.1-3 Debian:12.15/oldstable [amd64])
Conf libacl1 (2.3.1-3 Debian:12.15/oldstable [amd64])
Inst libattr1 (1:2.5.1-4 Debian:12.15/oldstable [all])
`
	var got []string
	for _, m := range would.FindAllStringSubmatch(says, -1) {
		got = append(got, strings.Join(m[1:], " "))
	}
	if want := []string{"libc6 2.36-9+deb12u14 amd64", "libacl1 2.3.1-3 amd64", "libattr1 1:2.5.1-4 all"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// An image is configured as its recipe tells.
func TestImage(t *testing.T) {
	m := &maker{dir: t.TempDir(), layers: map[string]v1.Layer{}}
	if err := os.Mkdir(filepath.Join(m.dir, "layers"), 0o755); err != nil {
		t.Fatal(err)
	}
	i, err := m.image(t.Context(), recipe{layers: []string{"ground"}, config: v1.Config{User: "1234", Entrypoint: []string{"/agnhost"}}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := i.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if c.OS != "linux" || c.Config.User != "1234" || !slices.Equal(c.Config.Entrypoint, []string{"/agnhost"}) ||
		len(c.Config.Env) != 1 || len(c.RootFS.DiffIDs) != 1 {
		t.Errorf("got %+v", c)
	}
	if _, err := m.image(t.Context(), recipe{layers: []string{"unknown"}}); err == nil {
		t.Error("an image has a layer of which nothing is known")
	}
}

// All images can be pulled, and what is in them runs.
func TestServe(t *testing.T) {
	if *imagesIn == "" {
		return // the conformance suite on real nodes serves and runs them
	}
	began := time.Now()
	handler, images, err := Serve(t.Context(), *imagesIn, Suite{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("made in %v", time.Since(began).Round(time.Second))
	server := httptest.NewServer(handler)
	defer server.Close()
	root := map[string]string{} // by an image's name
	for _, i := range images {
		t.Logf("%-60s %5.1f MB  stand-in %-5v  %s", i.Name, float64(i.Size)/1e6, i.StandIn, i.Made)
		_, path, _ := strings.Cut(i.Name, "/")
		image, err := crane.Pull(strings.TrimPrefix(server.URL, "http://")+"/"+path, crane.Insecure)
		if err != nil {
			t.Errorf("%s: %v", i.Name, err)
			continue
		}
		root[i.Name] = t.TempDir()
		extract := exec.Command("tar", "-xpf", "-", "-C", root[i.Name])
		in, err := extract.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			defer in.Close()
			crane.Export(image, in)
		}()
		if out, err := extract.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", i.Name, err, out)
		}
		os.Mkdir(filepath.Join(root[i.Name], "dev"), 0o755)
		for _, f := range []string{"null", "stdout", "stderr"} {
			os.WriteFile(filepath.Join(root[i.Name], "dev", f), nil, 0o666)
		}
	}
	sh := func(line string) []string { return []string{"/bin/sh", "-c", line} }
	for _, run := range []struct {
		id   imageutils.ImageID
		does []string
		want []string // in what it prints
	}{
		{imageutils.Agnhost, []string{"/agnhost", "--version"}, []string{"version"}},
		{imageutils.Agnhost, []string{"/agnhost-2", "entrypoint-tester", "a"}, []string{"[/agnhost-2 entrypoint-tester a]"}},
		{imageutils.Agnhost, []string{"/coredns", "-plugins"}, []string{"hosts", "log"}},
		{imageutils.Agnhost, sh("curl --version; dig -v; nc -h; nslookup -version; ss -V; ip -V; iperf -v; socat -V; hostname --version; which nsenter ipcs wget ping mount"),
			[]string{"libcurl", "DiG 9", "OpenBSD netcat", "nslookup 9", "ss utility", "ip utility", "iperf version 2", "socat version",
				"hostname 3", "/nsenter", "/ipcs", "/wget", "/ping", "/mount"}},
		{imageutils.Agnhost, sh("id user-defined-in-image; getent passwd nobody; tar --version; stat -c %a /tmp; cat /var/registry/pause/manifests/testing; ls -l /uploads /localhost.crt"),
			[]string{"50000(group-defined-in-image)", "nobody:x:65534", "tar (GNU tar)", "1777", "sha256:", "/localhost.crt"}},
		{imageutils.AgnhostPrev, []string{"/agnhost", "--version"}, []string{"version"}},
		{imageutils.Kitten, sh("cat /data.json; ls /kitten.jpg"), []string{"kitten.jpg"}},
		{imageutils.Nautilus, sh("cat /data.json; ls /nautilus.jpg"), []string{"nautilus.jpg"}},
		{imageutils.BusyBox, sh(`env; echo $HOSTNAME; nslookup --help; wget --help; nc --help; id; wget -q -T 1 -O - http://127.0.0.1:1; echo wget $?; stat -c %a /tmp; ls -l /etc/passwd; mktemp; timeout 1 true && echo timely; trap 'echo trapped' EXIT`),
			[]string{"with-dash=kept", "BusyBox", "GNU Wget", "Usage: nc", "uid=0", "1777", "/etc/passwd", "/tmp/tmp.", "timely", "wget 4", "trapped"}},
		{imageutils.Nginx, []string{"/usr/sbin/nginx", "-t"}, []string{"test is successful"}},
		{imageutils.NginxNew, sh("nginx -v; cat /usr/share/nginx/html/index.html"), []string{"nginx version", "Welcome to nginx"}},
		{imageutils.Pause, []string{"/pause", "-v"}, []string{"pause"}},
		{imageutils.APIServer, []string{"/sample-apiserver", "--help"}, []string{"--etcd-servers"}},
		{imageutils.Etcd, []string{"/usr/local/bin/etcd", "--version"}, []string{"etcd Version"}},
		{imageutils.Nonewprivs, []string{"/usr/local/bin/nnp"}, []string{"Effective uid: 0"}},
		{imageutils.NonRoot, []string{"/usr/bin/id", "-u"}, []string{"0"}},
		{imageutils.GlibcDnsTesting, sh("dig -v; getent hosts localhost || true; /coredns -plugins; ls -l /bin/sh"), []string{"DiG 9", "hosts"}},
		{imageutils.IpcUtils, sh("ipcs --version"), []string{"util-linux"}},
		{imageutils.DistrolessIptables, sh("conntrack --version; sleep 0; which grep"), []string{"conntrack v1", "/grep"}},
		{imageutils.ResourceConsumer, sh("stress --version; ls /consumer; ./consume-cpu/consume-cpu -h || true"), []string{"stress 1", "/consumer", "-duration-sec"}},
		{imageutils.RegressionIssue74839, []string{"/regression-issue-74839", "-h"}, []string{"No valid IP"}},
	} {
		name := imageutils.GetE2EImage(run.id)
		c := exec.CommandContext(t.Context(), run.does[0], run.does[1:]...)
		c.Dir = "/"
		c.Env = []string{"PATH=/usr/sbin:/usr/bin", "with-dash=kept", "HOSTNAME=here"}
		c.SysProcAttr = &syscall.SysProcAttr{Chroot: root[name]}
		out, err := c.CombinedOutput()
		for _, want := range run.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: %q does not print %q (%v):\n%s", name, run.does, want, err, out)
			}
		}
		t.Logf("%s: %q: %v\n%s", name, run.does, err, out)
	}
}
