package apiserver

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"

	"github.com/seed-200a7251/km/servers/apiserver/encryption"
	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/supervisor"
)

const (
	// auditPolicy is the file in the data folder with the policy by which requests are noted.
	auditPolicy = "audit-policy.json"
	// auditLog is where they are noted.
	auditLog = "audit"
)

// hardenedState are the paths in the data folder of what a hardened run makes, for supervisor.Server.State.
func hardenedState() []string {
	names := append(encryption.State(), cluster.Written(auditPolicy)...)
	return append(names, "logs/"+auditLog+".log", "logs/"+auditLog+"-[0-9]*.log")
}

// harden gives flags the defaults of a hardened run, if it is one.
func harden(p *supervisor.Plan, s *supervisor.Server) error {
	if err := encrypt(p, s); err != nil || !component.Hardened(s) {
		return err
	}
	if err := component.HardenServing(s); err != nil {
		return err
	}
	return s.Default(
		// A token is good for as long as the pod has asked for, not for a year.
		"service-account-extend-token-expiration", "false",

		"audit-policy-file", p.Path(auditPolicy),
		"audit-log-path", p.Path("logs", auditLog+".log"),
		"audit-log-maxage", "30", // days
		"audit-log-maxbackup", "10",
		"audit-log-maxsize", "100", // MB
	)
}

// encrypt names the file with the keys for Secrets, if there are any, or will be: Secrets that a hardened run has
// encrypted can be read in one that is not, too.
func encrypt(p *supervisor.Plan, s *supervisor.Server) error {
	if s.Given("encryption-provider-config") || !component.Hardened(s) && !encryption.Exists(p) {
		return nil
	}
	return s.Default(
		"encryption-provider-config", encryption.Path(p),
		"encryption-provider-config-automatic-reload", "true", // or a new key means a restart
	)
}

// prepareHardened makes the files that harden has named.
func prepareHardened(p *supervisor.Plan, s *supervisor.Server) error {
	if s.Value("encryption-provider-config") == encryption.Path(p) {
		if err := encryption.Ensure(p, component.Hardened(s)); err != nil {
			return err
		}
	}
	if s.Value("audit-policy-file") != p.Path(auditPolicy) {
		return nil
	}
	return cluster.Write(p.Path(auditPolicy), []byte(policy))
}

// unreadableLook is how often it is looked whether Secrets keep the server from becoming ready. Most starts are over
// before.
const unreadableLook = 3 * time.Second

// tellUnreadable tells of Secrets that keep the server from becoming ready, until it is or ctx ends. It asks beside the
// start, which does not wait for the answers.
func (c *chain) tellUnreadable(ctx context.Context, client kubernetes.Interface, s *supervisor.Server) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-c.usable:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		select {
		case <-time.After(unreadableLook):
		case <-ctx.Done():
			return
		}
		if err := unreadable(ctx, client, s); ctx.Err() == nil {
			s.Hindered(err)
		}
	}
}

// unreadable says which Secrets cannot be decrypted, and what to do, if that is so: the server is never ready then.
func unreadable(ctx context.Context, client kubernetes.Interface, s *supervisor.Server) error {
	ctx, cancel := context.WithTimeout(ctx, unreadableLook)
	defer cancel()
	// A list with a limit comes from etcd. Without one it comes from the cache, which is what cannot be filled.
	list := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return client.CoreV1().Secrets(metav1.NamespaceAll).List(ctx, o)
	})
	err := list.EachListItem(ctx, metav1.ListOptions{}, func(runtime.Object) error { return nil })
	if !apierrors.IsStoreReadError(err) {
		return nil
	}
	missing := "not in " + s.Value("encryption-provider-config")
	if s.Value("encryption-provider-config") == "" {
		missing = "missing"
	}
	return fmt.Errorf("the Secrets in the store are encrypted with a key that is %s: stop km, bring back pki/%s of the data folder "+
		"in which they were encrypted, and start it again; without that file they are lost (%w)", missing, encryption.File, err)
}

// policy says what is noted of a request: who asked for what, and how it ended, never what is in an object. What comes
// all the time, and tells nothing, is left out: health, leases, events, and what the servers read to follow the
// cluster, other than Secrets and the like.
const policy = `{
  "apiVersion": "audit.k8s.io/v1",
  "kind": "Policy",
  "omitStages": ["RequestReceived"],
  "rules": [
    {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/version", "/openapi/*"]},
    {"level": "None", "resources": [
      {"group": "", "resources": ["events"]},
      {"group": "events.k8s.io", "resources": ["events"]},
      {"group": "coordination.k8s.io", "resources": ["leases"]}
    ]},
    {"level": "Metadata", "resources": [
      {"group": "", "resources": ["secrets", "configmaps", "serviceaccounts/token"]},
      {"group": "authentication.k8s.io", "resources": ["tokenreviews"]}
    ]},
    {"level": "None", "verbs": ["get", "list", "watch"], "users": [
      "system:apiserver", "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy", "km:executor", "km:dns", "km:storage"
    ]},
    {"level": "None", "verbs": ["get", "list", "watch"], "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"]},
    {"level": "Metadata"}
  ]
}
`
