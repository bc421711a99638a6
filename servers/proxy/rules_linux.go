package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	nodeutil "k8s.io/component-helpers/node/util"
	utilsysctl "k8s.io/component-helpers/node/util/sysctl"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/cmd/kube-proxy/app"
	upstreamproxy "k8s.io/kubernetes/pkg/proxy"
	kubeproxyconfig "k8s.io/kubernetes/pkg/proxy/apis/config"
	"k8s.io/kubernetes/pkg/proxy/apis/config/scheme"
	"k8s.io/kubernetes/pkg/proxy/config"
	"k8s.io/kubernetes/pkg/proxy/conntrack"
	"k8s.io/kubernetes/pkg/proxy/healthcheck"
	"k8s.io/kubernetes/pkg/proxy/iptables"
	"k8s.io/kubernetes/pkg/proxy/nftables"
	proxyutil "k8s.io/kubernetes/pkg/proxy/util"
	utiliptables "k8s.io/kubernetes/pkg/util/iptables"

	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// checkMachine looks for what the mode needs.
func checkMachine(s *supervisor.Server, mode kubeproxyconfig.ProxyMode) error {
	var lacks []error
	if os.Getuid() != 0 {
		lacks = append(lacks, fmt.Errorf("proxy: only root can make rules, and km runs as user %d: run it with sudo, or use --proxy.proxy-mode=simulated", os.Getuid()))
	}
	command := "iptables"
	switch mode {
	case kubeproxyconfig.ProxyModeNFTables:
		command = "nft"
	case kubeproxyconfig.ProxyModeIPVS:
		return fmt.Errorf("proxy: --proxy.proxy-mode=ipvs is deprecated upstream, and not carried here: use nftables, or call `%s`", s.Command(names.Proxy))
	}
	if _, err := exec.LookPath(command); err != nil {
		lacks = append(lacks, fmt.Errorf("proxy: the command %s is missing, by which rules are made: install the package %s, or use --proxy.proxy-mode=simulated", command, map[string]string{"nft": "nftables", "iptables": "iptables"}[command]))
	}
	return errors.Join(lacks...)
}

// program is upstream's proxy. The pieces are put together here, as in upstream's newProxyServer
// (cmd/kube-proxy/app/server.go), without its NodeManager: that one ends the process if the node is deleted, or its
// address changes.
func (px *proxy) program(ctx context.Context, self *supervisor.Server, proxyConfig *kubeproxyconfig.KubeProxyConfiguration, clientConfig *rest.Config) error {
	link := component.NewLink(clientConfig)
	client, err := kubernetes.NewForConfig(clientConfig)
	if err != nil {
		return err
	}
	name, err := nodeutil.GetHostname(proxyConfig.HostnameOverride)
	if err != nil {
		return err
	}
	node := watchNode(ctx, client, name, proxyConfig.ConfigSyncPeriod.Duration)
	s := &app.ProxyServer{
		Config:      proxyConfig,
		Client:      client,
		NodeName:    name,
		NodeRef:     &corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: name},
		Broadcaster: events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()}),
	}
	s.Recorder = s.Broadcaster.NewRecorder(scheme.Scheme, upstream)
	addresses := node.addresses(ctx)
	s.PrimaryIPFamily, s.NodeIPs = nodeIPs(addresses, proxyConfig.BindAddress)
	proxyConfig.NodePortAddresses = nodePortAddresses(proxyConfig.NodePortAddresses, s.NodeIPs)
	health := healthcheck.NewProxyHealthServer(proxyConfig.HealthzBindAddress, 2*proxyConfig.SyncPeriod.Duration, node)
	if proxyConfig.HealthzBindAddress != "" {
		s.HealthzServer = health
	}
	if err := conntrack.SetSysctls(ctx, &proxyConfig.Linux.Conntrack); err != nil {
		return err
	}
	cleanOther(ctx, proxyConfig.Mode)
	proxier, err := newProxier(ctx, s, node.podCIDRs(), health, hasIPv6())
	if err != nil {
		return err
	}
	rules := &programmed{Provider: proxier, services: make(chan struct{}), slices: make(chan struct{})}
	s.Proxier = rules
	topology := config.NewNodeTopologyConfig(ctx, node.informer, proxyConfig.ConfigSyncPeriod.Duration)
	topology.RegisterEventHandler(s.Proxier)

	defer px.started.Put(rules.wait)()
	failed := make(chan error, 1)
	go func() { failed <- s.Run(context.WithoutCancel(ctx)) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	// It learns nothing any more, so it makes no rules again while they are removed and until the process ends.
	link.Cut()
	if clean(context.WithoutCancel(ctx), proxyConfig.Mode) {
		klog.FromContext(ctx).Error(nil, fmt.Sprintf("Some of the rules could not be removed; `%s` tries again", self.Command(names.Proxy, "--cleanup")))
	}
	return nil
}

// programmed tells when the first rules have been made: a proxier makes them when it is told that it has seen
// everything.
type programmed struct {
	upstreamproxy.Provider
	services, slices chan struct{}
}

func (p *programmed) OnServiceSynced() {
	p.Provider.OnServiceSynced()
	close(p.services)
}

func (p *programmed) OnEndpointSlicesSynced() {
	p.Provider.OnEndpointSlicesSynced()
	close(p.slices)
}

