//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
)

// side is one of the two that are compared.
type side interface {
	name() string
	// launch starts a cluster with simulated nodes on the state in dir, which may be empty, and returns when all is
	// ready. If it fails, nothing that it has started runs any more.
	launch(ctx context.Context, dir string, nodes int) (*cluster, error)
	// access is how to reach a cluster in dir, from before its start on.
	access(dir string) access
}

// cluster is etcd, apiserver, controller manager, scheduler and kwok's controller, in however many processes.
type cluster struct {
	access
	ports ports
	began time.Time     // when its first process was started
	ready time.Time     // when it was seen from outside that all is ready
	own   time.Duration // when it said so itself, after began; 0 if it does not

	// steps are the processes in the order in which they are started; those of one step at the same time. They are
	// stopped the other way round.
	steps  [][]*proc
	client *client
	// restartScheduler stops the scheduler, and returns when it has been started again.
	restartScheduler func(ctx context.Context) error
	// admin talks to km's own API; nil for the other side.
	admin *http.Client
}

// ports are free ones, the same for both sides, which never run at the same time. The apiserver's is part of
// kubeconfigs.
type ports struct{ etcd, peer, apiserver, controllerManager, scheduler, kwok int }

func freePorts() (p ports, err error) {
	for _, port := range []*int{&p.etcd, &p.peer, &p.apiserver, &p.controllerManager, &p.scheduler, &p.kwok} {
		// All stay open until all are found, or the same one is found twice.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return p, err
		}
		defer l.Close()
		*port = l.Addr().(*net.TCPAddr).Port
	}
	return p, nil
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// poll asks until the answer is no error, every 10 ms, while all processes run.
func (c *cluster) poll(ctx context.Context, what string, ask func() error) error {
	for {
		err := ask()
		if err == nil {
			return nil
		}
		if dead := c.pause(ctx, 10*time.Millisecond); dead != nil {
			return fmt.Errorf("%s: %w; last answer: %w", what, dead, err)
		}
	}
}

// pause waits. It returns an error if a process has ended, or if ctx ends.
func (c *cluster) pause(ctx context.Context, d time.Duration) error {
	if err := sleep(ctx, d); err != nil {
		return err
	}
	for _, p := range c.processes() {
		if !p.running() {
			return fmt.Errorf("%s has ended by itself: %w", p.name, p.failure())
		}
	}
	return nil
}

// sleep waits. It returns an error if ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// awaitAPI waits until the apiserver says that it is ready.
func (c *cluster) awaitAPI(ctx context.Context) error {
	err := c.poll(ctx, "keys", func() (err error) {
		c.client, err = c.connect()
		return err
	})
	if err != nil {
		return err
	}
	return c.poll(ctx, "apiserver", func() error { return c.client.ok(ctx, c.apiserver+"/readyz") })
}

// awaitAll waits until all is ready: the apiserver and the scheduler say so at /readyz, the controller manager has made
// what no pod can be created without, and the nodes are Ready. It is the same check for both sides.
func (c *cluster) awaitAll(ctx context.Context, nodes int) error {
	if err := c.awaitAPI(ctx); err != nil {
		return err
	}
	if err := c.client.serviceAccount(ctx); err != nil {
		return fmt.Errorf("service account: %w", err)
	}
	err := c.poll(ctx, "scheduler", func() error { return c.client.ok(ctx, "https://"+address(c.ports.scheduler)+"/readyz") })
	if err != nil {
		return err
	}
	if err := c.client.nodes(ctx, nodes, false); err != nil {
		return fmt.Errorf("nodes: %w", err)
	}
	c.ready = time.Now()
	// An idle cluster has no clients: when it stops, it would wait a second for the end of an open connection.
	c.client.close()
	return nil
}

func (c *cluster) processes() (all []*proc) {
	for _, step := range c.steps {
		all = append(all, step...)
	}
	return all
}

// sum adds something up over all processes.
func (c *cluster) sum(of func(*proc) (float64, error)) (total float64, err error) {
	for _, p := range c.processes() {
		n, err := of(p)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// watch opens watches, ten on each connection, as informers of that many clients would. The request of each is what
// request makes of its number; what they get is written to a writer. They stay open until ctx ends; ended counts those
// that have ended.
func (c *cluster) watch(ctx context.Context, n int, to io.Writer, request func(api rest.Interface, i int) *rest.Request) (ended *atomic.Int64, err error) {
	ended = new(atomic.Int64)
	var connection *client
	for i := range n {
		if i%10 == 0 {
			if connection, err = c.connect(); err != nil {
				return nil, err
			}
			context.AfterFunc(ctx, connection.close)
		}
		body, err := request(connection.api.CoreV1().RESTClient(), i).Param("watch", "1").Param("timeoutSeconds", "600").Stream(ctx)
		if err != nil {
			return nil, fmt.Errorf("watch %d: %w", i+1, err)
		}
		go func() {
			defer body.Close()
			_, _ = io.Copy(to, body)
			ended.Add(1)
		}()
	}
	return ended, nil
}

// stop ends the cluster in good order and returns how long it took, from the first SIGTERM to the last exit.
func (c *cluster) stop(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	begin := time.Now()
	var last time.Time
	for i := len(c.steps) - 1; i >= 0; i-- {
		errs := make(chan error, len(c.steps[i]))
		for _, p := range c.steps[i] {
			go func() { errs <- p.terminate(ctx) }()
		}
		for range c.steps[i] {
			if err := <-errs; err != nil {
				return 0, err
			}
		}
		for _, p := range c.steps[i] {
			if p.ended.After(last) {
				last = p.ended
			}
		}
	}
	return last.Sub(begin), nil
}

// end is for a defer: whatever runs still does not run afterwards.
func (c *cluster) end() {
	for _, p := range c.processes() {
		p.kill()
	}
	if c.client != nil {
		c.client.close()
	}
}
