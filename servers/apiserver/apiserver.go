// Package apiserver is the kube-apiserver.
package apiserver

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"k8s.io/apiserver/pkg/server/flagz"
	"k8s.io/client-go/kubernetes"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"
	"k8s.io/kubernetes/pkg/serviceaccount"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// upstream is the name of the component's own binary.
const upstream = "kube-apiserver"

// New returns the server. It makes the cluster's keys. Called by its own name, it can have others of km beside itself.
func New(c *cluster.Cluster, km *supervisor.HyperKube) *supervisor.Server {
	a := &apiserver{cluster: c, km: km, started: supervisor.NewHandoff[chan struct{}](), making: make(chan struct{}, 1)}
	return &supervisor.Server{
		SimpleUsage: names.APIServer,
		Aliases:     []string{upstream},
		Long: "The Kubernetes API server: validates and stores the objects of the cluster, and serves them to everybody else. " +
			"In `km run` it listens on loopback, and its keys are made when it starts for the first time.",
		AddFlags:      addFlags,
		ProcessFlags:  component.ProcessFlags,
		VerbosityFlag: "v",
		VModuleFlag:   "vmodule",
		LevelWarning:  component.LevelWarning,
		FlagValues:    component.FlagValues(values),
		// Much of k8s.io/apiserver serves the other components, too.
		Packages: []string{
			"k8s.io/apiserver/pkg/admission", "k8s.io/apiserver/pkg/audit", "k8s.io/apiserver/pkg/endpoints",
			"k8s.io/apiserver/pkg/registry", "k8s.io/apiserver/pkg/storage", "k8s.io/apiserver/pkg/util/flowcontrol",
			"k8s.io/apiextensions-apiserver", "k8s.io/kube-aggregator", "k8s.io/kubernetes/cmd/kube-apiserver",
			"k8s.io/kubernetes/pkg/controlplane", "k8s.io/kubernetes/pkg/kubeapiserver", "k8s.io/kubernetes/pkg/registry",
			"k8s.io/kubernetes/plugin/pkg/admission", "k8s.io/kubernetes/plugin/pkg/auth",
		},
		Needs:    []supervisor.Need{{Server: names.Etcd, Unless: []string{"etcd-servers"}}},
		Defaults: defaults,
		State:    slices.Concat(cluster.State(), cluster.Written("authentication.json"), cluster.Written(clientCAs), hardenedState()),
		Check:    check,
		Diagnose: diagnose,
		Ports:    cluster.Ports,
		Prepare:  a.prepare,
		Build:    a.build,
		Run:      a.run,
		Ready:    a.ready,
		Address:  cluster.HTTPS,
		// Requests in flight may take that long, upstream's default for --shutdown-delay-duration and the drain
		// together.
		GracePeriod: 20 * time.Second,
		Main:        a.main,
	}
}

func addFlags(s *supervisor.Server) {
	component.AddFlags(s, options.NewServerRunOptions().Flags())
	component.AddHardened(s)
}

// values are those of flags whose usage has no list of them.
var values = map[string][]string{
	"endpoint-reconciler-type":        {"lease", "none", "master-count\tdeprecated"},
	"kubelet-preferred-address-types": {"Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"},
}

type apiserver struct {
	cluster *cluster.Cluster
	km      *supervisor.HyperKube
	plan    *supervisor.Plan
	started supervisor.Handoff[chan struct{}] // closed when this start can be used
	next    *chain                            // made by build, for run
	making  chan struct{}                     // has something as long as there is a chain

	companions *companions // nil if it was not called with others
}

// serviceRange is where the addresses of Services come from.
const serviceRange = "10.96.0.0/12"

