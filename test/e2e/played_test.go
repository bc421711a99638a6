package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// What is ready stays so: when volumes are claimed, what is played is deleted, the executor or all of km starts again,
// or a node was lost.
func TestPlayedOn(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	args := []string{"--executor.nodes=2", "--controller-manager.node-monitor-period=1s"}
	p := h.run(t, args...)
	client := kubernetes.NewForConfigOrDie(h.config(t, "km"))

	t.Run("definitions deleted", func(t *testing.T) {
		h.must(t, "kubectl", "delete", "crd", "--all", patient)
		testPlays(t, h, "after-definitions")
		h.must(t, "kubectl", "get", "stage", "node-initialize", "node-heartbeat-with-lease", "pod-ready", "pod-delete")
	})
	sideBySide(t, unlimited,
		// kwok does so every ten seconds.
		subtest{"leases", func(t *testing.T) { testRenewed(t, client, "node-1", "node-2") }},
		subtest{"volumes", func(t *testing.T) { testVolumes(t, h, client) }},
	)
	t.Run("stages deleted", func(t *testing.T) {
		h.must(t, "kubectl", "delete", "stages", "--all", patient)
		testPlays(t, h, "after-stages")
	})
	t.Run("executor restarted", func(t *testing.T) {
		for n := range 2 {
			h.must(t, "restart", "executor")
			testAddresses(t, h, client, fmt.Sprintf("restarted-%d", n))
		}
	})

	// A user's own default class counts.
	h.must(t, "kubectl", "delete", "storageclass", "standard", "--ignore-not-found")
	h.apply(t, `
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: mine, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: km.local/folder
`)
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	p = h.run(t, args...)
	client = kubernetes.NewForConfigOrDie(h.config(t, "km")) // it listens on another port
	t.Run("all restarted", func(t *testing.T) {
		testAddresses(t, h, client, "all-restarted")
		if out := h.must(t, "kubectl", "get", "storageclass"); !strings.Contains(out, "mine (default)") || strings.Contains(out, "standard (default)") || !strings.Contains(out, "standard ") {
			t.Errorf("storage classes:\n%s", out)
		}
	})
	t.Run("node lost", func(t *testing.T) { testNodeLost(t, h, client) })
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// testPlays tests that pods start and go.
func testPlays(t *testing.T, h home, name string) {
	t.Helper()
	h.must(t, "kubectl", "create", "deployment", name, "--image=example.invalid/web", "--replicas=4")
	h.must(t, "kubectl", "rollout", "status", "deployment/"+name, patient)
	h.must(t, "kubectl", "delete", "pod", "-l", "app="+name, patient)
	h.must(t, "kubectl", "rollout", "status", "deployment/"+name, patient)
	if s := h.server(t, "executor"); s.State != "ready" || s.Restarts != 0 {
		t.Errorf("the executor is %+v", s)
	}
}

// testRenewed tests that the nodes live.
func testRenewed(t *testing.T, client kubernetes.Interface, nodes ...string) {
	t.Helper()
	first := map[string]string{}
	poll(t, "the leases of all nodes are renewed", func(ctx context.Context) (bool, error) {
		renewed := 0
		for _, node := range nodes {
			lease, err := client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, node, metav1.GetOptions{})
			if err != nil {
				return false, ignore(err, apierrors.IsNotFound)
			}
			if first[node] == "" {
				first[node] = lease.Spec.RenewTime.String()
			}
			if first[node] != lease.Spec.RenewTime.String() {
				renewed++
			}
		}
		return renewed == len(nodes), nil
	})
}

// Claims get volumes, as they are: by the default class and by a user's, of any mode, when a pod comes or at once; and
// when a claim goes, its volume does. Nothing is written.
func testVolumes(t *testing.T, h home, client kubernetes.Interface) {
	h.apply(t, workload("StatefulSet", "db", "serviceName: db\n  replicas: 2\n  volumeClaimTemplates:\n"+
		"  - {metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}", ""))
	h.must(t, "kubectl", "rollout", "status", "statefulset/db", patient)
	h.apply(t, `
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: at-once}
provisioner: km.local/folder
allowVolumeExpansion: true
reclaimPolicy: Retain
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: shared}
spec: {accessModes: [ReadWriteMany], volumeMode: Block, storageClassName: at-once, resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: unused}
spec: {accessModes: [ReadWriteOnce], storageClassName: standard, resources: {requests: {storage: 1Gi}}}
`)
	h.must(t, "kubectl", "wait", "--for=jsonpath={.status.phase}=Bound", "pvc/shared", "pvc/data-db-0", "pvc/data-db-1", patient)
	if out := h.must(t, "kubectl", "get", "pvc", "unused", "-o", "jsonpath={.status.phase}"); out != "Pending" {
		t.Errorf("a claim that no pod uses is %s", out)
	}
	h.must(t, "kubectl", "patch", "pvc", "shared", "-p", `{"spec":{"resources":{"requests":{"storage":"5Gi"}}}}`)
	h.must(t, "kubectl", "wait", "--for=jsonpath={.status.capacity.storage}=5Gi", "pvc/shared", patient)
	if _, err := os.Stat("/simulated"); err == nil {
		t.Error("something has been written")
	}
	h.must(t, "kubectl", "delete", "statefulset", "db", patient)
	h.must(t, "kubectl", "delete", "pvc", "--all", patient)
	poll(t, "only the volume that is to be retained is there, and released", func(ctx context.Context) (bool, error) {
		volumes, err := client.CoreV1().PersistentVolumes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		return len(volumes.Items) == 1 && volumes.Items[0].Spec.StorageClassName == "at-once" && volumes.Items[0].Status.Phase == corev1.VolumeReleased, nil
	})
}

