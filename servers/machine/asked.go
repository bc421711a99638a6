package machine

import (
	"context"
	"fmt"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/supervisor"
)

// controlPlane is that on this machine, as commands ask it.
type controlPlane struct {
	hk     *supervisor.HyperKube
	plan   *supervisor.Plan
	client kubernetes.Interface
	server string // the apiserver's HOST:PORT
}

// connect finds it. It must run.
func (c *controlPlane) connect(ctx context.Context) error {
	if _, err := c.hk.Status(ctx, c.plan); err != nil {
		return err
	}
	if err := cluster.OnNode(c.plan); err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", cluster.KubeconfigPath(c.plan, cluster.Admin))
	if err != nil {
		return fmt.Errorf("the apiserver cannot be asked: %w", err)
	}
	config.Timeout = answerTime
	c.server = strings.TrimPrefix(config.Host, "https://")
	c.client, err = kubernetes.NewForConfig(config)
	return err
}
