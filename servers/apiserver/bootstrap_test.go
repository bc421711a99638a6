package apiserver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	k8stesting "k8s.io/client-go/testing"
	schedulingv1 "k8s.io/kubernetes/pkg/apis/scheduling/v1"
)

// A server is asked without a connection as it would be with one.
func TestInProcess(t *testing.T) {
	p := inProcess{token: "secret", handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Authorization") != "Bearer secret" {
			t.Errorf("it gets %v, %v", r.Header, err)
		}
		switch r.URL.Path {
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/teapot":
			w.Header().Set("A", "b")
			w.WriteHeader(http.StatusTeapot)
			_, _ = w.Write(append([]byte("got "), body...))
		}
	})}
	client := http.Client{Transport: &p}
	answer, err := client.Post("http://in-process/teapot", "text/plain", strings.NewReader("text"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil || string(body) != "got text" || answer.StatusCode != http.StatusTeapot || answer.Header.Get("A") != "b" {
		t.Errorf("the answer is %v with %q, %v", answer, body, err)
	}
	if answer, err = client.Get("http://in-process/nothing"); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("the answer of a handler that says nothing is %v, %v", answer, err)
	}
	if _, err = client.Get("http://in-process/abort"); err == nil || !strings.Contains(err.Error(), "aborted") {
		t.Errorf("the error is %v", err)
	}
}

// Upstream's hooks are left out of one server where km's come in their place, and that is where upstream has them: by
// its authorizers and its APIs.
func TestBootstraps(t *testing.T) {
	const roles, priorities = "rbac/bootstrap-roles", "scheduling/bootstrap-system-priority-classes"
	for _, test := range []struct {
		disabled, missing string   // in the config; the API that is not served
		want              []string // km's
		own               int      // bindings of km's
		kubernetes        bool     // whether Kubernetes' roles are made
	}{
		{"other", "", []string{priorities, roles}, 1, true},
		{roles, "", []string{priorities, "km/bootstrap-roles"}, 1, false}, // another authorizer
		{roles, "", []string{priorities}, 0, false},
		{"other", "", []string{priorities, roles}, 0, true},
		{priorities, "", []string{roles}, 1, true},
		{"other", "scheduling.k8s.io", []string{roles}, 1, true},
		{"other", "rbac.authorization.k8s.io", []string{priorities}, 1, false},
	} {
		disabled := sets.NewString(test.disabled)
		config := &genericapiserver.Config{DisabledPostStartHooks: disabled}
		r := &rights{}
		for range test.own {
			r.bind("own", "cluster-admin", user("somebody"))
		}
		part, all := newBootstraps(config, r, slog.New(slog.DiscardHandler), func(group string) bool { return group != test.missing })
		var names []string
		for _, b := range all {
			names = append(names, b.name)
			if !config.DisabledPostStartHooks.Has(b.name) && b.name != "km/bootstrap-roles" {
				t.Errorf("%v: upstream has %s, too", test, b.name)
			}
		}
		if !slices.Equal(names, test.want) || !config.DisabledPostStartHooks.Has(test.disabled) || disabled.Len() != 1 {
			t.Errorf("%v: it has %q; disabled are %v, and at the other servers %v", test, names, config.DisabledPostStartHooks, disabled)
		}
		if (len(r.clusterRoles) > 0) != test.kubernetes || (part != nil) != (len(test.want) > 0 && strings.HasSuffix(test.want[len(test.want)-1], "bootstrap-roles")) {
			t.Errorf("%v: %d cluster roles, in %v", test, len(r.clusterRoles), part)
		}
	}
}

// What is slow is waited for, and tried again; what users have put in the way is not waited for, and tried again, too.
// At a stop nothing is waited for, and nothing fails.
func TestBootstrap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan error)
		b := newBootstrap("roles", func(context.Context, kubernetes.Interface) error { return <-answers })
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		hook := make(chan error, 1)
		go func() { hook <- b.hook(ctx)(genericapiserver.PostStartHookContext{}) }()
		go b.make(ctx, nil, slog.New(slog.DiscardHandler))
		pending := func(what string) {
			t.Helper()
			synctest.Wait()
			select {
			case err := <-hook:
				t.Fatalf("%s: the hook has ended with %v", what, err)
			default:
			}
		}
		answers <- errors.New("etcd is slow")
		answers <- errors.New("etcd is slow")
		pending("it is slow")
		answers <- errors.New(`failed calling webhook "left.example": no route`)
		synctest.Wait()
		if err := <-hook; err != nil || !isClosed(b.refused) || !strings.Contains(b.refusal.Error(), "left.example") || isClosed(b.done) {
			t.Errorf("it is refused: %v, %v", err, b.refusal)
		}
		answers <- errors.New(`failed calling webhook "other.example": no route`)
		answers <- nil
		<-b.done
		if !strings.Contains(b.refusal.Error(), "left.example") {
			t.Errorf("the refusal has changed to %v", b.refusal)
		}

		b = newBootstrap("roles", func(ctx context.Context, _ kubernetes.Interface) error { <-ctx.Done(); return ctx.Err() })
		go func() { hook <- b.hook(ctx)(genericapiserver.PostStartHookContext{}) }()
		go b.make(ctx, nil, slog.New(slog.DiscardHandler))
		pending("it hangs")
		stop()
		if err := <-hook; err != nil || isClosed(b.done) || isClosed(b.refused) {
			t.Errorf("at a stop the hook ends with %v", err)
		}
	})
}

// The priority classes are made that are not there, and no other is touched.
func TestPriorityClasses(t *testing.T) {
	want := schedulingv1.SystemPriorityClasses()
	changed := want[0].DeepCopy()
	changed.Description = "of a user"
	client := fake.NewClientset(changed)
	for range 2 {
		if err := ensurePriorityClasses(t.Context(), client); err != nil {
			t.Fatal(err)
		}
	}
	writes := slices.DeleteFunc(client.Actions(), func(a k8stesting.Action) bool { return a.GetVerb() == "get" })
	if len(writes) != len(want)-1 {
		t.Errorf("written: %v", writes)
	}
	there, err := client.SchedulingV1().PriorityClasses().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(there.Items) != len(want) {
		t.Errorf("%d are there, %v", len(there.Items), err)
	}
	client.PrependReactor("get", "*", func(k8stesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewInternalError(errors.New("slow"))
	})
	if err := ensurePriorityClasses(t.Context(), client); err == nil {
		t.Error("an error is no error")
	}
}
