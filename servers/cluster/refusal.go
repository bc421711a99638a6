package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"

	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// Refusal says that a request of km's own was refused by what users have put into the API server: a webhook, a policy,
// a quota, or too much of all.
type Refusal struct {
	Err error // as the API server has it
	// the commands that remove it: if there are several, what is in the way of its removal comes first; none if etcd is
	// full
	Remove []string
	Repair string // the command that makes room if etcd is full; empty if that is elsewhere
}

func (r *Refusal) Error() string {
	text := strings.TrimSpace(r.Err.Error())
	switch len(r.Remove) {
	case 0:
		if r.Repair != "" {
			return text + "; make room in etcd with `" + r.Repair + "`"
		}
		return text + "; make room in etcd: compact and defragment it, and end its alarm, or start it with a larger --quota-backend-bytes"
	case 1:
		return text + "; remove it with `" + r.Remove[0] + "`, or mend it"
	}
	return text + "; remove what is in the way with `" + strings.Join(r.Remove, "`, then with `") + "`"
}

func (r *Refusal) Unwrap() error { return r.Err }

// These are the ways in which the API server tells of a refusal.
var (
	// k8s.io/apiserver/pkg/util/webhook/error.go; pkg/admission/plugin/webhook/errors
	byWebhook = regexp.MustCompile(`(?:failed calling webhook|admission webhook) "([^"]+)"`)
	// k8s.io/apiserver/pkg/admission/plugin/policy/{validating/dispatcher.go,generic/policy_dispatcher.go}
	byPolicy = regexp.MustCompile(`(ValidatingAdmissionPolicy|policy) '([^']+)' with binding '([^']+)' denied request`)
	// k8s.io/apiserver/pkg/admission/plugin/resourcequota/controller.go
	byQuota = regexp.MustCompile(`(?:exceeded|failed) quota: ([^ ,:]+)`)
)

// Full reports whether etcd refuses to write, as it has reached its own quota (go.etcd.io/etcd/api/v3/v3rpc/rpctypes).
func Full(err error) bool {
	return err != nil && strings.Contains(err.Error(), "mvcc: database space exceeded")
}

// Refused reports whether err is the refusal of a request by something that users have put into the API server.
func Refused(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	return Full(err) || byWebhook.MatchString(text) || byPolicy.MatchString(text) || byQuota.MatchString(text)
}

