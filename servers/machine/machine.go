// Package machine makes a cluster one of several machines: it lets others join this one, or joins.
//
// A machine joins with a token that `km token create` prints on one that is there. As a node it asks for certificates,
// for keys that it makes itself, and reaches the apiservers by way of an address on loopback (balancer). With a control
// plane it gets the keys that control planes share, a member of etcd, and the servers that a first machine has.
package machine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

const (
	listenFlag = "listen"
	// loopback is where the clients on a node reach the apiservers.
	loopback = "127.0.0.1:6444"
)

// New returns the server.
func New(c *cluster.Cluster) *supervisor.Server {
	m := &machine{cluster: c}
	c.BeforeOpen(m.enter)
	return &supervisor.Server{
		SimpleUsage: names.Machine,
		Long: "This machine as one of several. It joins where --" + cluster.AdvertiseFlag + " lets other machines reach the apiserver and etcd of this one, and " +
			"where --" + component.JoinFlag + " makes this one a part of a cluster elsewhere: a node, or with --" + cluster.RoleFlag + "=" + cluster.ControlPlane +
			" a further control plane. `km token create` prints what to type on a machine that is to join.",
		AddFlags:     addFlags,
		ProcessFlags: []string{cluster.AdvertiseFlag, component.JoinFlag, cluster.TokenFlag, cluster.RoleFlag},
		JoinsWith:    []string{cluster.AdvertiseFlag, component.JoinFlag},
		FlagValues: component.FlagValues(map[string][]string{
			// None of advertise, which takes any address: the schema of config files says that there are no others.
			cluster.RoleFlag: {cluster.RoleNode + "\truns pods", cluster.ControlPlane + "\tetcd, apiserver, controller-manager and scheduler, too"},
		}),
		Needs:      []supervisor.Need{{Server: names.APIServer, Unless: []string{component.JoinFlag}}},
		State:      c.Identify(names.Machine, cluster.Identity{User: user}),
		Defaults:   defaults,
		Check:      check,
		Ports:      []supervisor.Port{{AddressFlag: listenFlag, Scheme: "https://"}},
		MarksReady: true,
		Prepare:    m.prepare,
		Run:        m.run,
		Address:    m.address,
	}
}

// machine is this machine.
type machine struct {
	cluster *cluster.Cluster
	plan    *supervisor.Plan

	credentials []*cluster.Credentials // of a node
}

func addFlags(s *supervisor.Server) {
	fs := pflag.NewFlagSet(names.Machine, pflag.ContinueOnError)
	fs.String(cluster.AdvertiseFlag, "", "let others join, at `ADDRESS` or the default route's")
	fs.Lookup(cluster.AdvertiseFlag).NoOptDefVal = cluster.DefaultRoute
	fs.String(cluster.TokenFlag, "", "what `km token create` has printed on a machine of the cluster that this one joins; not needed once it has")
	fs.String(cluster.RoleFlag, cluster.RoleNode, "what this machine is in the cluster that it joins: node or control-plane")
	fs.StringSlice(listenFlag, nil, "address at which the servers of a node reach the apiservers (default on a node: "+loopback+")")
	s.AddFlagGroup(names.Machine, fs)
	component.AddJoin(s)
}

func defaults(p *supervisor.Plan, s *supervisor.Server) error {
	if !cluster.IsJoined(p) {
		return nil
	}
	return s.Default(listenFlag, loopback)
}

