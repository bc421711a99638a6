package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/seed-200a7251/km/servers/versions"
	"github.com/seed-200a7251/km/supervisor"
)

// Banner tells how to use the cluster that has become ready.
func Banner(p *supervisor.Plan) string {
	s := p.Server("apiserver")
	if s == nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "  Kubernetes %s at %s\n\n", versions.Kubernetes(), HTTPS(s))
	export, kubectl := shellLines(p)
	b.WriteString(export)
	fmt.Fprintf(&b, "  %s get namespaces        (without kubectl: %s)\n", kubectl, p.Command("kubectl", "get", "namespaces"))
	fmt.Fprintf(&b, "  %s\n\n", p.Command("logs", "-f"))
	fmt.Fprintf(&b, "  Ctrl-C stops it.")
	if p.Ephemeral {
		fmt.Fprintf(&b, " All is removed then.")
	} else {
		fmt.Fprintf(&b, " `%s` goes on where it was.", p.Command("run"))
	}
	return b.String()
}

// KubeconfigCommand is `km kubeconfig`.
func KubeconfigCommand() *supervisor.Command {
	flags := pflag.NewFlagSet("kubeconfig", pflag.ContinueOnError)
	merge := flags.Bool("merge", false, "merge it into the user's own kubeconfig, as a context named like the cluster")
	return &supervisor.Command{
		Name:  "kubeconfig",
		Short: "print the path of the cluster's kubeconfig, or merge it into the user's",
		Flags: flags,
		Run: func(_ context.Context, hk *supervisor.HyperKube, p *supervisor.Plan, _ []string) error {
			file := KubeconfigPath(p, "admin")
			config, err := clientcmd.LoadFromFile(file)
			if err != nil {
				return fmt.Errorf("there is no cluster %q yet, or its kubeconfig cannot be read: %w; start it with `%s`", p.Name, cause(err), p.Command("run"))
			}
			if !*merge {
				return printKubeconfig(hk, p)
			}
			return mergeKubeconfig(hk, p, config)
		},
	}
}

// printKubeconfig prints the path of the cluster's kubeconfig, for KUBECONFIG=$(km kubeconfig).
func printKubeconfig(hk *supervisor.HyperKube, p *supervisor.Plan) error {
	file, fits := AdminKubeconfig(p)
	if !fits {
		fmt.Fprintln(os.Stderr, "warning: KUBECONFIG takes this path for several, apart by colons; kubectl --kubeconfig takes it as it is, and while the cluster runs, "+
			"there is another path")
	}
	fmt.Fprintln(hk.Out(), file)
	return nil
}

// mergeKubeconfig adds the cluster to the kubeconfig that kubectl would use, and makes it the current one. What was added
// by an earlier call is replaced.
func mergeKubeconfig(hk *supervisor.HyperKube, p *supervisor.Plan, ours *clientcmdapi.Config) error {
	access := clientcmd.NewDefaultPathOptions()
	theirs, err := access.GetStartingConfig()
	if err != nil {
		return fmt.Errorf("your kubeconfig cannot be read: %w", err)
	}
	current := ours.Contexts[ours.CurrentContext]
	if current == nil {
		return fmt.Errorf("the cluster's kubeconfig has no current context; remove %s, and km makes a new one", KubeconfigPath(p, "admin"))
	}
	name := p.Name
	if there := theirs.Clusters[name]; there != nil && !bytes.Equal(there.CertificateAuthorityData, ours.Clusters[current.Cluster].CertificateAuthorityData) ||
		there == nil && (theirs.AuthInfos[name] != nil || theirs.Contexts[name] != nil) {
		return fmt.Errorf("your kubeconfig %s has entries named %q already that belong to another cluster: rename them, or give this one another --name",
			access.GetDefaultFilename(), name)
	}
	theirs.Clusters[name] = ours.Clusters[current.Cluster]
	theirs.AuthInfos[name] = ours.AuthInfos[current.AuthInfo]
	theirs.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	theirs.CurrentContext = name
	// Entries remember the file that they came from, and would be written back there.
	theirs.Clusters[name].LocationOfOrigin = ""
	theirs.AuthInfos[name].LocationOfOrigin = ""
	if err := clientcmd.ModifyConfig(access, *theirs, true); err != nil {
		return fmt.Errorf("your kubeconfig cannot be written: %w", err)
	}
	fmt.Fprintf(hk.Out(), "merged into %s; the current context is now %q\n", access.GetDefaultFilename(), name)
	return nil
}
