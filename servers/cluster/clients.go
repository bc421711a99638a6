package cluster

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"

	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// ClientDefaults are the defaults of a server that is a client of the apiserver and serves beside it (Identity.Serves).
// Against an apiserver elsewhere only the address is set: that control plane has its own ways, leader election among
// them.
func ClientDefaults(p *supervisor.Plan, s *supervisor.Server) error {
	if err := s.Default("bind-address", "127.0.0.1"); err != nil {
		return err
	}
	if err := component.DefaultCipherSuites(s, "tls-cipher-suites", "tls-min-version"); err != nil || !p.Selected(names.APIServer) {
		return err
	}
	kubeconfig := KubeconfigPath(p, s.Name())
	pairs := []string{
		"kubeconfig", kubeconfig,
		"authentication-kubeconfig", kubeconfig,
		"authorization-kubeconfig", kubeconfig,
		"client-ca-file", PKIPath(p, "ca.crt"),
		"requestheader-client-ca-file", PKIPath(p, "front-proxy-ca.crt"),
	}
	if !IsAdvertised(p) {
		// It is alone; and when its context ends, upstream's leader election ends the process.
		pairs = append(pairs, "leader-elect", "false")
	}
	if Signs(p) && !s.Given("cert-dir") && !s.Given("tls-cert-file") && !s.Given("tls-private-key-file") {
		// Without them upstream makes an RSA key at each start, for some hundred milliseconds of CPU time.
		pairs = append(pairs, "tls-cert-file", PKIPath(p, s.Name()+".crt"), "tls-private-key-file", PKIPath(p, s.Name()+".key"))
	}
	return s.Default(pairs...)
}

// Signs reports whether the cluster's authority can sign something. Its key may be kept elsewhere, with only the
// certificate here.
func Signs(p *supervisor.Plan) bool {
	_, certErr := os.Stat(PKIPath(p, "ca.crt"))
	_, keyErr := os.Stat(PKIPath(p, "ca.key"))
	return certErr != nil || !errors.Is(keyErr, fs.ErrNotExist)
}

// PrepareClient makes the kubeconfig of a server that is a client of the apiserver, if that is run beside it or this
// machine joins a cluster, and the certificate with which it serves, if it has none of its own. It is the Prepare of a
// supervisor.Server.
func (c *Cluster) PrepareClient(ctx context.Context, p *supervisor.Plan, s *supervisor.Server) error {
	if IsJoined(p) {
		return c.Open(ctx, p) // which makes all of them
	}
	if !p.Selected(names.APIServer) {
		return nil
	}
	name := s.Name()
	id, err := c.identity(name)
	if err != nil {
		return err
	}
	if err := c.ensureKubeconfig(p, name, id); err != nil {
		return err
	}
	if !id.Serves || s.Value("tls-cert-file") != PKIPath(p, name+".crt") {
		return nil
	}
	var at []string
	if ip := net.ParseIP(s.Value("bind-address")); ip != nil && !ip.IsUnspecified() {
		at = append(at, ip.String())
	}
	return c.pki.ensureServing(name, c.pki.servingConfig("km:"+name, at...))
}
