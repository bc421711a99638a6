package machine

import (
	"context"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/supervisor"
)

// runNode passes the connections of this node's servers on to an apiserver, learns which ones there are, and has
// certificates renewed, until ctx ends.
func (m *machine) runNode(ctx context.Context, s *supervisor.Server) error {
	was, err := cluster.ReadMembership(m.plan)
	if err != nil {
		return err
	}
	first, err := joinAddress(s.Value(component.JoinFlag))
	if err != nil {
		return err
	}
	servers := []string{first}
	for _, known := range was.APIServers {
		if known != first {
			servers = append(servers, known)
		}
	}
	b := newBalancer(servers, s.Logger())
	listener, err := s.Listener(listenFlag)
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(cluster.PKIPath(m.plan, "ca.crt"))
	if err != nil {
		return err
	}
	o := &other{address: s.ListenAddress(listenFlag), ca: ca}
	for _, c := range m.credentials {
		stop, err := keepValid(ctx, o, c)
		if err != nil {
			return err
		}
		defer stop()
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return b.serve(ctx, listener) })
	group.Go(func() error { return m.follow(ctx, s, b, first, was) })
	group.Go(func() error { return m.awaitServer(ctx, s, b) })
	return group.Wait()
}

// awaitServer says that this node can be used when an apiserver accepts a connection.
func (m *machine) awaitServer(ctx context.Context, s *supervisor.Server, b *balancer) error {
	for told := false; ; {
		conn, err := b.dial(ctx)
		if err == nil {
			s.MarkReady()
			return conn.Close()
		}
		if ctx.Err() != nil {
			return nil
		}
		if !told {
			s.Logger().Warn("waiting for an apiserver", zap.Error(err))
			told = true
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return nil
		}
	}
}

// follow learns of apiservers from the endpoints of the Service "kubernetes", which each of them keeps its own of, and
// keeps them for the next start. That of --join stays the last resort.
func (m *machine) follow(ctx context.Context, s *supervisor.Server, b *balancer, first string, was *cluster.Membership) error {
	if len(m.credentials) == 0 {
		return nil
	}
	at := slices.IndexFunc(m.credentials, func(c *cluster.Credentials) bool { return c.OnNodes })
	if at < 0 { // the kubelet alone, who may not read them
		return nil
	}
	client, err := cluster.Client(cluster.KubeconfigPath(m.plan, m.credentials[at].Name))
	if err != nil {
		return err
	}
	look := func(object any) {
		slice, ok := object.(*discoveryv1.EndpointSlice)
		if !ok {
			return
		}
		servers := serversOf(slice)
		if len(servers) == 0 {
			return // they have lost their store, or are about to be restored
		}
		if !slices.Contains(servers, first) {
			servers = append(servers, first)
		}
		if !b.learn(servers) {
			return
		}
		s.Logger().Info("apiservers", zap.Strings("addresses", servers))
		was.APIServers = servers
		if err := was.Write(m.plan); err != nil {
			s.Logger().Warn("the apiservers cannot be kept for the next start", zap.Error(err))
		}
	}
	factory := kubernetesSlices(client)
	informer := factory.Discovery().V1().EndpointSlices().Informer()
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: look, UpdateFunc: func(_, object any) { look(object) }})
	if err != nil {
		return err
	}
	factory.StartWithContext(ctx)
	<-ctx.Done()
	factory.Shutdown()
	return nil
}

// kubernetesSlices are informers for the endpoints of the Service "kubernetes".
func kubernetesSlices(client kubernetes.Interface) informers.SharedInformerFactory {
	return informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(metav1.NamespaceDefault),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = discoveryv1.LabelServiceName + "=kubernetes" }))
}

// serversOf are the addresses of the apiservers.
func serversOf(slice *discoveryv1.EndpointSlice) (servers []string) {
	for _, port := range slice.Ports {
		if port.Port == nil {
			continue
		}
		for _, endpoint := range slice.Endpoints {
			for _, address := range endpoint.Addresses {
				servers = append(servers, net.JoinHostPort(address, strconv.Itoa(int(*port.Port))))
			}
		}
	}
	return servers
}

// hostOf is the host of HOST:PORT.
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}
