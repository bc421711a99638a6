// Package dns is the DNS server of the cluster: CoreDNS, by which pods find Services by name.
package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/coredns/caddy"
	"github.com/spf13/pflag"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	// What the Corefile names.
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/loadbalance"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// identity may do what CoreDNS's own role allows (cmd/kubeadm/app/phases/addons/dns), and make the server's Service, in
// the one namespace where that is.
var identity = cluster.Identity{
	Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"services", "namespaces"}, Verbs: []string{"get", "list", "watch"}},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"list", "watch"}},
	},
	Namespaced: []cluster.NamespacedRules{{Namespace: metav1.NamespaceSystem, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"services"}, Verbs: []string{"create"}},
		{APIGroups: []string{"discovery.k8s.io"}, Resources: []string{"endpointslices"}, Verbs: []string{"create", "update"}},
	}}},
}

// New returns the server.
func New(c *cluster.Cluster) *supervisor.Server {
	d := &server{cluster: c, started: supervisor.NewHandoff[struct{}]()}
	return &supervisor.Server{
		SimpleUsage: names.DNS,
		Long: "The cluster's DNS server, CoreDNS: pods find Services by their names in " + cluster.Domain + ". It joins where the " +
			"executor runs real containers, and is the Service kube-system/kube-dns there. Names elsewhere are looked up as this " +
			"machine looks them up.",
		AddFlags: addFlags,
		State:    c.Identify(names.DNS, identity),
		Packages: []string{"github.com/coredns", "github.com/miekg/dns"},
		Needs:    []supervisor.Need{{Server: names.APIServer, Unless: []string{"kubeconfig"}}},
		Defaults: defaults,
		Check:    d.check,
		// CoreDNS opens it itself.
		Ports:   []supervisor.Port{{HostFlag: "bind-address", PortFlag: "port", ZeroIsNone: true}},
		Prepare: d.prepare,
		Run:     d.run,
		Ready:   d.ready,
		Address: func(s *supervisor.Server) string { return "dns://" + d.address(s) },
	}
}

type server struct {
	cluster   *cluster.Cluster
	started   supervisor.Handoff[struct{}]
	clusterIP string // of the Service; empty if there is none
	endpoint  endpoint
}

func addFlags(s *supervisor.Server) {
	fs := pflag.NewFlagSet(names.DNS, pflag.ContinueOnError)
	fs.String("bind-address", "127.0.0.1", "address to answer on (default: that of the node, with a real one)")
	fs.Int("port", 10053, "port to answer on, with UDP and TCP")
	fs.String("kubeconfig", "", "kubeconfig of a cluster elsewhere")
	s.AddFlagGroup("DNS", fs)
}

func defaults(p *supervisor.Plan, s *supervisor.Server) error {
	var pairs []string
	if ip := cluster.NodeIP(p); ip != nil && cluster.HasRealNode(p) {
		pairs = append(pairs, "bind-address", ip.String())
	}
	if p.Selected(names.APIServer) {
		pairs = append(pairs, "kubeconfig", cluster.PlainKubeconfigPath(p, names.DNS))
	}
	return s.Default(pairs...)
}

func (d *server) check(_ context.Context, p *supervisor.Plan, s *supervisor.Server) error {
	if s.Value("kubeconfig") == "" {
		return errors.New("dns: there is no apiserver in the list: name the cluster with --dns.kubeconfig")
	}
	if net.ParseIP(s.Value("bind-address")) == nil {
		return fmt.Errorf("dns: --dns.bind-address=%s is not an IP address", s.Value("bind-address"))
	}
	if file := s.Value("kubeconfig"); strings.ContainsAny(file, "\"\\\n") || strings.Contains(file, "{$") || strings.Contains(file, "{%") {
		return fmt.Errorf("dns: --dns.kubeconfig=%s: a path in CoreDNS' configuration cannot have a quotation mark, a backslash, a line break, {$ or {%% in it: name "+
			"another one, such as that of a link", file)
	}
	if err := cluster.CheckKubeconfig(s); err != nil {
		return err
	}
	_, err := serviceIP(p, s)
	return err
}

// serviceIP is the address of the Service; empty if there is none.
func serviceIP(p *supervisor.Plan, s *supervisor.Server) (string, error) {
	apiserver, ip := p.Server(names.APIServer), net.ParseIP(s.Value("bind-address"))
	if apiserver == nil || ip.IsLoopback() || ip.IsUnspecified() {
		return "", nil // the API takes no such address as that of a Service's endpoint
	}
	return cluster.DNSIP(apiserver)
}

func (d *server) prepare(ctx context.Context, p *supervisor.Plan, s *supervisor.Server) (err error) {
	if d.clusterIP, err = serviceIP(p, s); err != nil {
		return err
	}
	d.endpoint = endpoint{address: s.Value("bind-address")}
	if m := p.Server(names.Machine); m != nil {
		if d.endpoint.machine, err = cluster.MachineName(p); err != nil {
			return err
		}
		d.endpoint.joined = m.Value(component.JoinFlag) != ""
	}
	return d.cluster.PrepareClient(ctx, p, s)
}

func (d *server) address(s *supervisor.Server) string {
	return net.JoinHostPort(s.Value("bind-address"), s.Value("port"))
}

// corefile is kubeadm's (cmd/kubeadm/app/phases/addons/dns/manifests.go), without what a pod needs to be looked after.
func corefile(s *supervisor.Server) []byte {
	forward := ""
	if hasNameserver("/etc/resolv.conf") {
		forward = "forward . /etc/resolv.conf {\n        max_concurrent 1000\n    }\n    "
	}
	return fmt.Appendf(nil, `.:%s {
    bind %s
    errors
    cluster %s in-addr.arpa ip6.arpa {
        kubeconfig "%s"
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    %scache 30 {
        disable success %[3]s
        disable denial %[3]s
    }
    loadbalance
}
`, s.Value("port"), s.Value("bind-address"), cluster.Domain, s.Value("kubeconfig"), forward)
}

// hasNameserver reports whether a file like resolv.conf names one.
func hasNameserver(file string) bool {
	text, err := os.ReadFile(file)
	if err != nil {
		return false // a machine that asks nobody
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "nameserver" {
			return true
		}
	}
	return false
}

func (d *server) run(ctx context.Context, s *supervisor.Server, _ []string) (err error) {
	s.CloseSockets() // CoreDNS opens the port itself
	instance, err := caddy.Start(caddy.CaddyfileInput{Filepath: "Corefile", Contents: corefile(s), ServerTypeName: "dns"})
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, errors.Join(instance.ShutdownCallbacks()...), instance.Stop())
		instance.Wait()
	}()
	if d.clusterIP != "" {
		port, err := strconv.Atoi(s.Value("port"))
		if err != nil {
			return err
		}
		d.endpoint.port = int32(port)
		client, err := cluster.Client(s.Value("kubeconfig"))
		if err != nil {
			return err
		}
		if err := d.cluster.Insist(ctx, s, func(ctx context.Context) error {
			return publish(ctx, client, d.clusterIP, d.endpoint)
		}); err != nil {
			return err
		}
	}
	defer d.started.Put(struct{}{})()
	<-ctx.Done()
	return nil
}

// ready waits until it knows the one Service that is in every cluster.
func (d *server) ready(ctx context.Context, s *supervisor.Server) error {
	if _, err := d.started.Get(ctx); err != nil {
		return err
	}
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, d.address(s))
	}}
	return wait.PollUntilContextCancel(ctx, 25*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		_, err := resolver.LookupHost(ctx, "kubernetes.default.svc."+cluster.Domain+".")
		return err == nil, nil // it is still looking around
	})
}