func check(_ context.Context, p *supervisor.Plan, s *supervisor.Server) error {
	join, role, advertise := s.Value(component.JoinFlag), s.Value(cluster.RoleFlag), s.Value(cluster.AdvertiseFlag)
	if role != cluster.RoleNode && role != cluster.ControlPlane {
		return fmt.Errorf("--%s=%s: there are %s and %s", cluster.RoleFlag, role, cluster.RoleNode, cluster.ControlPlane)
	}
	if join == "" {
		switch {
		case s.Given(cluster.TokenFlag):
			return fmt.Errorf("--%s is for a machine that joins: name an apiserver of the cluster with --%s", cluster.TokenFlag, component.JoinFlag)
		case s.Given(cluster.RoleFlag):
			return fmt.Errorf("--%s is for a machine that joins: name an apiserver of the cluster with --%s", cluster.RoleFlag, component.JoinFlag)
		}
		return checkAdvertised(p, advertise)
	}
	address, err := joinAddress(join)
	if err != nil {
		return err
	}
	token, err := tokenOf(s)
	switch {
	case err != nil:
		return err
	case token != nil && token.role() != role:
		return fmt.Errorf("the token is for a %s, and this machine is to be a %s: add --%s=%[1]s, or make a token with `%[4]s` there",
			token.role(), role, cluster.RoleFlag, cluster.Elsewhere("token", "create", "--"+cluster.RoleFlag+"="+role))
	}
	if role == cluster.ControlPlane {
		for _, name := range []string{names.Etcd, names.APIServer, names.ControllerManager, names.Scheduler} {
			if !p.Selected(name) {
				return fmt.Errorf("--%s=%s: a control plane has a %s: name it, or no server at all", cluster.RoleFlag, role, name)
			}
		}
		return checkAdvertised(p, advertise)
	}
	if advertise != "" {
		return fmt.Errorf("--%s is for a machine with a control plane: leave it out, or add --%s=%s", cluster.AdvertiseFlag, cluster.RoleFlag, cluster.ControlPlane)
	}
	for _, server := range p.Servers {
		if !slices.Contains(onNodes, server.Name()) {
			return fmt.Errorf("%s does not run on a node: call `%s`, or add --%s=%s with a token for that", server.Name(),
				p.Command(cluster.JoinWords(cluster.RoleNode, address, "")...), cluster.RoleFlag, cluster.ControlPlane)
		}
	}
	return nil
}

// onNodes are the servers of a node.
var onNodes = []string{names.Executor, names.Proxy, names.Storage, names.Machine}

// checkAdvertised looks whether an address can be reached by others.
func checkAdvertised(p *supervisor.Plan, value string) error {
	ip := cluster.Advertised(p)
	switch {
	case p.Ephemeral:
		// A member of etcd that forgets what it has acknowledged breaks the others, and after a stop they lack it.
		return errors.New("--ephemeral: the data of a control plane with others has to outlive its run: leave it out")
	case !p.Selected(names.APIServer):
		return fmt.Errorf("--%s: there is no apiserver in the list that others could reach", cluster.AdvertiseFlag)
	case ip == nil && (value == "" || value == cluster.DefaultRoute):
		return fmt.Errorf("this machine has no default route: name the address at which others reach it with --%s=ADDRESS", cluster.AdvertiseFlag)
	case net.ParseIP(value) == nil && value != "" && value != cluster.DefaultRoute:
		return fmt.Errorf("--%s=%s is not an IP address", cluster.AdvertiseFlag, value)
	case ip.IsUnspecified() || ip.IsMulticast():
		return fmt.Errorf("--%s=%s: others cannot reach that: name one address of this machine", cluster.AdvertiseFlag, value)
	}
	return nil
}

func (m *machine) prepare(ctx context.Context, p *supervisor.Plan, s *supervisor.Server) error {
	m.plan = p
	if err := m.cluster.Open(ctx, p); err != nil {
		return err
	}
	if cluster.IsJoined(p) {
		return nil
	}
	grant(m.cluster)
	return m.cluster.EnsureKubeconfig(p, names.Machine)
}

func (m *machine) run(ctx context.Context, s *supervisor.Server, _ []string) error {
	if m.plan == nil {
		return fmt.Errorf("machine runs beside others: call `%s`", s.Command("run", "--"+cluster.AdvertiseFlag))
	}
	if cluster.IsJoined(m.plan) {
		return m.runNode(ctx, s)
	}
	return m.runControlPlane(ctx, s)
}

func (m *machine) address(s *supervisor.Server) string {
	if cluster.IsJoined(m.plan) {
		return "joined " + s.Value(component.JoinFlag)
	}
	return "advertises " + cluster.Advertised(m.plan).String()
}
