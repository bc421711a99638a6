//go:build unix

package main

import (
	"context"
	"fmt"
	goruntime "runtime"
	"strconv"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
)

// until watches objects of a kind until seen, which is called for each that is there and for each change, returns true.
// It watches because to ask a hundred times a second for seconds would show in the server's CPU time.
func until[T runtime.Object](ctx context.Context, c *client, resource, namespace string, kind T, seen func(watch.EventType, T) bool) error {
	objects := cache.NewListWatchFromClient(c.api.CoreV1().RESTClient(), resource, namespace, fields.Everything())
	_, err := watchtools.UntilWithSync(ctx, objects, kind, nil, func(e watch.Event) (bool, error) {
		object, ok := e.Object.(T)
		return ok && seen(e.Type, object), nil
	})
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

// serviceAccount waits for what no pod can be created without, which the controller manager makes.
func (c *client) serviceAccount(ctx context.Context) error {
	kind := &corev1.ServiceAccount{}
	return until(ctx, c, "serviceaccounts", corev1.NamespaceDefault, kind, func(_ watch.EventType, account *corev1.ServiceAccount) bool {
		return account.Name == "default"
	})
}

// nodes waits until as many nodes are Ready, and, if it is asked for, until the scheduler may use them: the node
// lifecycle controller allows that a moment later.
func (c *client) nodes(ctx context.Context, n int, usable bool) error {
	ready := map[string]bool{}
	return until(ctx, c, "nodes", metav1.NamespaceAll, &corev1.Node{}, func(_ watch.EventType, node *corev1.Node) bool {
		if isReady(node) && (!usable || len(node.Spec.Taints) == 0) {
			ready[node.Name] = true
		} else {
			delete(ready, node.Name)
		}
		return len(ready) >= n
	})
}

func isReady(node *corev1.Node) bool {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// makeNodes makes as many nodes for kwok to play, unless they are there. They have what km's simulated ones have.
func (c *client) makeNodes(ctx context.Context, n int) error {
	resources := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewQuantity(int64(goruntime.NumCPU()), resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(machineMemory(), resource.BinarySI),
		corev1.ResourcePods:   *resource.NewQuantity(110, resource.DecimalSI),
	}
	var g errgroup.Group
	g.SetLimit(16)
	for i := range n {
		name := "node-" + strconv.Itoa(i+1)
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{
				Name:        name,
				Annotations: map[string]string{"kwok.x-k8s.io/node": "fake"},
				Labels:      map[string]string{corev1.LabelHostname: name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: goruntime.GOARCH},
			},
			Status: corev1.NodeStatus{Capacity: resources, Allocatable: resources},
		}
		g.Go(func() error {
			_, err := c.api.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
			return ignore(err, apierrors.IsAlreadyExists)
		})
	}
	return g.Wait()
}

// ignore is err, or nil if it is one of that kind.
func ignore(err error, kind func(error) bool) error {
	if err != nil && kind(err) {
		return nil
	}
	return err
}

// makePod makes a pod that does nothing.
func (c *client) makePod(ctx context.Context, name string) error {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "pause", Image: "registry.k8s.io/pause:3.10"}}},
	}
	_, err := c.api.CoreV1().Pods(corev1.NamespaceDefault).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("pod %s: %w", name, err)
	}
	return nil
}

// eachPod calls seen for each pod that comes or changes, until it returns true.
func (c *client) eachPod(ctx context.Context, seen func(*corev1.Pod) bool) error {
	return until(ctx, c, "pods", corev1.NamespaceDefault, &corev1.Pod{}, func(what watch.EventType, pod *corev1.Pod) bool {
		return what != watch.Deleted && seen(pod)
	})
}

// running waits until n pods are Running.
func (c *client) running(ctx context.Context, n int) error {
	found := map[string]bool{}
	return c.eachPod(ctx, func(pod *corev1.Pod) bool {
		if pod.Status.Phase == corev1.PodRunning {
			found[pod.Name] = true
		}
		return len(found) >= n
	})
}
