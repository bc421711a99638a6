package apiserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zaptest/observer"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	rbacrest "k8s.io/kubernetes/pkg/registry/rbac/rest"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy"

	"github.com/seed-200a7251/km/servers/cluster"
)

// upstreamsRoles is upstream's hook.
func upstreamsRoles(t *testing.T) genericapiserver.PostStartHookFunc {
	t.Helper()
	name, hook, err := rbacrest.RESTStorageProvider{}.PostStartHook()
	if err != nil || name != rbacrest.PostStartHookName {
		t.Fatalf("upstream's hook is %s, %v", name, err)
	}
	return hook
}

// In any data the result is that of upstream's hook, object by object, by the same writes: in a new cluster, in one of
// an older version, and where users have changed, removed and protected roles and bindings. What is right is not asked
// for by itself.
func TestRolesAsUpstream(t *testing.T) {
	t.Cleanup(klog.CaptureState().Restore)
	klog.SetLogger(logr.Discard())        // upstream's hook tells of what is protected
	synctest.Test(t, func(t *testing.T) { // upstream pauses for a second
		hook := upstreamsRoles(t)
		whole := newStore(nil)
		upstream := func(s *store) {
			t.Helper()
			if err := hook(genericapiserver.PostStartHookContext{LoopbackClientConfig: s.config(), Context: t.Context()}); err != nil {
				t.Fatal(err)
			}
		}
		upstream(whole)
		r := &rights{}
		r.addKubernetes()
		if want := len(r.clusterRoles) + len(r.clusterBindings) + len(r.roles) + len(r.bindings); len(whole.objects) < want || want < 100 {
			t.Fatalf("upstream makes %d objects, and km %d", len(whole.objects), want)
		}
		ensure := func(s *store) {
			t.Helper()
			client, err := kubernetes.NewForConfig(s.config())
			if err != nil {
				t.Fatal(err)
			}
			if err := r.ensure(t.Context(), client, slog.New(slog.DiscardHandler)); err != nil {
				t.Fatal(err)
			}
		}
		datas := map[string]map[string]runtime.Object{"new": nil, "as it is": whole.objects, "of an older version": older(whole.objects)}
		for seed := range uint64(60) {
			datas[fmt.Sprint("changed, seed ", seed)] = changed(whole.objects, rand.New(rand.NewPCG(seed, 1)))
		}
		for name, data := range datas {
			want, got := newStore(data), newStore(data)
			upstream(want)
			ensure(got)
			if diff := cmp.Diff(want.plain(), got.plain()); diff != "" {
				t.Errorf("%s: not as upstream's hook leaves it (-upstream +km):\n%s", name, diff)
			}
			if diff := cmp.Diff(want.written(), got.written()); diff != "" {
				t.Errorf("%s: not written as upstream's hook writes (-upstream +km):\n%s", name, diff)
			}
			before, writes := got.asked, len(got.writes)
			ensure(got)
			if asked := got.asked - before; asked > 10 || len(got.writes) > writes {
				t.Errorf("%s: once all is there, it takes %d requests, and it writes %q", name, asked, got.writes[writes:])
			}
		}
	})
}

// older is data of a version in which roles were not aggregated yet, and system:discovery was one, with what users have
// changed in it.
func older(data map[string]runtime.Object) map[string]runtime.Object {
	old := copied(data)
	for from, to := range bootstrappolicy.ClusterRolesToAggregate() {
		delete(old, clusterPath+"roles/"+to)
		role := old[clusterPath+"roles/"+from].(*rbacv1.ClusterRole)
		role.AggregationRule = nil
		role.Rules = append(role.Rules, rbacv1.PolicyRule{APIGroups: []string{"example.com"}, Resources: []string{"toys"}, Verbs: []string{"get"}})
	}
	for from, to := range bootstrappolicy.ClusterRoleBindingsToSplit() {
		delete(old, clusterPath+"rolebindings/"+to.Name)
		binding := old[clusterPath+"rolebindings/"+from].(*rbacv1.ClusterRoleBinding)
		binding.Subjects = []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "alone"}}
		binding.Labels = map[string]string{"of": "a user"}
	}
	return old
}

