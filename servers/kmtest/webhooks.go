package kmtest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
)

// Webhooks are admission webhooks that the process of the test answers.
type Webhooks struct {
	// Handler answers them, at the paths that the configurations name: an http.ServeMux, say, with the handlers of
	// controller-runtime's package webhook/admission.
	Handler http.Handler
	// Paths names files and folders with the configurations, as controller-gen writes them and Config.Apply reads them.
	// Objects of other kinds are left out.
	Paths []string
	// Mutating and Validating are further ones.
	Mutating   []*admissionregistrationv1.MutatingWebhookConfiguration
	Validating []*admissionregistrationv1.ValidatingWebhookConfiguration
}

// ServeWebhooks serves the webhooks on loopback and registers them: what their configurations say of a Service is
// replaced by the address of the test, whose path stays. When it returns, the apiserver asks them; when the test has
// ended, it asks them no more. Names of configurations, and whom they match, are the whole cluster's: tests that run at
// the same time take clusters of their own, or configurations of other names.
func (c *Cluster) ServeWebhooks(t testing.TB, w Webhooks) {
	t.Helper()
	if c.Config == nil {
		t.Fatal("no webhooks: the cluster has no apiserver")
	}
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.read(); err != nil {
		t.Fatalf("the webhooks: %v", err)
	}
	s, err := serveHooks(w.Handler)
	if err != nil {
		t.Fatalf("the webhooks: %v", err)
	}
	ctx, cancel := withDeadline(t.Context(), t)
	defer cancel()
	r := &registration{client: client, server: s}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Errorf("the webhooks: %v", err)
		}
	})
	c.cleanUp(t, func(ctx context.Context) { // before that
		if err := r.end(ctx); err != nil {
			t.Errorf("the webhooks: %v", err)
		}
	})
	if err := r.register(ctx, w); err != nil {
		t.Fatalf("the webhooks: %v", err)
	}
}

