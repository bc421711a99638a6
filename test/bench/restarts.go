//go:build unix

package main

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	restartNodes = 20 // each takes 110 pods
	// loadPause is between two pods. Upstream's scheduler may send 50 requests a second: with more pods it would fall
	// behind.
	loadPause    = 25 * time.Millisecond
	manyRestarts = 50
)

// restarts has the scheduler started again, once while pods are made all the time, and then often.
func (b *bench) restarts(ctx context.Context, s side, dir string) error {
	c, err := s.launch(ctx, dir, restartNodes)
	if err != nil {
		return err
	}
	defer c.end()
	if err := c.client.nodes(ctx, restartNodes, true); err != nil {
		return fmt.Errorf("nodes: %w", err)
	}
	took, err := c.restartUnderLoad(ctx)
	if err != nil {
		return err
	}
	say("  restart %.2f s", took.Seconds())
	b.results.add("restart", s.name(), took.Seconds())
	if s.name() == "km" && b.wants("restart-goroutines", "restart-rss") {
		if err := b.restartOften(ctx, c); err != nil {
			return err
		}
	}
	_, err = c.stop(ctx)
	return err
}

// restartUnderLoad returns how long it takes from the moment when the scheduler's restart was asked for until it
// schedules again: until the end of the longest time without a pod that gets a node.
func (c *cluster) restartUnderLoad(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, podLimit)
	defer cancel()
	var made atomic.Int64
	bound := make(chan binding, restartNodes*110)
	failed := make(chan error, 2)
	var work sync.WaitGroup
	work.Go(func() { failed <- makeLoad(ctx, c.client, &made) })
	work.Go(func() { failed <- c.client.bindings(ctx, bound) })
	defer work.Wait()
	defer cancel()

	var times []time.Time
	until := func(number int64) error {
		for {
			select {
			case b := <-bound:
				times = append(times, b.at)
				if b.number >= number {
					return nil
				}
			case err := <-failed:
				return err
			}
		}
	}
	if err := until(40); err != nil { // the load is steady
		return 0, err
	}
	asked := time.Now()
	if err := c.restartScheduler(ctx); err != nil {
		return 0, err
	}
	// Of the pod after the one that is being made the old scheduler cannot have known.
	if err := until(made.Load() + 2); err != nil {
		return 0, err
	}
	return endOfLongestPause(times, asked).Sub(asked), nil
}

// endOfLongestPause is the end of the longest time between two that follow one another, of those that end after begin.
func endOfLongestPause(times []time.Time, begin time.Time) (end time.Time) {
	var longest time.Duration
	for i := 1; i < len(times); i++ {
		if pause := times[i].Sub(times[i-1]); times[i].After(begin) && pause > longest {
			longest, end = pause, times[i]
		}
	}
	return end
}

// makeLoad makes pods one after the other, until ctx ends. It counts them.
func makeLoad(ctx context.Context, c *client, made *atomic.Int64) error {
	for {
		if err := c.makePod(ctx, fmt.Sprintf("load-%d", made.Load()+1)); err != nil {
			return err
		}
		made.Add(1)
		if err := sleep(ctx, loadPause); err != nil {
			return err
		}
	}
}

// binding says when the pod of that number got a node.
type binding struct {
	number int64
	at     time.Time
}

// bindings tells of each pod that has got a node, until ctx ends.
func (c *client) bindings(ctx context.Context, found chan<- binding) error {
	known := map[string]bool{}
	return c.eachPod(ctx, func(pod *corev1.Pod) bool {
		if pod.Spec.NodeName == "" || known[pod.Name] {
			return false
		}
		known[pod.Name] = true
		number, _ := strconv.ParseInt(strings.TrimPrefix(pod.Name, "load-"), 10, 64)
		found <- binding{number, time.Now()}
		return false
	})
}

// restartOften compares what km takes before and after many restarts of its scheduler, each of which has to schedule a
// pod.
func (b *bench) restartOften(ctx context.Context, c *cluster) error {
	if err := c.deletePods(ctx); err != nil {
		return err
	}
	before, err := c.settled(ctx)
	if err != nil {
		return err
	}
	for i := range manyRestarts {
		if err := c.restartScheduler(ctx); err != nil {
			return fmt.Errorf("restart %d: %w", i+1, err)
		}
		if err := c.client.makePod(ctx, fmt.Sprintf("again-%d", i+1)); err != nil {
			return err
		}
		if err := c.client.running(ctx, i+1); err != nil {
			return fmt.Errorf("restart %d: %w", i+1, err)
		}
	}
	if err := c.deletePods(ctx); err != nil {
		return err
	}
	after, err := c.settled(ctx)
	if err != nil {
		return err
	}
	// What the Go runtime keeps for later, and pages of files, are resident, too: only the heap in use tells of a leak.
	b.results.note("run %d, %d restarts: resident memory %.0f → %.0f MB, of which not of files %.0f → %.0f MB; "+
		"heap in use after a collection %.0f → %.0f MB", b.run+1, manyRestarts, before.megabytes, after.megabytes, before.anonymous, after.anonymous, before.heap, after.heap)
	b.results.add("restart-goroutines", "km", after.goroutines-before.goroutines)
	b.results.add("restart-rss", "km", 100*(after.megabytes/before.megabytes-1))
	return nil
}

