package cluster

import (
	"context"
	"fmt"
	"net"
	"strings"

	utilnet "k8s.io/apimachinery/pkg/util/net"

	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// The flags of the server machines that the others go by.
const (
	// AdvertiseFlag is the address at which other machines reach this one's apiserver and etcd.
	AdvertiseFlag = "advertise"
	// DefaultRoute is its value for the address of the interface with the default route.
	DefaultRoute = "default-route"
	// TokenFlag is what a machine joins with for the first time.
	TokenFlag = "token"
	// RoleFlag is what a machine that joins becomes, and its values.
	RoleFlag     = "role"
	RoleNode     = "node"
	ControlPlane = "control-plane"
)

// AfterMachine is a need of the servers on a node: they start when this machine has a way to the apiservers.
var AfterMachine = supervisor.Need{Server: names.Machine, When: func(*supervisor.Server) bool { return false }}

// Advertised is the address at which other machines reach the servers of this one. It is nil if the cluster is this
// machine's alone, and if it is asked for that of the default route and there is none.
func Advertised(p *supervisor.Plan) net.IP {
	if !p.Selected(names.APIServer) || !IsAdvertised(p) {
		return nil
	}
	if ip := net.ParseIP(p.Server(names.Machine).Value(AdvertiseFlag)); ip != nil {
		return ip
	}
	ip, err := utilnet.ChooseHostInterface()
	if err != nil {
		return nil
	}
	return ip
}

// IsAdvertised reports whether the servers of this machine are to be reached by others.
func IsAdvertised(p *supervisor.Plan) bool {
	m := p.Server(names.Machine)
	return m != nil && (m.Value(AdvertiseFlag) != "" || m.Value(component.JoinFlag) != "" && m.Value(RoleFlag) == ControlPlane)
}

// IsJoined reports whether this machine is a node of a cluster that it has joined, whose apiservers are elsewhere.
func IsJoined(p *supervisor.Plan) bool {
	m := p.Server(names.Machine)
	return m != nil && m.Value(component.JoinFlag) != "" && !p.Selected(names.APIServer)
}

// CheckJoin refuses --join where the server is not there that joins: a composite that is called by its name takes no
// others along.
func CheckJoin(p *supervisor.Plan, s *supervisor.Server) error {
	if !s.Given(component.JoinFlag) || p.Selected(names.Machine) {
		return nil
	}
	return fmt.Errorf("--%s is for `%s`", component.JoinFlag, p.Command(JoinWords(RoleNode, s.Value(component.JoinFlag), "")...))
}

// HasKubeconfigs reports whether km makes the kubeconfigs of its servers: beside the apiserver, and where this machine
// joins a cluster.
func HasKubeconfigs(p *supervisor.Plan) bool { return p.Selected(names.APIServer) || IsJoined(p) }

// JoinWords are what to type, behind the name of the binary, on a machine that joins the cluster at an address. Without
// a token it has joined before.
func JoinWords(role, address, token string) []string {
	words := []string{"run"}
	if role == RoleNode {
		words = append(words, names.Minion)
	}
	words = append(words, "--"+component.JoinFlag+"="+address)
	if token != "" {
		words = append(words, "--"+TokenFlag+"="+token)
	}
	if role == ControlPlane {
		words = append(words, "--"+RoleFlag+"="+ControlPlane)
	}
	return words
}

// Elsewhere is what to type on another machine: how km is called there, and where its data is, is not known here.
func Elsewhere(words ...string) string { return strings.Join(append([]string{"km"}, words...), " ") }

// MachineLabel is on what belongs to one of several machines.
const MachineLabel = "km.machine"

// MachineName is the name of this machine among others: that of its node, whichever runtime that has.
func MachineName(p *supervisor.Plan) (string, error) { return NodeName(p) }

// These are the ports of etcd, as everywhere.
const (
	etcdClientPort = "2379"
	etcdPeerPort   = "2380"
)

// EtcdClientURL is where clients on other machines reach the etcd of this one.
func EtcdClientURL(p *supervisor.Plan) string { return etcdURL(p, etcdClientPort) }

// EtcdPeerURL is where other members reach the etcd of this machine.
func EtcdPeerURL(p *supervisor.Plan) string { return etcdURL(p, etcdPeerPort) }

func etcdURL(p *supervisor.Plan, port string) string {
	return "https://" + net.JoinHostPort(Advertised(p).String(), port)
}

// SetPeers says how the members of etcd are found that this machine joins, as URLs for clients.
func (c *Cluster) SetPeers(find func(context.Context) ([]string, error)) { c.peers = find }

// Peers finds them. There is no function if this machine joins none.
func (c *Cluster) Peers() (find func(context.Context) ([]string, error)) { return c.peers }

// BeforeOpen has f called once, before anything is written to the data folder: a machine that joins a cluster gets that
// cluster's keys then.
func (c *Cluster) BeforeOpen(f func(ctx context.Context, p *supervisor.Plan) error) { c.beforeOpen = f }
