package etcd

import (
	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/supervisor"
)

// advertise gives flags the defaults of a member that others can join: its own clients come by the socket, those on
// other machines and other members with certificates of etcd's own authority.
func advertise(p *supervisor.Plan, s *supervisor.Server, socket string) error {
	name, err := cluster.MachineName(p)
	if err != nil {
		return err
	}
	pki := func(file string) string { return cluster.PKIPath(p, "etcd/"+file) }
	clients, peers := cluster.EtcdClientURL(p), cluster.EtcdPeerURL(p)
	return s.Default(
		"name", name,
		"listen-client-urls", component.SocketURL(socket)+","+clients,
		"advertise-client-urls", clients,
		"cert-file", pki("server.crt"),
		"key-file", pki("server.key"),
		"trusted-ca-file", pki("ca.crt"),
		"client-cert-auth", "true",
		"listen-peer-urls", peers,
		"initial-advertise-peer-urls", peers,
		"peer-cert-file", pki("peer.crt"),
		"peer-key-file", pki("peer.key"),
		"peer-trusted-ca-file", pki("ca.crt"),
		"peer-client-cert-auth", "true",
	)
}
