// Package km is the product: the binary that holds all servers. Command km is it and nothing else; tests that run
// servers in their own process have it, too.
package km

import (
	"github.com/seed-200a7251/km/servers/apiserver"
	"github.com/seed-200a7251/km/servers/apiserver/encryption"
	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/controllermanager"
	"github.com/seed-200a7251/km/servers/dns"
	"github.com/seed-200a7251/km/servers/etcd"
	"github.com/seed-200a7251/km/servers/etcd/snapshot"
	"github.com/seed-200a7251/km/servers/executor"
	"github.com/seed-200a7251/km/servers/kubectl"
	"github.com/seed-200a7251/km/servers/machine"
	"github.com/seed-200a7251/km/servers/manifests"
	"github.com/seed-200a7251/km/servers/minion"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/servers/process"
	"github.com/seed-200a7251/km/servers/proxy"
	"github.com/seed-200a7251/km/servers/scheduler"
	"github.com/seed-200a7251/km/servers/storage"
	"github.com/seed-200a7251/km/servers/versions"
	"github.com/seed-200a7251/km/supervisor"
)

// New returns km with its servers. Each call returns another one, of which none knows of the others; but what upstream
// keeps in variables of the process is theirs together (package process).
func New() *supervisor.HyperKube { return NewWith(cluster.New()) }

// NewWith is New for those who add a server of their own to what it returns. That server is then part of the cluster,
// with a kubeconfig and rights of its own, which it asks c for (Identify).
func NewWith(c *cluster.Cluster) *supervisor.HyperKube {
	process.BeforeFlags()
	km := &supervisor.HyperKube{
		Name: "km",
		Long: "km is every Kubernetes server in one binary. It runs any selection of them as goroutines of one process, with " +
			"every server's flags under its name and every log line tagged with its server: `km run` is a cluster on " +
			"this machine, ready in seconds. Called as one server, it is that server and nothing else.",
		Version:        versions.Text,
		DefaultServers: []string{names.Etcd, names.APIServer, names.ControllerManager, names.Scheduler, names.Minion},
		FlagTypes:      component.FlagTypes,
		Setup:          process.Setup,
		Banner:         cluster.Banner,
		Environment:    cluster.Environment,
		Forget:         cluster.Forget,
		Details:        machine.Status,
		Ways:           []supervisor.Way{executor.RealContainers},
		New:            New, // without what others add: that matters to none of Ways
	}
	apiserver.AddCompanionsFlag(km)
	km.AddServer(etcd.New(c))
	km.AddServer(apiserver.New(c, km))
	km.AddServer(controllermanager.New(c))
	km.AddServer(scheduler.New(c))
	km.AddServer(executor.New(c))
	km.AddServer(proxy.New(c))
	km.AddServer(minion.New())
	km.AddServer(dns.New(c))
	km.AddServer(storage.New(c))
	km.AddServer(manifests.New(c))
	km.AddServer(machine.New(c))
	km.AddServer(kubectl.New(km.Location))
	km.AddCommand(cluster.KubeconfigCommand())
	km.AddCommand(snapshot.Command())
	km.AddCommand(etcd.RepairCommand())
	km.AddCommand(encryption.Command())
	km.AddCommand(machine.TokenCommand())
	km.AddCommand(machine.LeaveCommand())
	for _, t := range topics() {
		km.AddTopic(t)
	}
	return km
}
