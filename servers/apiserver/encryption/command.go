package encryption

import (
	"context"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/supervisor"
)

// Command is `km encryption`.
func Command() *supervisor.Command {
	return &supervisor.Command{
		Name:  "encryption",
		Args:  "rotate",
		Short: "encrypt the Secrets of a hardened cluster with a new key",
		Long: "Make a new key for the Secrets of a cluster that runs with --hardened, have the apiserver write with it, write all Secrets anew, and " +
			"forget the keys of before. Nothing stops meanwhile. Secrets from before the cluster was hardened, which are not encrypted, are " +
			"encrypted by it, too.\n\n" +
			"If it is interrupted, or a Secret cannot be written, the keys of before stay, and nothing is lost: call it again.\n\n" +
			"The keys are in pki/" + File + " in the data folder. A snapshot has the Secrets as they are stored, and not the keys: for a snapshot from " +
			"before, keep a copy of that file.",
		Complete: func(_ *supervisor.HyperKube, args []string) []string {
			if len(args) == 0 {
				return []string{"rotate\tencrypt all Secrets with a new key"}
			}
			return []string{}
		},
		Run: func(ctx context.Context, hk *supervisor.HyperKube, p *supervisor.Plan, args []string) error {
			if len(args) != 1 || args[0] != "rotate" {
				err := errors.New("encryption takes one argument: rotate")
				if len(args) > 0 {
					err = fmt.Errorf("%w; there is %q", err, strings.Join(args, " "))
				}
				return &supervisor.ExitError{Code: 2, Err: fmt.Errorf("%w; see `%s`", err, p.Command("encryption", "--help"))}
			}
			return rotate(ctx, hk, p)
		},
	}
}

// rotate is `km encryption rotate`.
func rotate(ctx context.Context, hk *supervisor.HyperKube, p *supervisor.Plan) error {
	if _, err := hk.Status(ctx, p); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", cluster.KubeconfigPath(p, "admin"))
	if err != nil {
		return fmt.Errorf("the apiserver cannot be asked: %w", err)
	}
	if err := alone(ctx, config); err != nil {
		return err
	}
	config.QPS = -1 // what limits requests is for clients that others must get along with
	return newRotation(p, config, hk.Out()).run(ctx)
}

// alone refuses to make a key where other machines have an apiserver, too: they could not read what is written with it.
func alone(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	machines, err := client.CoordinationV1().Leases(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{LabelSelector: cluster.MachineLabel})
	if err != nil {
		return err
	}
	if n := len(machines.Items); n > 1 {
		return fmt.Errorf("%d machines have an apiserver, and each would need the new key: have the others leave with `km leave`, rotate, and let them join again", n)
	}
	return nil
}
