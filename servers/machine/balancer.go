package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
)

// balancer is the way from the clients on a node to an apiserver that answers: they know its address on loopback, and
// it passes their connections on as they are, with TLS inside, to the first of those that it knows. When that one goes
// away its connections end, and the clients' next ones lead to another.
type balancer struct {
	log *zap.Logger

	mu      sync.Mutex
	servers []string // HOST:PORT, the one that answered last first
}

// dialTime is how long an apiserver may take to accept a connection, before the next one is tried.
const dialTime = 3 * time.Second

// keepAlive has a connection end when the machine at its other end has gone without a word: within about 15 seconds.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 3 * time.Second, Count: 3}

func newBalancer(servers []string, log *zap.Logger) *balancer {
	return &balancer{log: log, servers: slices.Clone(servers)}
}

// known are the apiservers, that which answered last first.
func (b *balancer) known() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.servers)
}

// learn tells it which apiservers there are. Those that it does not know yet come last.
func (b *balancer) learn(servers []string) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := slices.DeleteFunc(slices.Clone(b.servers), func(s string) bool { return !slices.Contains(servers, s) })
	for _, s := range servers {
		if !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	changed = !slices.Equal(kept, b.servers)
	b.servers = kept
	return changed
}

// prefer has one be tried first.
func (b *balancer) prefer(server string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := slices.Index(b.servers, server)
	if at <= 0 {
		return
	}
	b.servers = slices.Insert(slices.Delete(b.servers, at, at+1), 0, server)
}

// dial connects to the first apiserver that accepts.
func (b *balancer) dial(ctx context.Context) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: dialTime, KeepAliveConfig: keepAlive}
	var errs []error
	for _, server := range b.known() {
		conn, err := dialer.DialContext(ctx, "tcp", server)
		if err == nil {
			b.prefer(server)
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("no apiserver answers: %w", errors.Join(errs...))
}

// serve passes connections on until ctx ends.
func (b *balancer) serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = listener.Close() })
	defer stop()
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel() // before that
	for {
		client, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		conns.Go(func() { b.pass(ctx, client) })
	}
}

// pass passes one connection on until either side ends it.
func (b *balancer) pass(ctx context.Context, client net.Conn) {
	defer client.Close()
	server, err := b.dial(ctx)
	if err != nil {
		if ctx.Err() == nil {
			b.log.Warn("a connection cannot be passed on", zap.Error(err))
		}
		return
	}
	defer server.Close()
	endsUnanswered(server)
	var both errgroup.Group
	end := func() {
		_ = client.Close()
		_ = server.Close()
	}
	stop := context.AfterFunc(ctx, end)
	defer stop()
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		both.Go(func() error {
			defer end() // HTTP needs both ways
			_, err := io.Copy(way[0], way[1])
			return err
		})
	}
	_ = both.Wait() // the clients see that the connection has ended
}
