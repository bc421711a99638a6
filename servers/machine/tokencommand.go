package machine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/duration"
	certutil "k8s.io/client-go/util/cert"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	bootstraputil "k8s.io/cluster-bootstrap/token/util"
	bootstraptokenv1 "k8s.io/kubernetes/cmd/kubeadm/app/apis/bootstraptoken/v1"

	"github.com/seed-200a7251/km/servers/apiserver/encryption"
	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/supervisor"
)

// The times for which a token is good, unless the user says otherwise: kubeadm's for tokens, and for keys.
const (
	nodeTTL         = 24 * time.Hour
	controlPlaneTTL = 2 * time.Hour
)

// TokenCommand is `km token`.
func TokenCommand() *supervisor.Command {
	flags := pflag.NewFlagSet("token", pflag.ContinueOnError)
	role := flags.String(cluster.RoleFlag, cluster.RoleNode, "create: what the machine is to be that joins with it: node or control-plane")
	ttl := flags.Duration("ttl", 0, "create: how long it can be used (default: 24h, and 2h for a control plane)")
	return &supervisor.Command{
		Name:  "token",
		Args:  "create|list|delete [ID...]",
		Short: "let another machine join the cluster: print what to type there",
		Long: "Make a token, and print the command with which another machine joins this cluster, which runs with --" + cluster.AdvertiseFlag + "; list tokens; " +
			"or delete some, so that nobody joins with them any more.\n\n" +
			"A token has the hash of the cluster's certificate authority in it, by which the other machine knows that it talks to this cluster. One for a " +
			"control plane also has the key with which the cluster's keys are encrypted for it: whoever has it has the cluster. A token may be used " +
			"several times, until it expires. A machine that has joined needs none any more.",
		Flags: flags,
		Complete: func(_ *supervisor.HyperKube, args []string) []string {
			if len(args) == 0 {
				return []string{"create\tmake one, and print what to type on the other machine", "list\tthose that there are", "delete\tsome, by their first part"}
			}
			return []string{}
		},
		FlagValues: func(flag string) []string {
			if flag == cluster.RoleFlag {
				return []string{cluster.RoleNode, cluster.ControlPlane}
			}
			return nil
		},
		Run: func(ctx context.Context, hk *supervisor.HyperKube, p *supervisor.Plan, args []string) error {
			t := &tokens{controlPlane{hk: hk, plan: p}}
			if err := checkTokenArguments(args, *role, *ttl, flags.Changed); err != nil {
				return &supervisor.ExitError{Code: 2, Err: fmt.Errorf("%w; see `%s`", err, p.Command("token", "--help"))}
			}
			if err := t.connect(ctx); err != nil {
				return err
			}
			switch args[0] {
			case "list":
				return t.list(ctx)
			case "delete":
				return t.delete(ctx, args[1:])
			}
			if *ttl == 0 {
				*ttl = nodeTTL
				if *role == cluster.ControlPlane {
					*ttl = controlPlaneTTL
				}
			}
			return t.create(ctx, *role, *ttl)
		},
	}
}

func checkTokenArguments(args []string, role string, ttl time.Duration, given func(string) bool) error {
	switch {
	case len(args) == 0:
		return errors.New("token takes an argument: create, list or delete")
	case !slices.Contains([]string{"create", "list", "delete"}, args[0]):
		return fmt.Errorf("token: %q is none of create, list and delete", args[0])
	case args[0] != "create" && (given(cluster.RoleFlag) || given("ttl")):
		return errors.New("--" + cluster.RoleFlag + " and --ttl are for create")
	case args[0] != "delete" && len(args) > 1:
		return fmt.Errorf("token %s takes no arguments, but there is %q", args[0], args[1])
	case args[0] == "delete" && len(args) == 1:
		return errors.New("token delete: name some, by their first part, as `list` shows it")
	case role != cluster.RoleNode && role != cluster.ControlPlane:
		return fmt.Errorf("--%s=%s: there are %s and %s", cluster.RoleFlag, role, cluster.RoleNode, cluster.ControlPlane)
	case given("ttl") && ttl < time.Second:
		return fmt.Errorf("--ttl=%v is no time in which somebody could join: use a longer one", ttl)
	}
	return nil
}

// tokens are those of a cluster.
type tokens struct{ controlPlane }

