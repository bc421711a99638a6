// Package minion is a whole node: what runs the pods, and what has Services reach them.
package minion

import (
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// New returns the server.
func New() *supervisor.Server {
	return &supervisor.Server{
		SimpleUsage: names.Minion,
		Long: "A node: the executor and the proxy. Called by its name it is a node of a cluster elsewhere, which --kubeconfig names; " +
			"with --runtime=cri this machine is that node.",
		Members: []string{names.Executor, names.Proxy},
	}
}
