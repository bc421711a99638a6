package proxy

import (
	"net"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	kubeproxyconfig "k8s.io/kubernetes/pkg/proxy/apis/config"
)

func ips(texts ...string) (parsed []net.IP) {
	for _, text := range texts {
		parsed = append(parsed, net.ParseIP(text))
	}
	return parsed
}

// The rules are upstream's (detectNodeIPs in cmd/kube-proxy/app/server_test.go).
func TestNodeIPs(t *testing.T) {
	for _, test := range []struct {
		name      string
		addresses []net.IP
		bind      string
		primary   corev1.IPFamily
		v4, v6    string
	}{
		{"none", nil, "", corev1.IPv4Protocol, "127.0.0.1", "::1"},
		{"one", ips("192.0.2.1"), "", corev1.IPv4Protocol, "192.0.2.1", "::1"},
		{"both", ips("2001:db8::1", "192.0.2.1"), "", corev1.IPv6Protocol, "192.0.2.1", "2001:db8::1"},
		{"named", ips("192.0.2.1"), "192.0.2.9", corev1.IPv4Protocol, "192.0.2.9", "::1"},
		{"named, of the other family", ips("192.0.2.1"), "2001:db8::9", corev1.IPv6Protocol, "192.0.2.1", "2001:db8::9"},
		{"any", ips("192.0.2.1"), "0.0.0.0", corev1.IPv4Protocol, "192.0.2.1", "::1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			primary, got := nodeIPs(test.addresses, test.bind)
			if primary != test.primary || got[corev1.IPv4Protocol].String() != test.v4 || got[corev1.IPv6Protocol].String() != test.v6 {
				t.Errorf("%s, %v", primary, got)
			}
		})
	}
}

func TestNodePortAddresses(t *testing.T) {
	_, both := nodeIPs(ips("192.0.2.1", "2001:db8::1"), "")
	_, one := nodeIPs(ips("192.0.2.1"), "")
	for _, test := range []struct {
		name  string
		given []string
		ips   map[corev1.IPFamily]net.IP
		want  []string
	}{
		{"none", nil, both, nil},
		{"primary", []string{kubeproxyconfig.NodePortAddressesPrimary}, both, []string{"192.0.2.1/32", "2001:db8::1/128"}},
		{"primary, not loopback", []string{kubeproxyconfig.NodePortAddressesPrimary}, one, []string{"192.0.2.1/32"}},
		{"localhost and a range", []string{kubeproxyconfig.NodePortAddressesLocalhost, "10.0.0.0/8"}, one, []string{"127.0.0.0/8", "::1/128", "10.0.0.0/8"}},
		{"all", []string{kubeproxyconfig.NodePortAddressesAll}, one, []string{"0.0.0.0/0", "::/0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, nodePortAddresses(test.given, test.ips)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
