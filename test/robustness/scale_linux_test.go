package robustness

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// scale is its name in the table of faults.
const scale = "both cores busy, many simulated nodes and pods"

// So many pods become Ready on so many simulated nodes, each with an address of its own, however busy the machine is:
// nothing says how long that may take, as long as more and more do.
func TestScale(t *testing.T) {
	dir, err := os.MkdirTemp("", "km-r-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	r := newRun(t, *seed, fmt.Sprint("--executor.nodes=", *nodes))
	r.home = home(dir)
	defer r.end()
	busy(t)
	p, err := r.home.start(r.args...)
	if err != nil {
		t.Fatal(err)
	}
	r.process = p
	wait := func(what string, want int, f func(context.Context) (int, error)) {
		t.Helper()
		if err := progress(t.Context(), p, what, want, f); err != nil {
			r.failed(err)
			t.FailNow()
		}
	}
	wait("nodes, and km is ready", *nodes+1, func(ctx context.Context) (int, error) {
		if strings.Contains(p.String(), readyLine) {
			return *nodes + 1, nil
		}
		return nodesThere(ctx, r.home)
	})
	config, err := r.home.config()
	if err != nil {
		t.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(config)
	const deployments = 5
	each := *pods / deployments
	for n := range deployments {
		load := deployment(fmt.Sprint("load-", n), int32(each))
		if _, err := client.AppsV1().Deployments(namespace).Create(t.Context(), load, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	wait("pods", each*deployments, func(ctx context.Context) (int, error) { return available(ctx, client, deployments) })

	all, err := client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	addresses := map[string]string{}
	for _, pod := range all.Items {
		ip := pod.Status.PodIP
		if other, taken := addresses[ip]; ip == "" || taken || len(pod.Status.PodIPs) != 1 {
			t.Errorf("%s has the addresses %v; %s has one of them", pod.Name, pod.Status.PodIPs, other)
		}
		addresses[ip] = pod.Name
	}
	if len(all.Items) != each*deployments {
		t.Errorf("there are %d pods, want %d", len(all.Items), each*deployments)
	}
	there, err := client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(there.Items) != *nodes {
		t.Errorf("there are %d nodes, want %d", len(there.Items), *nodes)
	}
	if !t.Failed() {
		count([]string{scale}, 0, 0, 0)
	}
}

// available is how many pods of all Deployments are.
func available(ctx context.Context, client kubernetes.Interface, deployments int) (sum int, _ error) {
	for n := range deployments {
		d, err := client.AppsV1().Deployments(namespace).Get(ctx, fmt.Sprint("load-", n), metav1.GetOptions{})
		if err != nil {
			return sum, err
		}
		sum += int(d.Status.AvailableReplicas)
	}
	return sum, nil
}

// nodesThere is how many nodes there are.
func nodesThere(ctx context.Context, h home) (int, error) {
	config, err := h.config()
	if err != nil {
		return 0, err
	}
	config.Timeout = opLimit
	some, err := kubernetes.NewForConfigOrDie(config).CoreV1().Nodes().List(ctx, metav1.ListOptions{Limit: 1})
	if err != nil {
		return 0, err
	}
	n := len(some.Items)
	if some.RemainingItemCount != nil {
		n += int(*some.RemainingItemCount)
	}
	return n, nil
}

// busy has each core work on something else, until the test ends.
func busy(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	for range runtime.NumCPU() {
		working.Go(func() {
			for x := uint64(1); ctx.Err() == nil; {
				for range 1 << 20 {
					x ^= x << 13
					x ^= x >> 7
				}
			}
		})
	}
	t.Cleanup(func() { stop(); working.Wait() })
}
