// Package names has the names of km's servers, by which people call them and rooms name each other's.
package names

// A server that no other room names may as well have its name in its own.
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
	Kubectl           = "kubectl"
)
