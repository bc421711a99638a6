//go:build !linux

package proxy

import (
	"context"
	"errors"

	"k8s.io/client-go/rest"
	kubeproxyconfig "k8s.io/kubernetes/pkg/proxy/apis/config"
)

var errSystem = errors.New("proxy: rules are made on Linux alone: use --proxy.proxy-mode=simulated")

func checkMachine(kubeproxyconfig.ProxyMode) error { return errSystem }

func (px *proxy) program(context.Context, *kubeproxyconfig.KubeProxyConfiguration, *rest.Config) error {
	return errSystem
}