func (p *programmed) wait(ctx context.Context) error {
	for _, seen := range []chan struct{}{p.services, p.slices} {
		select {
		case <-seen:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// newProxier makes what makes the rules.
func newProxier(ctx context.Context, s *app.ProxyServer, podCIDRs []string, health *healthcheck.ProxyHealthServer, dual bool) (upstreamproxy.Provider, error) {
	detectors := localDetectors(s.Config, podCIDRs)
	if s.Config.Mode == kubeproxyconfig.ProxyModeNFTables {
		if dual {
			return nftables.NewDualStackProxier(ctx, s.Config, detectors, s.NodeName, s.NodeIPs, s.Recorder, health, false)
		}
		return nftables.NewProxier(ctx, s.Config, s.PrimaryIPFamily, detectors[s.PrimaryIPFamily], s.NodeName, s.NodeIPs[s.PrimaryIPFamily], s.Recorder, health, false)
	}
	tables := utiliptables.NewBestEffort()
	if dual && len(tables) > 1 {
		return iptables.NewDualStackProxier(ctx, s.Config, tables, utilsysctl.New(), detectors, s.NodeName, s.NodeIPs, s.Recorder, health, false)
	}
	return iptables.NewProxier(ctx, s.Config, s.PrimaryIPFamily, tables[s.PrimaryIPFamily], utilsysctl.New(), detectors[s.PrimaryIPFamily],
		s.NodeName, s.NodeIPs[s.PrimaryIPFamily], s.Recorder, health, false)
}

// localDetectors say which traffic comes from this node's pods.
func localDetectors(c *kubeproxyconfig.KubeProxyConfiguration, podCIDRs []string) map[corev1.IPFamily]proxyutil.LocalTrafficDetector {
	detectors := map[corev1.IPFamily]proxyutil.LocalTrafficDetector{
		corev1.IPv4Protocol: proxyutil.NewNoOpLocalDetector(),
		corev1.IPv6Protocol: proxyutil.NewNoOpLocalDetector(),
	}
	cidrs := c.DetectLocal.ClusterCIDRs
	if c.DetectLocalMode == kubeproxyconfig.LocalModeNodeCIDR {
		cidrs = podCIDRs
	}
	for family := range detectors {
		switch c.DetectLocalMode {
		case kubeproxyconfig.LocalModeBridgeInterface:
			detectors[family] = proxyutil.NewDetectLocalByBridgeInterface(c.DetectLocal.BridgeInterface)
		case kubeproxyconfig.LocalModeInterfaceNamePrefix:
			detectors[family] = proxyutil.NewDetectLocalByInterfaceNamePrefix(c.DetectLocal.InterfaceNamePrefix)
		case kubeproxyconfig.LocalModeClusterCIDR, kubeproxyconfig.LocalModeNodeCIDR:
			if own := proxyutil.MapCIDRsByIPFamily(cidrs)[family]; len(own) > 0 {
				detectors[family] = proxyutil.NewDetectLocalByCIDR(own[0].String())
			}
		}
	}
	return detectors
}

// nodeIPs returns the node's addresses by family, and the family of the first. An address that the user names comes
// before those of the node.
func nodeIPs(addresses []net.IP, named string) (primary corev1.IPFamily, ips map[corev1.IPFamily]net.IP) {
	family := func(ip net.IP) corev1.IPFamily {
		if ip.To4() == nil {
			return corev1.IPv6Protocol
		}
		return corev1.IPv4Protocol
	}
	if ip := net.ParseIP(named); ip != nil && !ip.IsUnspecified() {
		addresses = append([]net.IP{ip}, addresses...)
	}
	primary = corev1.IPv4Protocol
	ips = map[corev1.IPFamily]net.IP{corev1.IPv4Protocol: net.IPv4(127, 0, 0, 1), corev1.IPv6Protocol: net.IPv6loopback}
	if len(addresses) > 0 {
		primary = family(addresses[0])
	}
	for _, ip := range slices.Backward(addresses) {
		ips[family(ip)] = ip
	}
	return primary, ips
}

// nodePortAddresses puts ranges of addresses in the place of upstream's words for them.
func nodePortAddresses(given []string, ips map[corev1.IPFamily]net.IP) []string {
	var ranges []string
	for _, g := range given {
		switch g {
		case kubeproxyconfig.NodePortAddressesPrimary:
			for _, family := range []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol} {
				if ip := ips[family]; !ip.IsLoopback() {
					ranges = append(ranges, (&net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(shortest(ip)), 8*len(shortest(ip)))}).String())
				}
			}
		case kubeproxyconfig.NodePortAddressesLocalhost:
			ranges = append(ranges, "127.0.0.0/8", "::1/128")
		case kubeproxyconfig.NodePortAddressesAll:
			ranges = append(ranges, proxyutil.IPv4ZeroCIDR, proxyutil.IPv6ZeroCIDR)
		default:
			ranges = append(ranges, g)
		}
	}
	return ranges
}

func shortest(ip net.IP) net.IP {
	if v4 := ip.To4(); v4 != nil {
		return v4
	}
	return ip
}

func hasIPv6() bool {
	if _, err := os.Stat("/proc/net/if_inet6"); err != nil {
		return false
	}
	text, err := os.ReadFile("/proc/sys/net/ipv6/conf/all/disable_ipv6")
	return err != nil || string(text) != "1\n"
}

// clean removes the rules of a mode, and reports whether that failed.
func clean(ctx context.Context, mode kubeproxyconfig.ProxyMode) (failed bool) {
	if mode == kubeproxyconfig.ProxyModeNFTables {
		return nftables.CleanupLeftovers(ctx)
	}
	return iptables.CleanupLeftovers(ctx)
}

// cleanOther removes what an earlier run in the other mode may have left; as far as it can: its tools may be missing.
func cleanOther(ctx context.Context, mode kubeproxyconfig.ProxyMode) {
	other := kubeproxyconfig.ProxyModeNFTables
	if mode == other {
		other = kubeproxyconfig.ProxyModeIPTables
	}
	clean(ctx, other)
}