// testAddresses makes pods, and tests that no address of a pod is another one's.
func testAddresses(t *testing.T, h home, client kubernetes.Interface, name string) {
	t.Helper()
	h.must(t, "kubectl", "create", "deployment", name, "--image=example.invalid/web", "--replicas=50")
	h.must(t, "kubectl", "rollout", "status", "deployment/"+name, patient)
	pods, err := client.CoreV1().Pods("").List(t.Context(), metav1.ListOptions{FieldSelector: "status.phase=Running"})
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]string{}
	for _, pod := range pods.Items {
		if other := has[pod.Status.PodIP]; other != "" || pod.Status.PodIP == "" || len(pod.Status.PodIPs) != 1 {
			t.Errorf("%s has the address %q (%v), as %q has", pod.Name, pod.Status.PodIP, pod.Status.PodIPs, other)
		}
		has[pod.Status.PodIP] = pod.Name
	}
	if len(has) < 50 {
		t.Errorf("%d pods have an address, want 50 or more", len(has))
	}
}

// When a node was lost and comes back, its pods are Ready again; but not one of which a user's Stage has it otherwise.
func testNodeLost(t *testing.T, h home, client kubernetes.Interface) {
	h.must(t, "kubectl", "run", "unready", "--image=example.invalid/unready")
	h.must(t, "kubectl", "run", "lost", "--image=example.invalid/lost")
	h.must(t, "kubectl", "wait", "--for=condition=ready", "pod/unready", "pod/lost", patient)
	h.apply(t, `
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: pod-unready}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchLabels: {run: unready}
    matchExpressions:
    - {key: '.status.conditions.[] | select( .type == "Ready" ) | .status', operator: In, values: ["True"]}
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
  next:
    statusTemplate: |
      conditions:
      - {type: Ready, status: "False", lastTransitionTime: {{ Now | Quote }}}
`)
	h.must(t, "kubectl", "label", "pod", "unready", "now=yes") // kwok looks at an object when it changes
	h.must(t, "kubectl", "wait", "--for=condition=ready=false", "pod/unready", patient)
	h.must(t, "kubectl", "delete", "stage", "pod-unready")
	// notReady are the running pods that are not.
	notReady := func(ctx context.Context) (names []string, all bool, err error) {
		pods, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "status.phase=Running"})
		if err != nil {
			return nil, false, err
		}
		for _, pod := range pods.Items {
			for _, c := range pod.Status.Conditions {
				if c.Type == corev1.PodReady && c.Status != corev1.ConditionTrue {
					names = append(names, pod.Name)
				}
			}
		}
		return names, len(names) == len(pods.Items), nil
	}
	if names, all, err := notReady(t.Context()); err != nil || len(names) != 1 || all {
		t.Fatalf("before the nodes are lost, these pods are not Ready: %v (%v)", names, err)
	}
	h.must(t, "stop", "executor")
	// Upstream counts a node as lost after 40 seconds or more. A controller that does so after one takes part until it
	// has: one that goes on with it would lose, on a busy machine, nodes that are back, whose leases are renewed every
	// ten seconds.
	hasty := h.run(t, "controller-manager", "--name=hasty", "--controller-manager.kubeconfig="+filepath.Join(h.dataDir("km"), "kubeconfig", "admin.conf"),
		"--controller-manager.controllers=node-lifecycle-controller", "--controller-manager.node-monitor-period=1s",
		"--controller-manager.node-monitor-grace-period=1s", "--controller-manager.kube-api-qps=500", "--controller-manager.kube-api-burst=500")
	poll(t, "the loss of the nodes", func(ctx context.Context) (bool, error) {
		_, all, err := notReady(ctx)
		return all, err
	})
	if code := hasty.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	h.must(t, "start", "executor")
	poll(t, "all pods Ready again", func(ctx context.Context) (bool, error) {
		names, _, err := notReady(ctx)
		return len(names) <= 1, err
	})
	if names, _, err := notReady(t.Context()); err != nil || len(names) != 1 || names[0] != "unready" {
		t.Errorf("not Ready are %v, want unready (%v)", names, err)
	}
	poll(t, "the nodes that are back have no taints", func(ctx context.Context) (bool, error) {
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		return !slices.ContainsFunc(nodes.Items, func(n corev1.Node) bool { return len(n.Spec.Taints) > 0 }), nil
	})
}
