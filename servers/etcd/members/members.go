// Package members is the membership of an etcd cluster: who its members are, how they are, and how they come and go.
//
// A machine comes in three steps:
//
//  1. Add, asked of the cluster, has it as a learner, which does not count for the quorum.
//  2. Its etcd starts with what Add returns as --initial-cluster, and with --initial-cluster-state=existing.
//  3. Promote, asked of the cluster, makes it a voting member when it has caught up.
//
// It goes by Remove, while its etcd still runs, or after.
package members

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/seed-200a7251/km/servers/component"
)

const (
	// askTime is how long a member may take to say how it is, before it counts as one that does not answer.
	askTime = 5 * time.Second
	// requestTime is how long etcd may take for a change of its members. It would wait as long as the client does. It
	// is as long as upstream gives its own requests with the default election timeout (config.ReqTimeout).
	requestTime = 7 * time.Second
	// pause is how long it is from one try to the next.
	pause = 200 * time.Millisecond
	// startTime is how long a learner that does not answer counts as one that is about to start.
	startTime = 30 * time.Second
)

// Members is a way to the members of an etcd cluster. It holds no connection: each question has its own, as one that is
// kept goes on for a while to say of a member that it does not answer, when it does again.
type Members struct {
	endpoints []string
	own       *embed.Etcd // nil unless the endpoint is inProcess
	tls       *tls.Config // for https; may be nil
	log       *zap.Logger
	startTime time.Duration
}

// At returns the way by the members at these addresses, such as https://10.0.0.1:2379, or unix:///PATH for the etcd of
// this machine. One that answers is enough: where the others are, it knows. tls is for all addresses with https, also
// of members that are found out, and may be nil if there are none.
func At(endpoints []string, tls *tls.Config, log *zap.Logger) (*Members, error) {
	if len(endpoints) == 0 {
		return nil, errors.New("there is no address at which etcd's members can be asked")
	}
	m := &Members{endpoints: endpoints, tls: tls, log: log, startTime: startTime}
	for _, url := range endpoints {
		if err := m.reachable(url); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Of returns the way by an etcd of this process, which needs no address, and may be a learner: it would not say to
// others who the members are.
func Of(etcd *embed.Etcd, tls *tls.Config, log *zap.Logger) *Members {
	return &Members{endpoints: []string{inProcess}, own: etcd, tls: tls, log: log, startTime: startTime}
}

// inProcess stands for the address of an etcd of this process.
const inProcess = "in this process"

// reachable reports why there cannot be a client of an address.
func (m *Members) reachable(url string) error {
	if m.tls == nil && (strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "unixs://")) {
		return fmt.Errorf("etcd at %s can be asked with TLS only, and there is no certificate for that", url)
	}
	return nil
}

// ask calls f with a client of the etcd there, and a context that ends after limit. What the client does is not tried
// again.
func (m *Members) ask(ctx context.Context, url string, limit time.Duration, f func(context.Context, *clientv3.Client) error) error {
	client, err := m.client(url)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return f(ctx, client)
}

func (m *Members) client(url string) (*clientv3.Client, error) {
	if url == inProcess {
		return v3client.New(m.own.Server), nil
	}
	if err := m.reachable(url); err != nil {
		return nil, err
	}
	config := clientv3.Config{
		Endpoints: []string{component.Endpoints(url)}, Logger: zap.NewNop(), MaxUnaryRetries: 1,
		DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(failFast)},
	}
	if !strings.HasPrefix(url, "unix://") { // with a configuration, the client would speak TLS there
		config.TLS = m.tls
	}
	return clientv3.New(config)
}

// failFast has a request fail when its connection does. The client would have it wait, for one that comes about.
func failFast(ctx context.Context, method string, request, reply any, c *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	return invoke(ctx, method, request, reply, c, append(options, grpc.WaitForReady(false))...)
}
