package cri

import (
	"context"
	"strings"
	"time"

	"github.com/seed-200a7251/km/servers/component"
)

// controllersLimit is how long the kubelet's start waits for a controller-manager, which may be waiting for others to
// lead.
const controllersLimit = 10 * time.Second

// awaitControllers waits until the controller-manager at that address has made its controllers, and reports whether it
// has. Those for volumes and the kubelet set the same variable of the process, of what the CSI plugin knows of the node
// (k8s.io/kubernetes/pkg/volume/csi.csiPlugin.Init): if the controllers are the last, it knows no node's name, and the
// kubelet, which asks it, never becomes ready.
func awaitControllers(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, controllersLimit)
	defer cancel()
	return component.AwaitHealth(ctx, address+"/healthz?verbose", func(_ int, text string) bool {
		// Each controller has a check, and all are added when all have been made.
		return strings.Contains(text, "-controller ")
	}) == nil
}
