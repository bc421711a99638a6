package cluster

import "github.com/seed-200a7251/km/supervisor"

// Environment is what a command that is run with a cluster finds in its environment: clients look for their cluster there.
func Environment(p *supervisor.Plan) []string {
	if !p.Selected(APIServer) {
		return nil
	}
	return []string{"KUBECONFIG=" + KubeconfigPath(p, "admin")}
}
