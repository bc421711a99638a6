// Package names has the names of km's servers, for packages that refer to a server of another one. A server that is
// added needs no name here as long as none does.
package names

// The servers.
const (
	Etcd              = "etcd"
	APIServer         = "apiserver"
	ControllerManager = "controller-manager"
	Scheduler         = "scheduler"
	Executor          = "executor"
	Proxy             = "proxy"
	Minion            = "minion"
	DNS               = "dns"
	Storage           = "storage"
	Manifests         = "manifests"
	Machine           = "machine"
	Kubectl           = "kubectl"
)
