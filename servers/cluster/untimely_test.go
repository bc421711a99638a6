package cluster

import (
	"crypto"
	"crypto/x509"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	certutil "k8s.io/client-go/util/cert"
	"k8s.io/kubernetes/cmd/kubeadm/app/util/pkiutil"

	"github.com/seed-200a7251/km/supervisor"
)

// start does with the keys what a start does at the given time.
func start(p *supervisor.Plan, now time.Time) error {
	c := New()
	c.endpoint = "https://127.0.0.1:6443"
	c.pki = &pki{dir: p.Path("pki"), config: kubeadmConfig(p, net.IPv4(127, 0, 0, 1), nil, "10.96.0.0/12"), now: now}
	if err := c.pki.ensure(); err != nil {
		return err
	}
	var err error
	if c.trust, err = os.ReadFile(p.Path("pki", "ca.crt")); err != nil {
		return err
	}
	return c.EnsureKubeconfig(p, "admin")
}

// sign puts a certificate there that is valid for the given time, as somebody else than km may have done.
func sign(t *testing.T, p *supervisor.Plan, name, authority, commonName string, from, to time.Time) {
	t.Helper()
	dir := p.Path("pki")
	cert, key, err := pkiutil.TryLoadCertAndKeyFromDisk(dir, authority)
	if err != nil {
		t.Fatal(err)
	}
	own, err := pkiutil.TryLoadKeyFromDisk(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	write(t, p, name+".crt", newCert(t, commonName, own, cert, key, from, to))
}

func newCert(t *testing.T, commonName string, own crypto.Signer, authority *x509.Certificate, key crypto.Signer, from, to time.Time) string {
	t.Helper()
	made, err := pkiutil.NewSignedCert(&pkiutil.CertConfig{Config: certutil.Config{CommonName: commonName, NotBefore: from}, NotAfter: to}, own, authority, key, false)
	if err != nil {
		t.Fatal(err)
	}
	return string(pkiutil.EncodeCertPEM(made))
}

func write(t *testing.T, p *supervisor.Plan, name, text string) {
	t.Helper()
	if err := os.WriteFile(p.Path("pki", name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// removes are the paths that an error tells to remove. They have no spaces here.
var removes = regexp.MustCompile(`/[^ ,:;)]+`)

// follow does what the last part of an error says is to be removed.
func follow(t *testing.T, p *supervisor.Plan, err error) {
	t.Helper()
	_, advice, ok := strings.Cut(err.Error(), "remove ")
	if !ok {
		t.Fatalf("it says nothing that could be done: %v", err)
	}
	paths := removes.FindAllString(advice, -1)
	if strings.HasPrefix(advice, "it") {
		paths = removes.FindAllString(err.Error(), 1)
	}
	for _, path := range paths {
		if !strings.HasPrefix(path, p.DataDir) {
			t.Fatalf("%s is not there to be removed: %v", path, err)
		}
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
}

// What is wrong with keys and certificates is said as what it is, and after what is said to be done the next start
// works; or the start mends it.
func TestWhatIsWrongWithKeys(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	day, year := 24*time.Hour, 365*24*time.Hour
	said := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
	file := func(name string, text func(string) string) func(*testing.T, *supervisor.Plan) {
		return func(t *testing.T, p *supervisor.Plan) { write(t, p, name, text(contents(t, p)[name])) }
	}
	empty := func(string) string { return "" }
	half := func(text string) string { return text[:len(text)/2] }
	other := func(name string) func(*testing.T, *supervisor.Plan) { // of another cluster
		return func(t *testing.T, p *supervisor.Plan) {
			another := newPlan(t)
			newCluster(t, another, now)
			write(t, p, name, contents(t, another)[name])
		}
	}
	both := func(name string) func(*testing.T, *supervisor.Plan) {
		return func(t *testing.T, p *supervisor.Plan) {
			another := newPlan(t)
			newCluster(t, another, now)
			for _, ext := range []string{".crt", ".key"} {
				write(t, p, name+ext, contents(t, another)[name+ext])
			}
		}
	}
	const apiserver, clock = "kube-apiserver", "the clock of this machine says "
	for _, test := range []struct {
		name  string
		made  time.Duration // when, from now
		spoil func(*testing.T, *supervisor.Plan)
		want  []string // in the error; none if the start mends it
	}{
		{"made while the clock was ahead", 48 * time.Hour, nil,
			[]string{"ca.crt is not valid before " + said(now.Add(48*time.Hour-5*time.Minute)), clock + said(now), "set the clock", "or wait"}},
		{"made a moment ago, and the clock was set", 4 * time.Minute, nil, nil},
		{"the authority has ended", -11 * year, nil, []string{"ca.crt is not valid any more since ", clock + said(now), "set the clock"}},
		{"the authority is empty", 0, file("ca.crt", empty), []string{"/ca.crt is damaged"}},
		{"the authority is cut off", 0, file("ca.crt", half), []string{"/ca.crt is damaged"}},
		{"the authority's key is cut off", 0, file("ca.key", half), []string{"/ca.key is damaged"}},
		{"the authority's key is another one's", 0, other("ca.key"), []string{"/ca.key is damaged", "does not belong to"}},
		{"the authority is none", 0, func(t *testing.T, p *supervisor.Plan) {
			write(t, p, "ca.crt", contents(t, p)["apiserver.crt"])
		}, []string{"/ca.crt is damaged", "not a certificate authority"}},
		{"the front proxy's authority is cut off", 0, file("front-proxy-ca.crt", half), []string{"/front-proxy-ca.crt is damaged"}},
		{"the authority is another one", 0, both("ca"), []string{"is not signed by ca.crt"}},
		{"a certificate is not valid yet", 0, func(t *testing.T, p *supervisor.Plan) {
			sign(t, p, "apiserver", "ca", apiserver, now.Add(day), now.Add(year))
		}, nil},
		{"a certificate has ended", 0, func(t *testing.T, p *supervisor.Plan) {
			sign(t, p, "apiserver", "ca", apiserver, now.Add(-2*day), now.Add(-day))
		}, nil},
		{"a user's certificate is not valid yet", 0, func(t *testing.T, p *supervisor.Plan) {
			sign(t, p, "apiserver", "ca", "mine", now.Add(day), now.Add(year))
		}, []string{"apiserver.crt is not one that km made, and is not valid before " + said(now.Add(day)), clock + said(now)}},
		{"a user's certificate has ended", 0, func(t *testing.T, p *supervisor.Plan) {
			sign(t, p, "apiserver", "ca", "mine", now.Add(-2*day), now.Add(-day))
		}, []string{"apiserver.crt is not one that km made, and is not valid any more since " + said(now.Add(-day)), clock + said(now)}},
		{"a certificate is of another cluster", 0, both("apiserver"), []string{"/apiserver.crt is damaged", "not signed by ca.crt"}},
		{"a key is of another certificate", 0, other("apiserver.key"), []string{"/apiserver.crt is damaged", "key is another one's"}},
		{"a certificate is empty", 0, file("apiserver.crt", empty), []string{"/apiserver.crt is damaged"}},
		{"a certificate is cut off", 0, file("apiserver.crt", half), []string{"/apiserver.crt is damaged"}},
		{"a key is empty", 0, file("apiserver.key", empty), []string{"/apiserver.key is damaged"}},
		{"the kubeconfig's certificate is not valid yet", 0, func(t *testing.T, p *supervisor.Plan) {
			ahead := newCluster(t, p, now)
			ahead.pki.now = now.Add(2 * year)
			if err := os.RemoveAll(p.Path(kubeconfigDir)); err != nil {
				t.Fatal(err)
			}
			if err := ahead.EnsureKubeconfig(p, "admin"); err != nil {
				t.Fatal(err)
			}
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPlan(t)
			if err := start(p, now.Add(test.made)); err != nil {
				t.Fatal(err)
			}
			if test.spoil != nil {
				test.spoil(t, p)
			}
			err := start(p, now)
			if len(test.want) == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("it starts")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("want %q in %q", want, err)
				}
			}
			for tries := 0; err != nil; tries++ { // one file after the other
				if tries == 9 {
					t.Fatalf("it goes in a circle: %v", err)
				}
				follow(t, p, err)
				err = start(p, now)
			}
		})
	}
}

// Whoever keeps the authority's key elsewhere is not told to remove what km could not make again, and a certificate
// that ends soon is good until then.
func TestAuthorityKeyElsewhere(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	p := newPlan(t)
	if err := start(p, now); err != nil {
		t.Fatal(err)
	}
	caKey := contents(t, p)["ca.key"]
	without := func() {
		if err := os.Remove(p.Path("pki", "ca.key")); err != nil {
			t.Fatal(err)
		}
	}
	without()
	if err := start(p, now.Add(360*24*time.Hour)); err != nil {
		t.Errorf("five days before the end: %v", err)
	}
	says := func(err error, want ...string) {
		t.Helper()
		for _, part := range want {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("want %q in %v", part, err)
			}
		}
	}
	says(start(p, now.Add(366*24*time.Hour)), ".crt is not valid any more since ", "there is no "+p.Path("pki", "ca.key")+" to sign a new one")

	write(t, p, "ca.key", caKey)
	sign(t, p, "apiserver", "ca", "kube-apiserver", now.Add(time.Hour), now.Add(48*time.Hour))
	without()
	says(start(p, now), "apiserver.crt is not valid before ", "ca.key to sign a new one")
	write(t, p, "apiserver.crt", "")
	says(start(p, now), "apiserver.crt is damaged", "or put ca.key there")
	write(t, p, "ca.key", caKey) // as it says
	for _, name := range []string{"apiserver.crt", "apiserver.key"} {
		if err := os.Remove(p.Path("pki", name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := start(p, now); err != nil {
		t.Error(err)
	}
	without()
	if err := os.Remove(KubeconfigPath(p, "admin")); err != nil {
		t.Fatal(err)
	}
	says(start(p, now), "admin.conf is missing", filepath.Join("pki", "ca.key"), "kubernetes-admin")
}

// A file that may not be read is not damaged.
func TestUnreadableFile(t *testing.T) {
	err := damaged("/pki/ca.crt", &os.PathError{Op: "open", Path: "/pki/ca.crt", Err: fs.ErrPermission}, "remove it")
	if text := err.Error(); strings.Contains(text, "damaged") || strings.Contains(text, "remove") || !strings.Contains(text, "/pki/ca.crt cannot be read") {
		t.Error(text)
	}
}
