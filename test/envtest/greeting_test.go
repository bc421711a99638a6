package envtest

import (
	"context"
	"errors"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// Greeting is the custom resource of an operator such as kubebuilder makes them: a text, and how many pods say it.
type Greeting struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   GreetingSpec   `json:"spec,omitempty"`
	Status GreetingStatus `json:"status,omitempty"`
}

// GreetingSpec is what is wanted.
type GreetingSpec struct {
	Text     string `json:"text,omitempty"`
	Speakers int32  `json:"speakers,omitempty"`
}

// GreetingStatus is what is.
type GreetingStatus struct {
	Speaking int32 `json:"speaking,omitempty"`
}

// DeepCopyObject is that of a runtime.Object.
func (g *Greeting) DeepCopyObject() runtime.Object {
	c := *g
	g.ObjectMeta.DeepCopyInto(&c.ObjectMeta)
	return &c
}

// GreetingList is a list of them.
type GreetingList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Greeting `json:"items"`
}

// DeepCopyObject is that of a runtime.Object.
func (l *GreetingList) DeepCopyObject() runtime.Object {
	c := *l
	l.ListMeta.DeepCopyInto(&c.ListMeta)
	c.Items = nil
	for i := range l.Items {
		c.Items = append(c.Items, *l.Items[i].DeepCopyObject().(*Greeting))
	}
	return &c
}

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	version := schema.GroupVersion{Group: "envtest.example.com", Version: "v1"}
	scheme.AddKnownTypes(version, &Greeting{}, &GreetingList{})
	metav1.AddToGroupVersion(scheme, version)
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return scheme
}

// reconciler makes a Deployment for each Greeting.
type reconciler struct{ client.Client }

// Reconcile is that of a reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var g Greeting
	if err := r.Get(ctx, request.NamespacedName, &g); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: g.Namespace, Name: g.Name}}
	_, err := controllerutil.CreateOrUpdate(ctx, r.Client, d, func() error {
		labels := map[string]string{"greeting": g.Name}
		d.Spec.Replicas = &g.Spec.Speakers
		d.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
		d.Spec.Template.Labels = labels
		d.Spec.Template.Spec.Containers = []corev1.Container{{Name: "speaker", Image: "speaker", Args: []string{g.Spec.Text}}}
		return controllerutil.SetControllerReference(&g, d, r.Scheme())
	})
	if err != nil || g.Status.Speaking == d.Status.AvailableReplicas {
		return ctrl.Result{}, err
	}
	g.Status.Speaking = d.Status.AvailableReplicas
	return ctrl.Result{}, r.Status().Update(ctx, &g)
}

// validator refuses Greetings that say nothing.
type validator struct{}

var errSilent = errors.New("a greeting without a text")

// ValidateCreate is that of an admission.Validator.
func (validator) ValidateCreate(_ context.Context, g *Greeting) (admission.Warnings, error) {
	if g.Spec.Text == "" {
		return nil, errSilent
	}
	return nil, nil
}

// ValidateUpdate is that of an admission.Validator.
func (v validator) ValidateUpdate(ctx context.Context, _, g *Greeting) (admission.Warnings, error) {
	return v.ValidateCreate(ctx, g)
}

// ValidateDelete is that of an admission.Validator.
func (validator) ValidateDelete(context.Context, *Greeting) (admission.Warnings, error) {
	return nil, nil
}

// operator starts the environment, with what Greetings need, and the operator beside it. The client asks without a
// cache.
func operator(t *testing.T, env *envtest.Environment) client.Client {
	t.Helper()
	env.Scheme = newScheme(t)
	env.CRDDirectoryPaths = []string{"testdata/crds"}
	env.ErrorIfCRDPathMissing = true
	env.WebhookInstallOptions.Paths = []string{"testdata/webhooks"}
	start(t, env)

	hooks := env.WebhookInstallOptions
	server := webhook.NewServer(webhook.Options{Host: hooks.LocalServingHost, Port: hooks.LocalServingPort, CertDir: hooks.LocalServingCertDir})
	manager, err := ctrl.NewManager(env.Config, ctrl.Options{
		Scheme:        env.Scheme,
		Metrics:       metricsserver.Options{BindAddress: "0"},
		WebhookServer: server,
		Controller:    config.Controller{SkipNameValidation: new(true)}, // each test has a manager
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := ctrl.NewControllerManagedBy(manager).For(&Greeting{}).Owns(&appsv1.Deployment{}).Complete(&reconciler{manager.GetClient()}); err != nil {
		t.Fatal(err)
	}
	if err := ctrl.NewWebhookManagedBy(manager, &Greeting{}).WithValidator(validator{}).Complete(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	var ended error
	go func() {
		defer close(done)
		ended = manager.Start(ctx)
	}()
	t.Cleanup(func() { // before the environment is stopped
		cancel()
		await(t, "the manager's end", done)
		if ended != nil {
			t.Error("manager:", ended)
		}
	})
	poll(t, "webhook server", func(context.Context) (bool, error) { return server.StartedChecker()(nil) == nil, nil })
	c, err := client.New(env.Config, client.Options{Scheme: env.Scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
