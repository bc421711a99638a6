package apiserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/seed-200a7251/km/servers/process"
	"github.com/seed-200a7251/km/supervisor"
)

// What a caller says is said of the run's apiserver; what it leaves to upstream's defaults and relies on, too.
func TestAccompany(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"apiserver.crt", "apiserver.key"} { // there are some
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	none := filepath.Join(t.TempDir(), "none") // one is made
	const run = "--ephemeral --free-ports --verbose"
	for name, test := range map[string]struct {
		with, args string
		want       string
		clientCA   string
		wrong      string
	}{
		"nothing": {with: "scheduler",
			want: "apiserver,scheduler " + run + " --apiserver.authorization-mode=AlwaysAllow --apiserver.anonymous-auth=true"},
		"envtest's": {with: "controller-manager,executor --executor.nodes=3",
			args: "--authorization-mode=RBAC --cert-dir=" + dir + " --client-ca-file=/ca --secure-port 1 --service-account-signing-key-file=/key --v=2",
			want: "apiserver,controller-manager,executor " + run + " --apiserver.authorization-mode=RBAC --apiserver.secure-port=1 " +
				"--apiserver.service-account-signing-key-file=/key --apiserver.v=2 --apiserver.anonymous-auth=true " +
				"--apiserver.tls-cert-file=" + dir + "/apiserver.crt --apiserver.tls-private-key-file=" + dir + "/apiserver.key " +
				"--controller-manager.root-ca-file=" + dir + "/apiserver.crt --controller-manager.service-account-private-key-file=/key " +
				"--executor.nodes=3",
			clientCA: "/ca"},
		"no certificate, by an alias": {with: "kube-controller-manager", args: "--cert-dir=" + none + " --anonymous-auth=false --authorization-config=/f",
			want: "apiserver,kube-controller-manager " + run + " --apiserver.anonymous-auth=false --apiserver.authorization-config=/f " +
				"--apiserver.tls-cert-file=" + none + "/apiserver.crt --apiserver.tls-private-key-file=" + none + "/apiserver.key " +
				"--controller-manager.root-ca-file=" + none + "/apiserver.crt"},
		"its own certificate": {with: "scheduler", args: "--tls-cert-file=/c --cert-dir=" + dir + " --oidc-issuer-url=https://x --authorization-mode=Node",
			want: "apiserver,scheduler " + run + " --apiserver.tls-cert-file=/c --apiserver.oidc-issuer-url=https://x --apiserver.authorization-mode=Node"},
		"several times": {with: "scheduler", args: "--authorization-mode=Node --authorization-mode=RBAC --anonymous-auth=true",
			want: "apiserver,scheduler " + run + " --apiserver.authorization-mode=Node --apiserver.authorization-mode=RBAC --apiserver.anonymous-auth=true"},
		"no such flag": {with: "scheduler", args: "--no-such-flag", wrong: "unknown flag: --no-such-flag"},
		"an argument":  {with: "scheduler", args: "--v=1 more", wrong: `does not take any arguments, got ["more"]`},
	} {
		t.Run(name, func(t *testing.T) {
			process.BeforeFlags()
			s := &supervisor.Server{}
			addFlags(s)
			a := &apiserver{}
			got, err := a.accompany(s.Flags(), strings.Fields(test.with), strings.Fields(test.args))
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("the error is %v", err)
				}
				return
			}
			if err != nil || !slices.Equal(got, strings.Fields(test.want)) {
				t.Errorf("%q, %v, want\n%q", got, err, strings.Fields(test.want))
			}
			if _, err := tls.LoadX509KeyPair(filepath.Join(none, "apiserver.crt"), filepath.Join(none, "apiserver.key")); err != nil && strings.Contains(test.want, none) {
				t.Error(err)
			}
			if a.companions.clientCA != test.clientCA {
				t.Errorf("the clients' authority is %q", a.companions.clientCA)
			}
		})
	}
}