// changed is data in which users have been at everything.
func changed(data map[string]runtime.Object, random *rand.Rand) map[string]runtime.Object {
	of := copied(data)
	extra := rbacv1.PolicyRule{APIGroups: []string{"example.com"}, Resources: []string{"toys"}, Verbs: []string{"get"}}
	changeRules := func(rules []rbacv1.PolicyRule) []rbacv1.PolicyRule {
		switch n := len(rules); {
		case n > 0 && random.IntN(2) == 0:
			i := random.IntN(n)
			return slices.Delete(rules, i, i+1)
		case n > 0 && random.IntN(2) == 0:
			rules[random.IntN(n)].Verbs = []string{"get"}
			return rules
		}
		return append(rules, extra)
	}
	changeSubjects := func(subjects []rbacv1.Subject) []rbacv1.Subject {
		if len(subjects) > 0 && random.IntN(2) == 0 {
			return subjects[1:]
		}
		return append(subjects, rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "somebody"})
	}
	for _, key := range slices.Sorted(maps.Keys(of)) { // the same ones with a seed
		if strings.HasPrefix(key, "/api/v1/") {
			continue
		}
		o := of[key].(metav1.Object)
		for range random.IntN(3) {
			switch random.IntN(6) {
			case 0:
				delete(of, key)
			case 1:
				o.SetLabels(map[string]string{"kubernetes.io/bootstrapping": "never", "a": "b"})
			case 2:
				o.SetAnnotations(map[string]string{rbacv1.AutoUpdateAnnotationKey: "false"})
			case 3:
				o.SetAnnotations(nil)
			default:
				switch o := o.(type) {
				case *rbacv1.ClusterRole:
					o.Rules = changeRules(o.Rules)
					if o.AggregationRule != nil && random.IntN(2) == 0 { // without one it would be of an older version
						o.AggregationRule.ClusterRoleSelectors[0].MatchLabels = map[string]string{"other": "yes"}
					}
				case *rbacv1.Role:
					o.Rules = changeRules(o.Rules)
				case *rbacv1.ClusterRoleBinding:
					o.Subjects = changeSubjects(o.Subjects)
					if random.IntN(3) == 0 {
						o.RoleRef.Name = "view"
					}
				case *rbacv1.RoleBinding:
					o.Subjects = changeSubjects(o.Subjects)
					if random.IntN(3) == 0 {
						o.RoleRef = rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"}
					}
				}
			}
		}
	}
	return of
}

// What others do while the roles are made is seen: what they have made is not made again, and what they have changed or
// removed since it was listed is right in the end.
func TestRolesWhileOthersWrite(t *testing.T) {
	role := func(verbs ...string) *rbacv1.ClusterRole {
		return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: verbs}}}
	}
	r := &rights{clusterRoles: []*rbacv1.ClusterRole{role("get")}}
	r.bind("one", "one", user("somebody"))
	for name, test := range map[string]struct{ listed, since *rbacv1.ClusterRole }{
		"made since":    {nil, role("list")},
		"changed since": {role("list"), role("watch")},
		"removed since": {role("list"), nil},
	} {
		s := newStore(nil)
		if test.listed != nil {
			s.put(clusterPath+"roles/one", test.listed.DeepCopy())
		}
		s.onList = func(resource string) {
			if resource != clusterPath+"rolebindings" { // the roles are listed before
				return
			}
			delete(s.objects, clusterPath+"roles/one")
			if test.since != nil {
				s.put(clusterPath+"roles/one", test.since.DeepCopy())
			}
		}
		client, err := kubernetes.NewForConfig(s.config())
		if err != nil {
			t.Fatal(err)
		}
		if err := r.ensure(t.Context(), client, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var verbs []string
		for _, rule := range s.objects[clusterPath+"roles/one"].(*rbacv1.ClusterRole).Rules {
			verbs = append(verbs, rule.Verbs...)
		}
		want := []string{"get"}
		if test.since != nil {
			want = append(slices.Clone(test.since.Rules[0].Verbs), "get")
		}
		if !slices.Equal(verbs, want) {
			t.Errorf("%s: it allows %q, want %q", name, verbs, want)
		}
	}
}

