package cluster

import (
	_ "embed"

	"github.com/seed-200a7251/km/supervisor"
)

//go:embed clients.md
var clientsText string

//go:embed security.md
var securityText string

//go:embed state.md
var stateText string

// Topics are about the cluster as a whole.
func Topics() []*supervisor.Topic {
	return []*supervisor.Topic{
		{Name: "clients", Short: "kubectl and other clients, and your own kubeconfig", Text: clientsText},
		{Name: "security", Short: "who can reach the cluster, and what --hardened adds", Text: securityText},
		{Name: "state", Short: "what is kept where, keys and certificates", Text: stateText},
	}
}
