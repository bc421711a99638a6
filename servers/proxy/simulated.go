package proxy

import (
	"context"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	kubeproxyconfig "k8s.io/kubernetes/pkg/proxy/apis/config"
	"k8s.io/kubernetes/pkg/proxy/config"
	"k8s.io/kubernetes/pkg/proxy/kubemark"
)

// counting is upstream's fake proxier, which counts what it is told of.
type counting struct {
	kubemark.FakeProxier
	services, slices atomic.Int64
	logger           klog.Logger
}

func (c *counting) OnServiceAdd(*corev1.Service)                     { c.services.Add(1) }
func (c *counting) OnServiceDelete(*corev1.Service)                  { c.services.Add(-1) }
func (c *counting) OnEndpointSliceAdd(*discoveryv1.EndpointSlice)    { c.slices.Add(1) }
func (c *counting) OnEndpointSliceDelete(*discoveryv1.EndpointSlice) { c.slices.Add(-1) }

// simulate watches what a proxy watches.
func (px *proxy) simulate(ctx context.Context, proxyConfig *kubeproxyconfig.KubeProxyConfiguration, clientConfig *rest.Config) error {
	client, err := kubernetes.NewForConfig(clientConfig)
	if err != nil {
		return err
	}
	resync := proxyConfig.ConfigSyncPeriod.Duration
	factory := informers.NewSharedInformerFactory(client, resync)
	services, slices := factory.Core().V1().Services(), factory.Discovery().V1().EndpointSlices()
	c := &counting{logger: klog.FromContext(ctx)}
	serviceConfig := config.NewServiceConfig(ctx, services, resync)
	serviceConfig.RegisterEventHandler(c)
	sliceConfig := config.NewEndpointSliceConfig(ctx, slices, resync)
	sliceConfig.RegisterEventHandler(c)
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	go serviceConfig.Run(ctx.Done())
	go sliceConfig.Run(ctx.Done())
	defer px.started.Put(func(ctx context.Context) error {
		cache.WaitFor(ctx, "", services.Informer().HasSyncedChecker(), slices.Informer().HasSyncedChecker())
		c.logger.Info("Simulated: Services are watched, but no rules are made", "services", c.services.Load(), "endpointSlices", c.slices.Load())
		return ctx.Err()
	})()
	<-ctx.Done()
	return nil
}