// All that can be made is made, and one error stands for the others: a refusal if there is one.
func TestRolesThatAreRefused(t *testing.T) {
	s := newStore(nil)
	s.refuse = func(key string) error {
		switch key {
		case clusterPath + "roles/edit":
			return errors.New("slow")
		case clusterPath + "rolebindings/cluster-admin", clusterPath + "roles/view":
			return errors.New(`failed calling webhook "left.example": no route`)
		}
		return nil
	}
	r := &rights{}
	r.addKubernetes()
	client, err := kubernetes.NewForConfig(s.config())
	if err != nil {
		t.Fatal(err)
	}
	err = r.ensure(t.Context(), client, slog.New(slog.DiscardHandler))
	if !cluster.Refused(err) || !strings.Contains(err.Error(), " cannot be made: ") || !strings.HasSuffix(err.Error(), "(and 2 more)") {
		t.Errorf("the error is %v", err)
	}
	all := len(r.clusterRoles) + len(r.clusterBindings) + len(r.roles) + len(r.bindings)
	made := 0
	for key := range s.objects {
		if !strings.HasPrefix(key, "/api/v1/") {
			made++
		}
	}
	if made != all-3 {
		t.Errorf("%d of %d are made", made, all)
	}
}

// What users have protected from being reconciled is told of if it lacks something.
func TestProtectedRoles(t *testing.T) {
	r := rightsOf(cluster.New())
	s := newStore(nil)
	for _, binding := range r.clusterBindings {
		binding := binding.DeepCopy()
		binding.Subjects, binding.Annotations = nil, map[string]string{rbacv1.AutoUpdateAnnotationKey: "false"}
		s.put(clusterPath+"rolebindings/"+binding.Name, binding)
	}
	client, err := kubernetes.NewForConfig(s.config())
	if err != nil {
		t.Fatal(err)
	}
	core, lines := observer.New(zap.WarnLevel)
	if err := r.ensure(t.Context(), client, slog.New(zapslog.NewHandler(core))); err != nil || len(s.writes) != 0 {
		t.Errorf("%v, written: %q", err, s.writes)
	}
	if lines.FilterMessageSnippet("protected").Len() != len(r.clusterBindings) {
		t.Errorf("told: %v", lines.All())
	}
}

const (
	rbacPath    = "/apis/rbac.authorization.k8s.io/v1/"
	clusterPath = rbacPath + "cluster"
)

// store is an API server for what roles and bindings need: objects by their paths.
type store struct {
	mu      sync.Mutex
	objects map[string]runtime.Object
	last    int // resourceVersion, and uid
	asked   int // requests
	writes  []string
	onList  func(resource string)     // called, with the lock held, when something is listed; may be nil
	refuse  func(object string) error // why something is not created; may be nil
}

func newStore(objects map[string]runtime.Object) *store { return &store{objects: copied(objects)} }

func copied(objects map[string]runtime.Object) map[string]runtime.Object {
	of := map[string]runtime.Object{}
	for key, o := range objects {
		of[key] = o.DeepCopyObject()
	}
	return of
}

func (s *store) config() *rest.Config { return clientOf(&inProcess{handler: s}) }

// plain are the objects without what each store numbers by itself.
func (s *store) plain() map[string]runtime.Object {
	of := copied(s.objects)
	for _, o := range of {
		o := o.(metav1.Object)
		o.SetUID("")
		o.SetResourceVersion("")
	}
	return of
}

// written are the writes, in any order, each as often as it was done.
func (s *store) written() []string { return slices.Sorted(slices.Values(s.writes)) }

