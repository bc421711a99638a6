package machine

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"

	"github.com/seed-200a7251/km/servers/cluster"
)

func TestJoinAddress(t *testing.T) {
	for text, want := range map[string]string{
		"192.168.1.10":               "192.168.1.10:6443",
		"192.168.1.10:7443":          "192.168.1.10:7443",
		"one.example.com":            "one.example.com:6443",
		"https://one.example.com":    "one.example.com:6443",
		"https://one.example.com:1/": "one.example.com:1",
		"[fd00::1]:7443":             "[fd00::1]:7443",
		"[fd00::1]":                  "[fd00::1]:6443",
		"fd00::1":                    "[fd00::1]:6443",
		"https://[fd00::1]/":         "[fd00::1]:6443",
		"":                           "",
		":6443":                      "",
		"https://":                   "",
		"http://one.example.com":     "",
		"one/two":                    "",
		"one two":                    "",
		"user@one":                   "",
		"one:port":                   "",
		"one?two":                    "",
	} {
		got, err := joinAddress(text)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
		if err != nil && !strings.Contains(err.Error(), "write HOST:PORT") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// apiserver is what may answer at an address. Each connection gets the next of the certificates, and the next of the
// answers, or the last one again.
type apiserver struct {
	certs    []tls.Certificate
	answers  [][]byte
	status   int
	location string
	skew     time.Duration

	conns, asked atomic.Int32
	secrets      atomic.Int32 // requests that came with one
}

func (s *apiserver) start(t *testing.T) (address string) {
	t.Helper()
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of refused handshakes
	server.TLS = &tls.Config{
		ClientAuth: tls.RequestClientCert,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			at := min(int(s.conns.Add(1)), len(s.certs)) - 1
			return &tls.Config{Certificates: s.certs[at : at+1], ClientAuth: tls.RequestClientCert}, nil
		},
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func (s *apiserver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := min(int(s.asked.Add(1)), len(s.answers)) - 1
	if r.Header.Get("Authorization") != "" || len(r.TLS.PeerCertificates) > 0 || len(r.Cookies()) > 0 || r.URL.RawQuery != "" || r.ContentLength > 0 {
		s.secrets.Add(1)
	}
	w.Header().Set("Date", time.Now().Add(s.skew).UTC().Format(http.TimeFormat))
	if s.location != "" {
		w.Header().Set("Location", s.location)
	}
	w.WriteHeader(s.status)
	_, _ = w.Write(s.answers[at])
}

// clusterInfo is the ConfigMap that names the authorities.
func clusterInfo(t *testing.T, all ...*authority) []byte {
	t.Helper()
	config := clientcmdapi.NewConfig()
	var ca []byte
	for _, a := range all {
		ca = append(ca, a.pem()...)
	}
	config.Clusters[""] = &clientcmdapi.Cluster{Server: "https://192.0.2.1:6443", CertificateAuthorityData: ca}
	text, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := json.Marshal(&corev1.ConfigMap{Data: map[string]string{bootstrapapi.KubeConfigKey: string(text)}})
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// A cluster is believed to be that of the token if what answers has a certificate of the authority of which the token
// has the hash. Nothing secret is sent before.
func TestDiscover(t *testing.T) {
	ca, evil := newAuthority(t), newAuthority(t)
	right, wrong := ca.serving("127.0.0.1"), evil.serving("127.0.0.1")
	info, mixed := clusterInfo(t, ca), clusterInfo(t, ca, evil)
	elsewhere := (&apiserver{certs: []tls.Certificate{wrong}, answers: [][]byte{info}, status: http.StatusOK}).start(t)
	for _, test := range []struct {
		name   string
		server *apiserver
		want   string // of the error
	}{
		{"right", &apiserver{certs: []tls.Certificate{right}, answers: [][]byte{info}}, ""},
		{"among others", &apiserver{certs: []tls.Certificate{right}, answers: [][]byte{clusterInfo(t, evil, ca)}}, ""},
		{"another cluster", &apiserver{certs: []tls.Certificate{wrong}, answers: [][]byte{clusterInfo(t, evil)}}, "the token is of another cluster"},
		{"in between", &apiserver{certs: []tls.Certificate{wrong}, answers: [][]byte{info}}, "certificate signed by unknown authority"},
		{"in between with both", &apiserver{certs: []tls.Certificate{wrong}, answers: [][]byte{mixed}}, "certificate signed by unknown authority"},
		{"in between, and passes the second one on", &apiserver{certs: []tls.Certificate{wrong, right}, answers: [][]byte{mixed, info}}, ""},
		{"another one's certificate", &apiserver{certs: []tls.Certificate{ca.serving("192.0.2.1")}, answers: [][]byte{info}}, "certificate is valid for 192.0.2.1"},
		{"leads elsewhere", &apiserver{certs: []tls.Certificate{right}, answers: [][]byte{info}, status: http.StatusTemporaryRedirect, location: "https://" + elsewhere},
			"no apiserver that machines can join (307"},
		{"not open", &apiserver{certs: []tls.Certificate{right}, answers: [][]byte{info}, status: http.StatusUnauthorized}, "not open to other machines"},
		{"not allowed", &apiserver{certs: []tls.Certificate{right}, answers: [][]byte{info}, status: http.StatusForbidden}, "not open to other machines"},
		{"not there", &apiserver{certs: []tls.Certificate{right}, answers: [][]byte{info}, status: http.StatusNotFound}, "not open to other machines"},
		{"broken", &apiserver{certs: []tls.Certificate{right}, answers: [][]byte{info}, status: http.StatusBadGateway}, "no apiserver that machines can join (502"},
		{"nonsense", &apiserver{certs: []tls.Certificate{right}, answers: [][]byte{[]byte("<html>")}}, "no apiserver that machines can join"},
		{"empty", &apiserver{certs: []tls.Certificate{right}, answers: [][]byte{[]byte("{}")}}, "no apiserver that machines can join"},
		{"no kubeconfig", &apiserver{certs: []tls.Certificate{right}, answers: [][]byte{[]byte(`{"data":{"kubeconfig":"a: ["}}`)}}, "cannot be read"},
		{"clock ahead", &apiserver{certs: []tls.Certificate{right}, answers: [][]byte{info}, skew: -10 * time.Minute}, "ahead of that of the cluster: set it"},
		{"clock behind", &apiserver{certs: []tls.Certificate{right}, answers: [][]byte{info}, skew: 10 * time.Minute}, "behind that of the cluster: set it"},
		{"clock a little off", &apiserver{certs: []tls.Certificate{right}, answers: [][]byte{info}, skew: 3 * time.Minute}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.server.status == 0 {
				test.server.status = http.StatusOK
			}
			address := test.server.start(t)
			o, err := discover(t.Context(), address, hashOf(ca.cert))
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want == "" && (string(o.ca) != string(ca.pem()) || o.address != address):
				t.Errorf("it is believed: %s at %s", o.ca, o.address)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "--join="+address)):
				t.Errorf("%v, want %q", err, test.want)
			}
			if strings.HasPrefix(test.name, "clock ") && err != nil && !strings.Contains(err.Error(), "the clock of this machine is 10m") && !strings.Contains(err.Error(), "is 9m59s") {
				t.Errorf("of the clock is said: %v", err)
			}
			if n := test.server.secrets.Load(); n > 0 {
				t.Errorf("%d requests came with something that is nobody's business", n)
			}
		})
	}
}