// read adds the configurations of the paths to the others. They are copies, to be changed.
func (w *Webhooks) read() error {
	w.Mutating, w.Validating = slices.Clone(w.Mutating), slices.Clone(w.Validating)
	for i, m := range w.Mutating {
		w.Mutating[i] = m.DeepCopy()
	}
	for i, v := range w.Validating {
		w.Validating[i] = v.DeepCopy()
	}
	all, err := read(w.Paths)
	if err != nil {
		return err
	}
	for _, object := range all {
		switch kind := object.GroupVersionKind(); {
		case kind.Group != admissionregistrationv1.GroupName:
		case kind.Version != "v1":
			return fmt.Errorf("%s %s is of %s: there is only v1", kind.Kind, object.GetName(), object.GetAPIVersion())
		case kind.Kind == "MutatingWebhookConfiguration":
			w.Mutating, err = typed(w.Mutating, object)
		case kind.Kind == "ValidatingWebhookConfiguration":
			w.Validating, err = typed(w.Validating, object)
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	if len(w.Mutating)+len(w.Validating) == 0 {
		return errors.New("there are no configurations")
	}
	return nil
}

func typed[T any](list []*T, object *unstructured.Unstructured) ([]*T, error) {
	t := new(T)
	err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, t, true)
	return append(list, t), err
}

// registration is what is in the cluster because of webhooks.
type registration struct {
	client               kubernetes.Interface
	server               *hookServer
	mutating, validating []string // names
}

// end has the apiserver ask them no more.
func (r *registration) end(ctx context.Context) error {
	mutating, validating := len(r.mutating) > 0, len(r.validating) > 0
	if err := r.takeBack(ctx); err != nil {
		return err
	}
	return r.awaitUse(ctx, mutating, validating)
}

func (r *registration) register(ctx context.Context, w Webhooks) error {
	for _, m := range w.Mutating {
		for i := range m.Webhooks {
			r.redirect(&m.Webhooks[i].ClientConfig)
		}
		if err := r.mutate(ctx, m); err != nil {
			return err
		}
	}
	for _, v := range w.Validating {
		for i := range v.Webhooks {
			r.redirect(&v.Webhooks[i].ClientConfig)
		}
		if err := r.validate(ctx, v); err != nil {
			return err
		}
	}
	return r.awaitUse(ctx, len(w.Mutating) > 0, len(w.Validating) > 0)
}

// redirect has the apiserver ask the test's process, at the same path.
func (r *registration) redirect(c *admissionregistrationv1.WebhookClientConfig) {
	path := "/"
	switch {
	case c.Service != nil && c.Service.Path != nil:
		path = "/" + strings.TrimPrefix(*c.Service.Path, "/")
	case c.URL != nil:
		return // it is elsewhere
	}
	*c = r.at(path)
}

func (r *registration) at(path string) admissionregistrationv1.WebhookClientConfig {
	url := "https://" + r.server.address + path
	return admissionregistrationv1.WebhookClientConfig{URL: &url, CABundle: r.server.ca}
}

func (r *registration) mutate(ctx context.Context, m *admissionregistrationv1.MutatingWebhookConfiguration) error {
	made, err := r.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Create(ctx, m, metav1.CreateOptions{})
	if err == nil {
		r.mutating = append(r.mutating, made.Name)
	}
	return err
}

func (r *registration) validate(ctx context.Context, v *admissionregistrationv1.ValidatingWebhookConfiguration) error {
	made, err := r.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(ctx, v, metav1.CreateOptions{})
	if err == nil {
		r.validating = append(r.validating, made.Name)
	}
	return err
}

func (r *registration) takeBack(ctx context.Context) (err error) {
	for _, name := range r.mutating {
		err = errors.Join(err, ignoreNotFound(r.client.AdmissionregistrationV1().MutatingWebhookConfigurations().Delete(ctx, name, metav1.DeleteOptions{})))
	}
	for _, name := range r.validating {
		err = errors.Join(err, ignoreNotFound(r.client.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(ctx, name, metav1.DeleteOptions{})))
	}
	r.mutating, r.validating = nil, nil
	return err
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// webhookPoll is how often it is tried whether webhooks are asked.
const webhookPoll = 10 * time.Millisecond

// awaitUse waits until the apiserver knows what has been done to the webhooks of the kinds, of which it learns by a
// watch for each. A probe of the kind is registered behind that, for an object that is not kept: when it is asked, all
// is known.
func (r *registration) awaitUse(ctx context.Context, mutating, validating bool) (err error) {
	name := "0-kmtest-probe-" + strings.ToLower(rand.Text()) // the first in order: nobody refuses it before it is asked
	r.server.forget()
	probes := &registration{client: r.client, server: r.server}
	defer func() { err = errors.Join(err, probes.takeBack(context.WithoutCancel(ctx))) }()
	if mutating {
		if err := probes.mutate(ctx, &admissionregistrationv1.MutatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Webhooks: []admissionregistrationv1.MutatingWebhook{{Name: probeName, ClientConfig: r.at(probePath + "mutating"),
				Rules: probeRules, SideEffects: &noSideEffects, AdmissionReviewVersions: probeVersions, ObjectSelector: marked(name)}},
		}); err != nil {
			return err
		}
	}
	if validating {
		if err := probes.validate(ctx, &admissionregistrationv1.ValidatingWebhookConfiguration{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Webhooks: []admissionregistrationv1.ValidatingWebhook{{Name: probeName, ClientConfig: r.at(probePath + "validating"),
				Rules: probeRules, SideEffects: &noSideEffects, AdmissionReviewVersions: probeVersions, ObjectSelector: marked(name)}},
		}); err != nil {
			return err
		}
	}
	probe := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: marked(name).MatchLabels}}
	var refused error
	err = wait.PollUntilContextCancel(ctx, webhookPoll, true, func(ctx context.Context) (bool, error) {
		_, refused = r.client.CoreV1().ConfigMaps(metav1.NamespaceDefault).Create(ctx, probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return (!mutating || r.server.wasAsked("mutating")) && (!validating || r.server.wasAsked("validating")), nil
	})
	if err != nil {
		return errors.Join(fmt.Errorf("the apiserver does not ask a probe of them: %w", err), refused)
	}
	return nil
}

// What the webhooks of a probe have in common.
var (
	probeName  = "probe.kmtest.invalid"
	probeRules = []admissionregistrationv1.RuleWithOperations{{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
	}}
	probeVersions = []string{"v1"}
	noSideEffects = admissionregistrationv1.SideEffectClassNone
)

// marked selects the object of a probe.
func marked(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{probeLabel: name}}
}