// put stores an object. The lock is held.
func (s *store) put(key string, o runtime.Object) {
	s.last++
	accessor, err := meta.Accessor(o)
	if err != nil {
		panic(err)
	}
	accessor.SetResourceVersion(strconv.Itoa(s.last))
	if accessor.GetUID() == "" {
		accessor.SetUID(types.UID(strconv.Itoa(s.last)))
	}
	s.objects[key] = o
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	answer, code, err := s.answer(r)
	if err != nil {
		status := apierrors.NewInternalError(err).Status()
		if known, ok := errors.AsType[*apierrors.StatusError](err); ok {
			status = known.Status()
		}
		status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		answer, code = &status, int(status.Code)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		panic(err)
	}
}

func (s *store) answer(r *http.Request) (answer any, code int, err error) {
	key, name := r.URL.Path, path.Base(r.URL.Path)
	switch resource := rbacv1.Resource("something"); r.Method {
	case http.MethodGet:
		switch {
		case slices.Contains([]string{"clusterroles", "clusterrolebindings", "roles", "rolebindings"}, name):
			list := map[string]any{"kind": kinds[name] + "List", "apiVersion": "rbac.authorization.k8s.io/v1"}
			var items []runtime.Object
			for _, k := range slices.Sorted(maps.Keys(s.objects)) {
				if path.Dir(k) == key {
					items = append(items, s.objects[k].DeepCopyObject())
				}
			}
			if list["items"] = items; s.onList != nil {
				s.onList(key)
			}
			return list, http.StatusOK, nil
		case s.objects[key] != nil:
			return typed(s.objects[key]), http.StatusOK, nil
		}
		return nil, 0, apierrors.NewNotFound(resource, name)
	case http.MethodPost, http.MethodPut:
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, 0, err
		}
		o, err := runtime.Decode(scheme.Codecs.UniversalDeserializer(), body)
		if err != nil {
			return nil, 0, err
		}
		given := o.(metav1.Object)
		if r.Method == http.MethodPost {
			key = path.Join(key, given.GetName())
		}
		there, _ := s.objects[key].(metav1.Object)
		switch {
		case r.Method == http.MethodPost && there != nil:
			return nil, 0, apierrors.NewAlreadyExists(resource, name)
		case r.Method == http.MethodPost && given.GetResourceVersion() != "":
			return nil, 0, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
		case r.Method == http.MethodPut && there == nil:
			return nil, 0, apierrors.NewNotFound(resource, name)
		case r.Method == http.MethodPut && there.GetResourceVersion() != given.GetResourceVersion():
			return nil, 0, apierrors.NewConflict(resource, name, errors.New("it has changed"))
		}
		if r.Method == http.MethodPost {
			given.SetUID("")
			if s.refuse != nil {
				if err := s.refuse(key); err != nil {
					return nil, 0, err
				}
			}
		}
		s.writes = append(s.writes, r.Method+" "+key)
		s.put(key, o)
		return typed(o), http.StatusCreated, nil
	case http.MethodDelete:
		s.writes = append(s.writes, r.Method+" "+key)
		delete(s.objects, key)
		return &metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess}, http.StatusOK, nil
	}
	return nil, 0, errors.New(r.Method)
}

var kinds = map[string]string{"clusterroles": "ClusterRole", "clusterrolebindings": "ClusterRoleBinding", "roles": "Role", "rolebindings": "RoleBinding"}

// typed has the object say what it is, as in an answer.
func typed(o runtime.Object) runtime.Object {
	o = o.DeepCopyObject()
	kind := "Namespace"
	version := corev1.SchemeGroupVersion
	switch o.(type) {
	case *rbacv1.ClusterRole:
		kind, version = "ClusterRole", rbacv1.SchemeGroupVersion
	case *rbacv1.ClusterRoleBinding:
		kind, version = "ClusterRoleBinding", rbacv1.SchemeGroupVersion
	case *rbacv1.Role:
		kind, version = "Role", rbacv1.SchemeGroupVersion
	case *rbacv1.RoleBinding:
		kind, version = "RoleBinding", rbacv1.SchemeGroupVersion
	}
	o.GetObjectKind().SetGroupVersionKind(version.WithKind(kind))
	return o
}
