package cri

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// controllersLimit is how long the kubelet's start waits for a controller-manager, which may be waiting for others to lead.
const controllersLimit = 10 * time.Second

// awaitControllers waits until the controller-manager at that address has made its controllers, and reports whether it has. Those for
// volumes and the kubelet set the same variable of the process, of what the CSI plugin knows of the node
// (k8s.io/kubernetes/pkg/volume/csi.csiPlugin.Init): if the controllers are the last, it knows no node's name, and the kubelet, which
// asks it, never becomes ready.
func awaitControllers(ctx context.Context, address string) bool {
	// Its certificate may be one that it has made for itself; nothing secret is asked or told.
	client := &http.Client{Timeout: time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	err := wait.PollUntilContextTimeout(ctx, 25*time.Millisecond, controllersLimit, true, func(ctx context.Context) (bool, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address+"/healthz?verbose", nil)
		if err != nil {
			return false, err
		}
		answer, err := client.Do(r)
		if err != nil {
			return false, nil // not yet
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		// Each controller has a check, and all are added when all have been made.
		return err == nil && strings.Contains(string(text), "-controller "), nil
	})
	return err == nil
}
