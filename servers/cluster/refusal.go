package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"

	"github.com/seed-200a7251/km/supervisor"
)

// Refusal is what a request of km's own was refused by that users have put into the API server: a webhook, a policy, a quota.
type Refusal struct {
	Err    error  // as the API server has it
	Remove string // the command that removes what refuses, or how to find that
}

func (r *Refusal) Error() string {
	return strings.TrimSpace(r.Err.Error()) + "; remove it with `" + r.Remove + "`, or mend it"
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

// Refused reports whether err is the refusal of a request by something that users have put into the API server.
func Refused(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	return byWebhook.MatchString(text) || byPolicy.MatchString(text) || byQuota.MatchString(text)
}

// Refusal returns err as a *Refusal, or nil if it is something else. It asks the API server what is to be removed.
func (c *Cluster) Refusal(ctx context.Context, err error) *Refusal {
	if !Refused(err) {
		return nil
	}
	text := err.Error()
	var remove string
	if m := byPolicy.FindStringSubmatch(text); m != nil {
		kind := "mutatingadmissionpolicybinding"
		if m[1] == "ValidatingAdmissionPolicy" {
			kind = "validatingadmissionpolicybinding"
		}
		remove = c.kubectl("delete " + kind + " " + m[3])
	} else if m := byWebhook.FindStringSubmatch(text); m != nil {
		remove = c.removeWebhook(ctx, m[1])
	} else {
		remove = c.removeQuota(ctx, byQuota.FindStringSubmatch(text)[1])
	}
	return &Refusal{err, remove}
}

// kubectl is how people call kubectl for this cluster.
func (c *Cluster) kubectl(args string) string {
	if c.pki == nil {
		return "kubectl " + args // it is elsewhere
	}
	return "km" + c.location + " kubectl " + args
}

// lookTime is how long it may take to find out what is to be removed.
const lookTime = 5 * time.Second

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

// removeWebhook is the command that removes the configuration in which there is a webhook of that name.
func (c *Cluster) removeWebhook(ctx context.Context, webhook string) string {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	if client := c.admin(); client != nil {
		api := client.AdmissionregistrationV1()
		if all, err := api.ValidatingWebhookConfigurations().List(ctx, metav1.ListOptions{}); err == nil {
			for _, configuration := range all.Items {
				for _, w := range configuration.Webhooks {
					if w.Name == webhook {
						return c.kubectl("delete validatingwebhookconfiguration " + configuration.Name)
					}
				}
			}
		}
		if all, err := api.MutatingWebhookConfigurations().List(ctx, metav1.ListOptions{}); err == nil {
			for _, configuration := range all.Items {
				for _, w := range configuration.Webhooks {
					if w.Name == webhook {
						return c.kubectl("delete mutatingwebhookconfiguration " + configuration.Name)
					}
				}
			}
		}
	}
	return fmt.Sprintf("%s` (the one with the webhook %s is to be found by `%s",
		c.kubectl("delete validatingwebhookconfiguration NAME"), webhook,
		c.kubectl("get validatingwebhookconfigurations,mutatingwebhookconfigurations -o yaml"))
}

// removeQuota is the command that removes the quota of that name.
func (c *Cluster) removeQuota(ctx context.Context, quota string) string {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	namespace := "NAMESPACE"
	if client := c.admin(); client != nil {
		only := metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", quota).String()}
		if all, err := client.CoreV1().ResourceQuotas(metav1.NamespaceAll).List(ctx, only); err == nil && len(all.Items) == 1 {
			namespace = all.Items[0].Namespace
		}
	}
	return c.kubectl("delete resourcequota " + quota + " --namespace=" + namespace)
}

// insistPause is how long it is until something is tried again that was refused.
const insistPause = time.Second

// Insist calls f until that is not refused any more by what users have put into the API server, and tells them meanwhile what is to be
// removed. It is for Run and Ready.
func (c *Cluster) Insist(ctx context.Context, s *supervisor.Server, f func(context.Context) error) error {
	for {
		err := f(ctx)
		refused := c.Refusal(ctx, err)
		if refused == nil {
			s.Hindered(nil)
			return err
		}
		s.Hindered(refused)
		select {
		case <-time.After(insistPause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
