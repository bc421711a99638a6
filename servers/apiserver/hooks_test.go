package apiserver

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.uber.org/zap"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"
)

const rolesPath = "/apis/rbac.authorization.k8s.io/v1/cluster"

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

// fakeServer answers what makeRoles and hooks ask. roles is how many cluster roles there are.
func fakeServer(roles int, made *atomic.Int64) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method == http.MethodPost && strings.HasPrefix(r.URL.Path, rolesPath):
			made.Add(1)
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{}`)
		case r.URL.Path == rolesPath+"roles":
			_, _ = io.WriteString(w, `{"kind":"ClusterRoleList","apiVersion":"rbac.authorization.k8s.io/v1","items":[`+
				strings.TrimSuffix(strings.Repeat(`{"metadata":{"name":"a"}},`, roles), ",")+`]}`)
		case strings.HasPrefix(r.URL.Path, "/apis/scheduling.k8s.io/"):
			_, _ = io.WriteString(w, `{}`)
		default:
			http.NotFound(w, r)
		}
	})
}

// All cluster roles and bindings are made in a new cluster, and none in one that has some.
func TestMakeRoles(t *testing.T) {
	all := len(bootstrappolicy.ClusterRoles()) + len(bootstrappolicy.ControllerRoles()) +
		len(bootstrappolicy.ClusterRoleBindings()) + len(bootstrappolicy.ControllerRoleBindings())
	for roles, want := range map[int]int{0: all, 1: 0} {
		var made atomic.Int64
		if err := makeRoles(t.Context(), clientOf(&inProcess{handler: fakeServer(roles, &made)})); err != nil {
			t.Error(err)
		}
		if int(made.Load()) != want {
			t.Errorf("with %d roles %d are made, want %d", roles, made.Load(), want)
		}
	}
}

// A hook is started at once, and its requests are sent when the roles have been made.
func TestEarlyHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		early := startHooks(t.Context(), []string{"Node"})
		if early.has("rbac/bootstrap-roles") || len(early.results) != 1 {
			t.Errorf("without RBAC %v are started", early.results)
		}
		var made atomic.Int64
		seen := int64(-1)
		early.start("rbac/bootstrap-roles", func(hook genericapiserver.PostStartHookContext) error {
			client, err := kubernetes.NewForConfig(hook.LoopbackClientConfig)
			if err != nil {
				return err
			}
			_, err = client.RbacV1().ClusterRoles().List(hook.Context, metav1.ListOptions{})
			seen = made.Load()
			return err
		})
		disabled := sets.NewString("other")
		config := &genericapiserver.Config{DisabledPostStartHooks: disabled}
		early.takeFrom(config)
		if !config.DisabledPostStartHooks.HasAll("other", "rbac/bootstrap-roles", "scheduling/bootstrap-system-priority-classes") || disabled.Len() != 1 {
			t.Errorf("disabled are %v, and at the other servers %v", config.DisabledPostStartHooks, disabled)
		}
		early.server = inProcess{handler: fakeServer(0, &made)}
		synctest.Wait()
		if seen != -1 {
			t.Error("a request is sent before the server takes any")
		}
		early.serve(zap.NewNop())
		if err := <-early.results["rbac/bootstrap-roles"]; err != nil || seen == 0 {
			t.Errorf("the hook ends with %v, and finds %d roles", err, seen)
		}
		<-early.results["scheduling/bootstrap-system-priority-classes"]
	})
}

// Which hooks there are with an authorizer that is described in a file, only the server's config tells.
func TestEarlyHooksOfAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for disabled, want := range map[string]bool{"other": true, "rbac/bootstrap-roles": false} {
			ctx, cancel := context.WithCancel(t.Context())
			early := startHooks(ctx, nil)
			early.takeFrom(&genericapiserver.Config{DisabledPostStartHooks: sets.NewString(disabled)})
			if early.has("rbac/bootstrap-roles") != want {
				t.Errorf("with %s disabled, the hook is started: %v", disabled, !want)
			}
			cancel()
			for _, result := range early.results {
				if err := <-result; err == nil {
					t.Error("a hook succeeds without a server")
				}
			}
		}
	})
}

// A hook whose request is refused by what users have put in its way goes on, and the server need not wait for it; other
// errors are its own matter.
func TestRefusedHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan string, 2)
		early := &earlyHooks{ctx: t.Context(), results: map[string]chan error{}, open: make(chan struct{}), refused: make(chan struct{})}
		early.server = inProcess{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			message := <-answers
			if message == "" {
				_, _ = io.WriteString(w, `{"kind":"ClusterRole","apiVersion":"rbac.authorization.k8s.io/v1"}`)
				return
			}
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":500,"message":"`+message+`"}`)
		})}
		early.start("roles", func(hook genericapiserver.PostStartHookContext) error {
			client, err := kubernetes.NewForConfig(hook.LoopbackClientConfig)
			if err != nil {
				return err
			}
			_, err = client.RbacV1().ClusterRoles().Create(hook.Context, &rbacv1.ClusterRole{}, metav1.CreateOptions{})
			return err
		})
		close(early.open)
		answers <- `failed calling webhook \"left.example\": no route`
		synctest.Wait()
		if !early.isRefused() || !strings.Contains(early.refusal.Error(), "left.example") {
			t.Fatal("that it is refused is not seen")
		}
		select {
		case err := <-early.results["roles"]:
			t.Errorf("it gives up: %v", err)
		default:
		}
		answers <- ""
		if err := <-early.results["roles"]; err != nil {
			t.Error(err)
		}
	})
}

// A hook that gives up, as its server is slow, is called again: upstream's would end the process.
func TestHookIsCalledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		early := &earlyHooks{ctx: t.Context(), results: map[string]chan error{}, open: make(chan struct{}), refused: make(chan struct{})}
		calls := 0
		early.start("roles", func(genericapiserver.PostStartHookContext) error {
			if calls++; calls < 3 {
				return errors.New("timed out waiting for the condition")
			}
			return nil
		})
		if err := <-early.results["roles"]; err != nil || calls != 3 {
			t.Errorf("after %d calls: %v", calls, err)
		}
	})
}

// What ends a hook at a stop is no failure of the server's.
func TestHookIsEnded(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	early := &earlyHooks{ctx: ctx, results: map[string]chan error{}, open: make(chan struct{}), refused: make(chan struct{})}
	early.start("roles", func(genericapiserver.PostStartHookContext) error {
		stop()
		return errors.New("timed out waiting for the condition")
	})
	server := &fakeHooks{}
	if err := early.addTo(server, nil, "", nil); err != nil {
		t.Fatal(err)
	}
	if err := server.hook(genericapiserver.PostStartHookContext{}); err != nil {
		t.Error(err)
	}
}

// fakeHooks is a server to which one hook is added.
type fakeHooks struct {
	hook genericapiserver.PostStartHookFunc
}

func (f *fakeHooks) AddPostStartHook(_ string, hook genericapiserver.PostStartHookFunc) error {
	f.hook = hook
	return nil
}
