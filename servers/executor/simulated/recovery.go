package simulated

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/seed-200a7251/km/supervisor"
)

// manager is by what name the executor's changes are known among an object's managedFields.
const manager = "km-executor"

// recovery makes pods Ready again whose node was away. When a node is lost, the controller-manager sets the condition
// Ready of its pods to False (MarkPodsNotReady in k8s.io/kubernetes/pkg/controller/util/node) and leaves it to the
// kubelet to set it back, whose periodic sync does so. km's Stages leave it alone (package pod): they cannot tell it
// from what a Stage of somebody's plays.
type recovery struct {
	server *supervisor.Server
	client kubernetes.Interface
	wake   chan struct{}

	mu    sync.Mutex
	ready map[string]bool // of each node that has said so, and is there
	looks map[string]int  // how often a node's pods are still to be looked at
}

// While the controller-manager sets the pods of a node to False, one after the other, the node may be back already:
// they are looked at more than once. There is an end to it, as others may have a say in it, too.
const (
	lookInterval = 2 * time.Second
	manyLooks    = 6
)

func newRecovery(s *supervisor.Server, client kubernetes.Interface) *recovery {
	return &recovery{server: s, client: client, wake: make(chan struct{}, 1), ready: map[string]bool{}, looks: map[string]int{}}
}

// changed is told of each node that is there, or has changed.
func (r *recovery) changed(node *corev1.Node) {
	c := condition(node, corev1.NodeReady)
	if c == nil {
		return // it is new, and has no pods
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	was, known := r.ready[node.Name]
	r.ready[node.Name] = c.Status == corev1.ConditionTrue
	switch {
	case c.Status != corev1.ConditionTrue:
		delete(r.looks, node.Name)
		return
	case !known:
		r.looks[node.Name] = 1 // it may have come back right before the end of the last run
	case !was:
		r.looks[node.Name] = manyLooks
	default:
		return
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// deleted is told of each node that goes.
func (r *recovery) deleted(node *corev1.Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ready, node.Name)
	delete(r.looks, node.Name)
}

// run looks at the pods of nodes that have come back, until ctx ends.
func (r *recovery) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		}
		for nodes := r.next(); len(nodes) > 0; nodes = r.next() {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(lookInterval):
			}
			if err := r.look(ctx, nodes); err != nil && ctx.Err() == nil {
				r.server.Slog().Info("pods of nodes that were away cannot be made Ready again yet", "err", err)
			}
		}
	}
}

// next are the nodes whose pods are to be looked at.
func (r *recovery) next() map[string]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	found := map[string]bool{}
	for name := range r.looks {
		found[name] = true
	}
	return found
}

// look makes the pods of these nodes Ready that are to be.
func (r *recovery) look(ctx context.Context, nodes map[string]bool) error {
	options := metav1.ListOptions{}
	if len(nodes) == 1 {
		for name := range nodes {
			options.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", name).String()
		}
	}
	pages := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return r.client.CoreV1().Pods(metav1.NamespaceAll).List(ctx, o)
	})
	err := pages.EachListItem(ctx, options, func(o runtime.Object) error {
		pod := o.(*corev1.Pod)
		if !nodes[pod.Spec.NodeName] || !wasReady(pod) {
			return nil
		}
		return r.makeReady(ctx, pod)
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name := range nodes {
		if r.looks[name]--; r.looks[name] <= 0 {
			delete(r.looks, name)
		}
	}
	return nil
}

// makeReady does it, unless the pod has changed since.
func (r *recovery) makeReady(ctx context.Context, pod *corev1.Pod) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID, "resourceVersion": pod.ResourceVersion},
		"status": map[string]any{"conditions": []any{map[string]any{
			"type": corev1.PodReady, "status": corev1.ConditionTrue, "lastTransitionTime": metav1.Now(),
		}}},
	})
	if err != nil {
		return err
	}
	_, err = r.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// wasReady reports whether a pod is not Ready for no other reason than that its node was away: its containers are, and
// its gates are open, as the kubelet has it; and it is not what a Stage has played, or somebody has set with kubectl.
func wasReady(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning {
		return false
	}
	is := map[corev1.PodConditionType]corev1.ConditionStatus{}
	for _, c := range pod.Status.Conditions {
		is[c.Type] = c.Status
	}
	for _, gate := range pod.Spec.ReadinessGates {
		if is[gate.ConditionType] != corev1.ConditionTrue {
			return false
		}
	}
	if is[corev1.PodReady] != corev1.ConditionFalse || is[corev1.ContainersReady] != corev1.ConditionTrue {
		return false
	}
	by := lastToSay(pod, corev1.PodReady)
	return by != manager && !strings.HasPrefix(by, "kubectl")
}

// lastToSay is who has set the status of a condition, by the pod's managedFields.
func lastToSay(pod *corev1.Pod, kind corev1.PodConditionType) string {
	path := fieldpath.MakePathOrDie("status", "conditions", fieldpath.KeyByFields("type", string(kind)), "status")
	for _, m := range pod.ManagedFields {
		if m.FieldsV1 == nil {
			continue
		}
		var set fieldpath.Set
		if err := set.FromJSON(m.FieldsV1.GetRawReader()); err == nil && set.Has(path) {
			return m.Manager
		}
	}
	return ""
}
