package cluster

import (
	"os"
	"strings"

	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// Environment is what a command that is run with a cluster finds in its environment: clients look for their cluster
// there.
func Environment(p *supervisor.Plan) []string {
	if !p.Selected(names.APIServer) {
		return nil
	}
	file := KubeconfigPath(p, Admin)
	if !fitsEnvironment(file) {
		file = PlainKubeconfigPath(p, Admin)
	}
	return []string{"KUBECONFIG=" + file}
}

// fitsEnvironment reports whether a path can be the value of KUBECONFIG, which is a list of files: clients that find
// none of them take another cluster.
func fitsEnvironment(file string) bool { return !strings.Contains(file, string(os.PathListSeparator)) }

// AdminKubeconfig is the path of the admin's kubeconfig for others than the run itself. It can be the value of
// KUBECONFIG, unless fits is false: no run is there to lend it another path.
func AdminKubeconfig(p *supervisor.Plan) (file string, fits bool) {
	file = KubeconfigPath(p, Admin)
	if fitsEnvironment(file) {
		return file, true
	}
	if other, ok := p.RunningPath(kubeconfigDir, Admin+".conf"); ok {
		return other, true
	}
	return file, false
}

// shellLines are what to type for kubectl to find the cluster: a line to begin with, which may be none, and the
// command.
func shellLines(p *supervisor.Plan) (export, kubectl string) {
	file := KubeconfigPath(p, Admin)
	if !fitsEnvironment(file) {
		return "", "kubectl --kubeconfig=" + supervisor.ShellQuote(file)
	}
	return "  export KUBECONFIG=" + supervisor.ShellQuote(file) + "\n", "kubectl"
}
