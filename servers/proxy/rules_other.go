//go:build !linux

package proxy

import (
	"context"
	"errors"

	"k8s.io/client-go/rest"
	kubeproxyconfig "k8s.io/kubernetes/pkg/proxy/apis/config"

	"github.com/seed-200a7251/km/supervisor"
)

var errSystem = errors.New("proxy: rules are made on Linux alone: use --proxy.proxy-mode=simulated")

func checkMachine(*supervisor.Server, kubeproxyconfig.ProxyMode) error { return errSystem }

func (px *proxy) program(context.Context, *supervisor.Server, *kubeproxyconfig.KubeProxyConfiguration, *rest.Config) error {
	return errSystem
}
