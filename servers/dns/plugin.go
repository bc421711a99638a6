package dns

import (
	"context"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/plugin/kubernetes"
)

// CoreDNS's plugins are registered, and chosen, once for the process.
func init() {
	// Its plugin kubernetes under another name: under its own, it makes itself the destination of klog's lines, which
	// are those of all servers.
	plugin.Register("cluster", setup)
	// What the Corefile may name, in the order of CoreDNS's plugin.cfg; "cluster" would be refused otherwise.
	if err := dnsserver.SetDirectives([]string{"bind", "errors", "loadbalance", "cache", "cluster", "forward"}); err != nil {
		panic(err)
	}
	// Otherwise the version, and what is served, is printed to standard output.
	caddy.Quiet, dnsserver.Quiet = true, true
}

// setup is that of the plugin kubernetes (plugin/kubernetes/setup.go), without that.
func setup(c *caddy.Controller) error {
	c.Next()
	k, err := kubernetes.ParseStanza(c)
	if err != nil {
		return plugin.Error("cluster", err)
	}
	start, stop, err := k.InitKubeCache(context.Background())
	if err != nil {
		return plugin.Error("cluster", err)
	}
	c.OnStartup(start)
	c.OnShutdown(stop)
	dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler {
		k.Next = next
		return k
	})
	return nil
}