// What is at the address may be something else, or nothing.
func TestDiscoverNoAPIServer(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	plain.Config.ErrorLog = log.New(io.Discard, "", 0)
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		plain.Listener.Addr().String(): "does not speak TLS",
		gone.Addr().String():           "nothing answers there",
	} {
		if _, err := discover(t.Context(), address, strings.Repeat("0", 64)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0)) // nobody has answered in time
	defer cancel()
	if _, err := discover(ctx, "192.0.2.1:6443", ""); err == nil || !strings.Contains(err.Error(), "nothing answers there") {
		t.Error(err)
	}
}

// The token is sent to nobody whose certificate is not of the authority.
func TestTokenIsForTheClusterAlone(t *testing.T) {
	ca, evil := newAuthority(t), newAuthority(t)
	for _, test := range []struct {
		cert tls.Certificate
		sent bool
	}{{ca.serving("127.0.0.1"), true}, {evil.serving("127.0.0.1"), false}} {
		s := &apiserver{certs: []tls.Certificate{test.cert}, answers: [][]byte{[]byte(`{"gitVersion":"v1.0.0"}`)}, status: http.StatusOK}
		o := &other{address: s.start(t), ca: ca.pem()}
		client, err := o.client(func(c *rest.Config) { c.BearerToken = "abcdef.0123456789abcdef" })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Discovery().ServerVersion(); (err == nil) != test.sent {
			t.Errorf("%v, want an answer: %v", err, test.sent)
		}
		if sent := s.secrets.Load() > 0; sent != test.sent {
			t.Errorf("it was sent: %v, want %v", sent, test.sent)
		}
	}
}

func TestSkewed(t *testing.T) {
	roles := []string{cluster.RoleNode, cluster.ControlPlane}
	for _, test := range []struct {
		mine, theirs string
		may          []string
	}{
		{"v1.37.2", "v1.37.0", roles},
		{"v1.37.0", "v1.37.2", roles},
		{"v1.36.0", "v1.37.0", roles},
		{"v1.35.0", "v1.37.0", roles[:1]},
		{"v1.34.0", "v1.37.0", roles[:1]},
		{"v1.33.9", "v1.37.0", nil},
		{"v1.38.0", "v1.37.9", roles[1:]},
		{"v1.39.0", "v1.37.0", nil},
		{"v2.37.0", "v1.37.0", nil},
		{"v1.37.2", "v1.36.1+k3s1", roles[1:]},
		{"v0.0.0-master+$Format:%H$", "v1.30.0", roles},
		{"v1.37.2", "v0.0.0", roles},
		{"(devel)", "v1.30.0", roles},
	} {
		for _, role := range roles {
			err := skewed(test.mine, test.theirs, role)
			if (err == nil) != slices.Contains(test.may, role) {
				t.Errorf("a %s of %s with %s: %v", role, test.mine, test.theirs, err)
			}
			if err != nil && (!strings.Contains(err.Error(), test.mine) || !strings.Contains(err.Error(), test.theirs)) {
				t.Errorf("a %s: %v", role, err)
			}
		}
	}
}