// deletePods deletes all pods at once, and waits until they are gone.
func (c *cluster) deletePods(ctx context.Context) error {
	pods := c.client.api.CoreV1().Pods(corev1.NamespaceDefault)
	if err := pods.DeleteCollection(ctx, *metav1.NewDeleteOptions(0), metav1.ListOptions{}); err != nil {
		return err
	}
	return c.poll(ctx, "pods", func() error {
		left, err := pods.List(ctx, metav1.ListOptions{})
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("%d are still there", len(left.Items))
		}
		return err
	})
}

// restarted are the servers that are restarted one by one, and how soon they are to be ready.
var restarted = []struct{ name, target string }{{"etcd", ""}, {"apiserver", "≤ 0.8 s"}, {"controller-manager", ""}, {"scheduler", "≤ 0.3 s"},
	{"executor", ""}, {"proxy", ""}}

func restartEachRows() (all []row) {
	for _, s := range restarted {
		all = append(all, row{"restart-" + s.name, "km restart " + s.name + " → it is ready", "s", s.target, false, alone})
	}
	return all
}

func restartRows() (names []string) {
	for _, r := range restartEachRows() {
		names = append(names, r.name)
	}
	return names
}

// restartEach restarts each server of km once.
func (b *bench) restartEach(ctx context.Context, s side, dir string) error {
	c, err := s.launch(ctx, dir, 1)
	if err != nil {
		return err
	}
	defer c.end()
	if err := c.pause(ctx, settle); err != nil {
		return err
	}
	for _, server := range restarted {
		took, err := timeCommand(ctx, b.km, "--data-dir", filepath.Join(dir, "data"), "restart", server.name)
		if err != nil {
			return fmt.Errorf("%s: %w", server.name, err)
		}
		b.results.add("restart-"+server.name, s.name(), took.Seconds())
		if err := c.pause(ctx, time.Second); err != nil { // what has lost it comes back
			return err
		}
	}
	_, err = c.stop(ctx)
	return err
}

// taken is what a cluster of one process takes. Memory is in megabytes.
type taken struct{ goroutines, megabytes, anonymous, heap float64 }

var (
	goroutineTotal = regexp.MustCompile(`^goroutine profile: total (\d+)`)
	heapAlloc      = regexp.MustCompile(`(?m)^# HeapAlloc = (\d+)`)
)

// settled waits until a cluster has come to rest, after a garbage collection, and returns the least that it takes
// within ten seconds: what comes and goes is not what stays.
func (c *cluster) settled(ctx context.Context) (least taken, err error) {
	c.client.close()
	heap, err := c.askNumber(ctx, "/debug/pprof/heap?gc=1&debug=1", heapAlloc)
	if err != nil {
		return least, err
	}
	if err := c.pause(ctx, idleTime); err != nil {
		return least, err
	}
	least = taken{math.Inf(1), math.Inf(1), math.Inf(1), heap / 1e6}
	for range 10 {
		n, err := c.askNumber(ctx, "/debug/pprof/goroutine?debug=1", goroutineTotal)
		if err != nil {
			return least, err
		}
		p := c.processes()[0]
		all, err := p.rss()
		if err != nil {
			return least, err
		}
		anonymous, err := p.anonymous()
		if err != nil {
			return least, err
		}
		least.goroutines, least.megabytes, least.anonymous = min(least.goroutines, n), min(least.megabytes, all), min(least.anonymous, anonymous)
		if err := c.pause(ctx, time.Second); err != nil {
			return least, err
		}
	}
	return least, nil
}

// askNumber gets something of km's own API that has a number in it.
func (c *cluster) askNumber(ctx context.Context, path string, where *regexp.Regexp) (float64, error) {
	text, err := c.ask(ctx, path)
	if err != nil {
		return 0, err
	}
	match := where.FindStringSubmatch(text)
	if match == nil {
		return 0, fmt.Errorf("%s has nothing like %s", path, where)
	}
	return strconv.ParseFloat(match[1], 64)
}