// Refusal returns err as a *Refusal, or nil if it is something else. It asks the API server what is to be removed.
func (c *Cluster) Refusal(ctx context.Context, err error) *Refusal {
	if !Refused(err) {
		return nil
	}
	if Full(err) {
		r := &Refusal{Err: err}
		if c.pki != nil {
			r.Repair = c.command("repair")
		}
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	client := c.admin()
	var commands []string
	// A policy may be in the way of the removal of a webhook; nothing is in the way of the removal of a policy.
	for next := err; Refused(next) && !Full(next) && len(commands) < 3; {
		o := find(ctx, client, next)
		command := c.kubectl("delete " + o.String())
		if slices.Contains(commands, command) {
			break
		}
		commands = append([]string{command}, commands...)
		next = nil
		if client != nil {
			next = o.tryRemove(ctx, client)
		}
	}
	return &Refusal{Err: err, Remove: commands}
}

// kubectl is how people call kubectl for this cluster.
func (c *Cluster) kubectl(args string) string {
	if c.pki == nil {
		return "kubectl " + args // it is elsewhere
	}
	return c.command(append([]string{names.Kubectl}, strings.Fields(args)...)...)
}

// lookTime is how long it may take to find out what is to be removed.
const lookTime = 10 * time.Second

// admin is a client that may see what others have put in the way, or nil.
func (c *Cluster) admin() kubernetes.Interface {
	if c.pki == nil {
		return nil
	}
	client, err := Client(filepath.Join(filepath.Dir(c.pki.dir), kubeconfigDir, "admin.conf"))
	if err != nil {
		return nil // then people have to look
	}
	return client
}

// obstacle is what users have put into the API server, and what refuses a request.
type obstacle struct {
	kind, name string // as kubectl has them
	namespace  string
}

func (o obstacle) String() string {
	text := o.kind + " " + o.name
	if o.namespace != "" {
		text += " --namespace=" + o.namespace
	}
	return text
}

const (
	validatingWebhook = "validatingwebhookconfiguration"
	mutatingWebhook   = "mutatingwebhookconfiguration"
)

// find finds what has refused a request. Without a client some of it is for people to look up.
func find(ctx context.Context, client kubernetes.Interface, refusal error) obstacle {
	text := refusal.Error()
	if m := byPolicy.FindStringSubmatch(text); m != nil {
		if m[1] == "ValidatingAdmissionPolicy" {
			return obstacle{kind: "validatingadmissionpolicybinding", name: m[3]}
		}
		return obstacle{kind: "mutatingadmissionpolicybinding", name: m[3]}
	}
	if m := byWebhook.FindStringSubmatch(text); m != nil {
		return findWebhook(ctx, client, m[1])
	}
	return findQuota(ctx, client, byQuota.FindStringSubmatch(text)[1])
}

// findWebhook finds the configuration in which there is a webhook of that name.
func findWebhook(ctx context.Context, client kubernetes.Interface, webhook string) obstacle {
	if client == nil {
		return obstacle{kind: validatingWebhook, name: "CONFIGURATION"}
	}
	api := client.AdmissionregistrationV1()
	if all, err := api.MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{}); err == nil {
		for _, c := range all.Items {
			if slices.ContainsFunc(c.Webhooks, func(w admissionv1.MutatingWebhook) bool { return w.Name == webhook }) {
				return obstacle{kind: mutatingWebhook, name: c.Name}
			}
		}
	}
	if all, err := api.ValidatingWebhookConfigurations().List(ctx, metav1.ListOptions{}); err == nil {
		for _, c := range all.Items {
			if slices.ContainsFunc(c.Webhooks, func(w admissionv1.ValidatingWebhook) bool { return w.Name == webhook }) {
				return obstacle{kind: validatingWebhook, name: c.Name}
			}
		}
	}
	return obstacle{kind: validatingWebhook, name: "CONFIGURATION"}
}

// findQuota finds the namespace of a quota.
func findQuota(ctx context.Context, client kubernetes.Interface, quota string) obstacle {
	o := obstacle{kind: "resourcequota", name: quota, namespace: "NAMESPACE"}
	if client == nil {
		return o
	}
	only := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", quota).String()}
	if all, err := client.CoreV1().ResourceQuotas(metav1.NamespaceAll).List(ctx, only); err == nil && len(all.Items) == 1 {
		o.namespace = all.Items[0].Namespace
	}
	return o
}

// tryRemove returns why it cannot be removed, if something is in the way of that. Nothing is removed.
func (o obstacle) tryRemove(ctx context.Context, client kubernetes.Interface) error {
	try := metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}
	switch o.kind {
	case validatingWebhook:
		return client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(ctx, o.name, try)
	case mutatingWebhook:
		return client.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(ctx, o.name, try)
	case "resourcequota":
		return client.CoreV1().ResourceQuotas(o.namespace).Delete(ctx, o.name, try)
	}
	return nil
}

// insistPause is how long it is until something is tried again that was refused.
const insistPause = time.Second

// Insist calls f until that is not refused any more by what users have put into the API server, and tells them
// meanwhile what is to be removed. It is for Run and Ready.
func (c *Cluster) Insist(ctx context.Context, s *supervisor.Server, f func(context.Context) error) error {
	for {
		err := f(ctx)
		refused := c.Refusal(ctx, err)
		switch {
		case refused != nil:
			s.Hindered(refused)
		case c.pki != nil && apierrors.IsForbidden(err): // its role could not be made, or somebody has taken it away
			s.Hindered(fmt.Errorf("%w; `%s` makes its role anew, if somebody has taken that away; otherwise `%s` may tell why it could not be made",
				err, c.command("restart", names.APIServer), c.command("logs", names.APIServer, "--level=warn")))
		default:
			s.Hindered(nil)
			return err
		}
		select {
		case <-time.After(insistPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// WhileFull calls f until that does not fail any more because etcd is full. It tells nobody: etcd does.
func WhileFull(ctx context.Context, f func(context.Context) error) error {
	for {
		if err := f(ctx); !Full(err) {
			return err
		}
		select {
		case <-time.After(insistPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