// defaults are those of a cluster on one machine that is not open to the world. Upstream's are for a component whose
// installer, kubeadm for one, sets all of this.
func defaults(p *supervisor.Plan, s *supervisor.Server) error {
	pki := func(file string) string { return cluster.PKIPath(p, file) }
	if etcd := p.Server(names.Etcd); etcd != nil && !s.Given("etcd-servers") {
		urls := component.Endpoints(component.Sockets(etcd.Value("listen-client-urls")))
		if etcd.Given("config-file") {
			return errors.New("--etcd.config-file says where etcd listens: tell the apiserver with --apiserver.etcd-servers")
		}
		if err := s.Default("etcd-servers", urls); err != nil {
			return err
		}
	}
	address := "127.0.0.1"
	if ip := cluster.NodeIP(p); ip != nil && cluster.HasRealNode(p) {
		address = ip.String() // pods have to reach it
	}
	if ip := cluster.Advertised(p); ip != nil {
		address = ip.String()
	}
	pairs := []string{
		"bind-address", address,
		// Without it upstream looks for an address on the default route, and there may be no network at all.
		"advertise-address", address,
		"service-cluster-ip-range", serviceRange,

		"tls-cert-file", pki("apiserver.crt"),
		"tls-private-key-file", pki("apiserver.key"),
		"client-ca-file", pki("ca.crt"),
		"kubelet-client-certificate", pki("apiserver-kubelet-client.crt"),
		"kubelet-client-key", pki("apiserver-kubelet-client.key"),
		"kubelet-certificate-authority", pki("ca.crt"),
		// Nodes on this machine have names that no DNS server knows.
		"kubelet-preferred-address-types", "InternalIP,Hostname",
		"proxy-client-cert-file", pki("front-proxy-client.crt"),
		"proxy-client-key-file", pki("front-proxy-client.key"),
		"requestheader-client-ca-file", pki("front-proxy-ca.crt"),
		"requestheader-allowed-names", "front-proxy-client",
		"requestheader-username-headers", "X-Remote-User",
		"requestheader-group-headers", "X-Remote-Group",
		"requestheader-extra-headers-prefix", "X-Remote-Extra-",
		"service-account-issuer", "https://kubernetes.default.svc." + cluster.Domain,
		"enable-admission-plugins", "NodeRestriction",
		// capabilities are set once for the process, and CNI and storage drivers are privileged.
		"allow-privileged", "true",
	}
	pairs = append(pairs, stopDefaults...)
	if cluster.IsAdvertised(p) {
		pairs = append(pairs, "enable-bootstrap-token-auth", "true")
	}
	// Upstream refuses some flags beside others: a default must not be in the way of what the user gives.
	if !s.Given("service-account-signing-endpoint") {
		pairs = append(pairs, "service-account-key-file", pki("sa.pub"), "service-account-signing-key-file", pki("sa.key"))
	}
	if !s.Given("authorization-config") {
		pairs = append(pairs, "authorization-mode", "Node,RBAC") // upstream's is AlwaysAllow
	}
	switch {
	case !anonymousGiven(s):
		pairs = append(pairs, "authentication-config", p.Path("authentication.json"))
	case s.Given("oidc-issuer-url"):
		pairs = append(pairs, "anonymous-auth", "false")
	}
	if err := s.Default(pairs...); err != nil {
		return err
	}
	if err := component.DefaultCipherSuites(s, "tls-cipher-suites", "tls-min-version"); err != nil {
		return err
	}
	if err := harden(p, s); err != nil {
		return err
	}
	// The address that the certificate and other servers need is the one to listen on, if the user names one.
	if s.Given("bind-address") && !s.Given("advertise-address") {
		if ip := net.ParseIP(s.Value("bind-address")); ip != nil && !ip.IsUnspecified() {
			if err := s.Default("advertise-address", ip.String()); err != nil {
				return err
			}
		}
	}
	// The Service "kubernetes" cannot have an endpoint on loopback: the API forbids it.
	if ip := net.ParseIP(s.Value("advertise-address")); ip != nil && ip.IsLoopback() {
		return s.Default("endpoint-reconciler-type", "none")
	}
	return nil
}

// stopDefaults are flags without which a stop waits for each open watch, up to the request timeout of a minute.
var stopDefaults = []string{"shutdown-send-retry-after", "true", "shutdown-watch-termination-grace-period", "1s"}

// anonymousFlags are those by which users decide about anonymous requests and tokens of others.
var anonymousFlags = []string{"authentication-config", "anonymous-auth", "oidc-issuer-url"}

func anonymousGiven(s *supervisor.Server) bool { return slices.ContainsFunc(anonymousFlags, s.Given) }

// healthPaths are asked by probes without credentials.
var healthPaths = []string{"/livez", "/readyz", "/healthz"}

// discoveryPath is asked by machines that are to join, before they know whom to trust.
const discoveryPath = "/api/v1/namespaces/" + metav1.NamespacePublic + "/configmaps/" + bootstrapapi.ConfigMapClusterInfo

