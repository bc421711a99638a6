package cluster

import (
	"fmt"
	"net"
	"strings"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	nodeutil "k8s.io/component-helpers/node/util"
	"k8s.io/kubernetes/cmd/kubeadm/app/constants"

	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// Domain is that of the names that Services have.
const Domain = "cluster.local"

// RuntimeFlag is the flag of the executor that says what runs the pods, and its values.
const (
	RuntimeFlag = "runtime"
	Simulated   = "simulated"
	CRI         = "cri"
)

// IsReal reports whether an executor runs real containers.
func IsReal(executor *supervisor.Server) bool { return executor.Value(RuntimeFlag) == CRI }

// HasRealNode reports whether this machine is a node of the plan.
func HasRealNode(p *supervisor.Plan) bool {
	executor := p.Server(names.Executor)
	return executor != nil && IsReal(executor)
}

// NodeName is the name of this machine as a node: the executor's flag hostname-override, else its host name.
func NodeName(p *supervisor.Plan) (string, error) {
	override := ""
	if executor := p.Server(names.Executor); executor != nil {
		override = executor.Value("hostname-override")
	}
	name, err := nodeutil.GetHostname(override)
	if err != nil {
		return "", fmt.Errorf("executor: --executor.hostname-override: %w", err)
	}
	return name, nil
}

// DNSIP is the address of the Service of the DNS server: the tenth of the Services' range, as everywhere.
func DNSIP(apiserver *supervisor.Server) (string, error) {
	first, _, _ := strings.Cut(apiserver.Value("service-cluster-ip-range"), ",")
	ip, err := constants.GetDNSIP(first)
	if err != nil {
		return "", err
	}
	return ip.String(), nil
}

// NodeIP is the address of this machine as a node: the first of the executor's flag node-ip, else that of the interface
// with the default route. It is nil if there is none.
func NodeIP(p *supervisor.Plan) net.IP {
	if executor := p.Server(names.Executor); executor != nil {
		first, _, _ := strings.Cut(executor.Value("node-ip"), ",")
		if ip := net.ParseIP(strings.TrimSpace(first)); ip != nil {
			return ip
		}
	}
	ip, err := utilnet.ChooseHostInterface()
	if err != nil {
		return nil // without a network there is none
	}
	return ip
}