// Until the companions are ready, who asks for health is told so; they themselves, the server and all other requests
// are answered.
func TestCompanionsHealth(t *testing.T) {
	c := &companions{names: "scheduler", ready: make(chan struct{})}
	handler := c.wrap(func(http.Handler, *genericapiserver.Config) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	}, "secret")(nil, nil)
	shown := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
	ask := func(path, token string, state *tls.ConnectionState) int {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.TLS = state
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	for _, test := range []struct {
		path, token string
		state       *tls.ConnectionState
		want        int
	}{
		{"/healthz", "", &tls.ConnectionState{}, 500},
		{"/readyz", "", nil, 500},
		{"/readyz/etcd", "", nil, 500},
		{"/healthz", "other", nil, 500},
		{"/healthz", "", shown, 200},
		{"/readyz", "secret", nil, 200},
		{"/livez", "", nil, 200},
		{"/healthzz", "", nil, 200},
		{"/api", "", nil, 200},
	} {
		if got := ask(test.path, test.token, test.state); got != test.want {
			t.Errorf("%s with %q and %v: %d, want %d", test.path, test.token, test.state, got, test.want)
		}
	}
	close(c.ready)
	if got := ask("/healthz", "", nil); got != 200 {
		t.Errorf("when they are ready: %d", got)
	}
}

// The flag of --make-symlinks says it for good, in a file beside the links, and the variable for one call.
func TestCalledWith(t *testing.T) {
	dir := t.TempDir()
	link, km := filepath.Join(dir, upstream), filepath.Join(dir, "km")
	for _, file := range []string{link, km} {
		if err := os.WriteFile(file, nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	links := func(args ...string) (string, error) {
		hk := &supervisor.HyperKube{Name: "km"}
		var out strings.Builder
		hk.SetOut(&out)
		AddCompanionsFlag(hk)
		hk.AddServer(&supervisor.Server{SimpleUsage: "scheduler", Run: func(context.Context, *supervisor.Server, []string) error { return nil }})
		err := hk.Run(append([]string{"km"}, args...))
		return out.String(), err
	}
	folder := filepath.Join(dir, "links")
	in := filepath.Join(folder, upstream)
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(link, in); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_STATE_HOME", dir)
	a := &apiserver{km: &supervisor.HyperKube{Name: "km"}}
	check := func(what, arg0 string, want ...string) {
		t.Helper()
		if got, err := a.calledWith(arg0); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v", what, got, err)
		}
	}
	check("without a file", in)
	if out, err := links("--make-symlinks", "--dir", folder, "--with=scheduler,scheduler"); err != nil || !strings.Contains(out, companionsFile) {
		t.Errorf("%v\n%s", err, out)
	}
	check("with a file", in, "scheduler,scheduler")
	t.Setenv("PATH", folder)
	check("from the PATH", upstream, "scheduler,scheduler")
	check("by its own name", km)
	t.Setenv(CompanionsVariable, "executor --executor.nodes=2")
	check("by the variable", in, "executor", "--executor.nodes=2")
	t.Setenv(CompanionsVariable, "")
	check("by an empty variable", in)
	if err := os.Unsetenv(CompanionsVariable); err != nil {
		t.Fatal(err)
	}
	if out, err := links("--make-symlinks", "--dir", folder, "--with=schedule"); err == nil || !strings.Contains(out, "--with: server not found: schedule") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := links("--with=scheduler", "run"); err == nil || !strings.Contains(out, "--with is for --make-symlinks") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := links("--make-symlinks", "--dir", folder); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	check("links that were made anew without", in)
	if err := os.Mkdir(filepath.Join(folder, companionsFile), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := a.calledWith(in); err == nil {
		t.Error("a folder in place of the file is not told of")
	}
}

// What asks upstream's command about itself is answered by it.
func TestAsksAboutItself(t *testing.T) {
	for args, want := range map[string]bool{"": false, "--help": true, "--v=1 -h": true, "--version=raw": true, "--versions": false} {
		if got := asksAboutItself(strings.Fields(args)); got != want {
			t.Errorf("%q: %v", args, got)
		}
	}
}