// authentication is a configuration that refuses anonymous requests, except for these paths.
func authentication(paths []string) ([]byte, error) {
	anonymous := &apiserverv1.AnonymousAuthConfig{Enabled: true}
	for _, path := range paths {
		anonymous.Conditions = append(anonymous.Conditions, apiserverv1.AnonymousAuthCondition{Path: path})
	}
	return json.MarshalIndent(&apiserverv1.AuthenticationConfiguration{
		TypeMeta:  metav1.TypeMeta{APIVersion: apiserverv1.SchemeGroupVersion.String(), Kind: "AuthenticationConfiguration"},
		Anonymous: anonymous,
	}, "", "  ")
}

// newOptions returns options for one start.
func newOptions(s *supervisor.Server) (*options.ServerRunOptions, error) {
	o := options.NewServerRunOptions()
	flags := o.Flags()
	o.Flagz = flagz.NamedFlagSetsReader{FlagSets: flags}
	return o, component.ReplayTo(flags, s)
}

func check(ctx context.Context, p *supervisor.Plan, s *supervisor.Server) error {
	o, err := newOptions(s)
	if err != nil {
		return err
	}
	if !s.Given("service-account-signing-key-file") && !s.Given("service-account-signing-endpoint") {
		// The key may not have been made yet: a throw-away stands for it.
		o.ServiceAccountSigningKeyFile = ""
		if o.ServiceAccountIssuer, err = throwAwayIssuer(); err != nil {
			return err
		}
	}
	if !s.Given("tls-cert-file") && s.Given("cert-dir") {
		return errors.New("--apiserver.cert-dir has no effect here: km makes the certificate; use --apiserver.tls-cert-file for another one")
	}
	if s.Given("tls-cert-file") != s.Given("tls-private-key-file") {
		return errors.New("--apiserver.tls-cert-file and --apiserver.tls-private-key-file belong together: give both, or neither")
	}
	if err := component.RefuseLogFlags(s, component.LogFlags...); err != nil {
		return err
	}
	if err := checkStores(s, o.Etcd); err != nil {
		return err
	}
	completed, err := o.Complete(ctx)
	if err != nil {
		return invalid(s, err)
	}
	if errs := completed.Validate(); len(errs) > 0 {
		return invalid(s, utilerrors.NewAggregate(errs))
	}
	return nil
}

func invalid(s *supervisor.Server, err error) error {
	return fmt.Errorf("apiserver: %w; see `%s`", err, s.Command("help", names.APIServer))
}

func throwAwayIssuer() (serviceaccount.TokenGenerator, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return serviceaccount.JWTTokenGenerator("https://check.invalid", key)
}

func (a *apiserver) prepare(ctx context.Context, p *supervisor.Plan, s *supervisor.Server) error {
	a.plan = p
	if err := a.cluster.EnsureKeys(ctx, p, s); err != nil {
		return err
	}
	if err := prepareHardened(p, s); err != nil {
		return err
	}
	if anonymousGiven(s) {
		return nil
	}
	paths := healthPaths
	if cluster.IsAdvertised(p) {
		paths = append(slices.Clone(paths), discoveryPath)
	}
	text, err := authentication(paths)
	if err != nil {
		return err
	}
	return cluster.Write(p.Path("authentication.json"), text)
}

// readyPoll is how often it is asked whether the server is ready. The answer costs the server less than a millisecond.
const readyPoll = 25 * time.Millisecond

// waitUsable waits for /readyz and for the namespace "default", which a controller inside the server creates a moment
// later.
func waitUsable(ctx context.Context, log *slog.Logger, client kubernetes.Interface) error {
	late := time.Now().Add(startTime)
	return wait.PollUntilContextCancel(ctx, readyPoll, true, func(ctx context.Context) (bool, error) {
		text, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Raw()
		if err == nil {
			_, err = client.CoreV1().Namespaces().Get(ctx, metav1.NamespaceDefault, metav1.GetOptions{})
		}
		if err != nil && time.Now().After(late) {
			late = late.Add(time.Minute)
			log.Warn("still not ready", "error", err, "checks that fail", failing(string(text)))
		}
		return err == nil, nil
	})
}

// failing are the lines of /readyz that are not ok.
func failing(text string) []string {
	var found []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "[-]") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func (a *apiserver) ready(ctx context.Context, _ *supervisor.Server) error {
	usable, err := a.started.Get(ctx)
	if err != nil {
		return err
	}
	select {
	case <-usable:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