// create makes one and prints what to type.
func (t *tokens) create(ctx context.Context, role string, ttl time.Duration) error {
	machines, err := List(ctx, t.client)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(machines, func(m Machine) bool { return m.Address == t.server && m.Alive(time.Now()) }) {
		return fmt.Errorf("the cluster is not open to other machines: stop it, and start it with `%s`, or with --%s=ADDRESS",
			t.plan.Command("run", "--"+cluster.AdvertiseFlag), cluster.AdvertiseFlag)
	}
	certs, err := certutil.CertsFromFile(cluster.PKIPath(t.plan, "ca.crt"))
	if err != nil {
		return err
	}
	i, err := newInvitation(role, certs[0])
	if err != nil {
		return err
	}
	secret := bootstraptokenv1.BootstrapTokenToSecret(&bootstraptokenv1.BootstrapToken{
		Token:       &bootstraptokenv1.BootstrapTokenString{ID: i.id, Secret: i.secret},
		Description: "a machine that joins as a " + role,
		TTL:         &metav1.Duration{Duration: ttl},
		Usages:      []string{"authentication"},
		Groups:      []string{groupOf(role)},
	})
	if _, err := t.client.CoreV1().Secrets(metav1.NamespaceSystem).Create(ctx, secret, metav1.CreateOptions{}); err != nil {
		return err
	}
	if role == cluster.ControlPlane {
		if err := upload(ctx, t.client, t.plan, i); err != nil {
			return errors.Join(err, t.remove(ctx, i.id))
		}
	}
	fmt.Fprintln(t.hk.Out(), t.joinCommand(i))
	return nil
}

// joinCommand is what to type on the other machine. The data folder is that machine's own business.
func (t *tokens) joinCommand(i *invitation) string {
	words := append([]string{t.hk.Name}, cluster.JoinWords(i.role(), t.server, i.String())...)
	if i.role() == cluster.ControlPlane && encryption.Exists(t.plan) { // it could not read Secrets otherwise
		words = append(words, "--"+component.HardenedFlag)
	}
	return strings.Join(words, " ")
}

// list prints those that there are. What they are secret by is not shown.
func (t *tokens) list(ctx context.Context) error {
	all, err := t.all(ctx)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		fmt.Fprintf(t.hk.Out(), "there are no tokens: make one with `%s`\n", t.plan.Command("token", "create"))
		return nil
	}
	fmt.Fprintf(t.hk.Out(), "%-8s %-14s %s\n", "ID", "ROLE", "EXPIRES")
	for _, token := range all {
		expires := "never"
		if token.Expires != nil {
			expires = "has expired"
			if left := time.Until(token.Expires.Time); left > 0 {
				expires = "in " + duration.HumanDuration(left)
			}
		}
		fmt.Fprintf(t.hk.Out(), "%-8s %-14s %s\n", token.Token.ID, roleOf(token), expires)
	}
	return nil
}

// roleOf is what a token is for. Others than km may have made some.
func roleOf(token *bootstraptokenv1.BootstrapToken) string {
	for _, role := range []string{cluster.RoleNode, cluster.ControlPlane} {
		if slices.Contains(token.Groups, groupOf(role)) {
			return role
		}
	}
	return "-"
}

func (t *tokens) all(ctx context.Context) (all []*bootstraptokenv1.BootstrapToken, err error) {
	secrets, err := t.client.CoreV1().Secrets(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("type", string(corev1.SecretType(bootstrapapi.SecretTypeBootstrapToken))).String(),
	})
	if err != nil {
		return nil, err
	}
	for i := range secrets.Items {
		// One that is malformed is no token.
		if token, err := bootstraptokenv1.BootstrapTokenFromSecret(&secrets.Items[i]); err == nil {
			all = append(all, token)
		}
	}
	return all, nil
}

// delete removes tokens: their first parts, or all of them, as somebody may paste it.
func (t *tokens) delete(ctx context.Context, ids []string) error {
	for _, text := range ids {
		id, _, _ := strings.Cut(text, ".")
		if !bootstraputil.IsValidBootstrapTokenID(id) {
			return fmt.Errorf("%q is not the first part of a token, as `%s` shows it", id, t.plan.Command("token", "list"))
		}
		if err := t.remove(ctx, id); err != nil {
			return err
		}
		fmt.Fprintf(t.hk.Out(), "deleted %s\n", id)
	}
	return nil
}

func (t *tokens) remove(ctx context.Context, id string) error {
	err := t.client.CoreV1().Secrets(metav1.NamespaceSystem).Delete(ctx, bootstraputil.BootstrapTokenSecretName(id), metav1.DeleteOptions{})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("there is no token %s", id)
	}
	if err != nil {
		return err
	}
	return forgetKeys(ctx, t.client, id)
}
