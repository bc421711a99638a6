package kmtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// existing is the cluster that is there already. Its folder is known if it is that of `km run -- go test`.
func existing(ctx context.Context, config Config) (*Cluster, error) {
	c := &Cluster{form: others{}, DataDir: os.Getenv("KM_DATA_DIR"), Kubeconfig: os.Getenv("KUBECONFIG")}
	if c.Kubeconfig == "" { // the one in the home folder is somebody's own
		return nil, fmt.Errorf("%s=true: KUBECONFIG does not say which: set it, or have it set as the documentation of kmtest.Shared shows", existingVariable)
	}
	var err error
	if c.Config, err = clientcmd.BuildConfigFromFlags("", c.Kubeconfig); err != nil {
		return nil, fmt.Errorf("%s=true: %w", existingVariable, err)
	}
	c.Config.QPS = -1
	if c.DataDir != "" {
		if err := c.wantServers(ctx, config.Servers); err != nil {
			return nil, fmt.Errorf("%s=true: %w", existingVariable, err)
		}
	}
	_, err = apply(ctx, c.Config, metav1.NamespaceDefault, config.Apply)
	return c, err
}

// canonical are names by which a status has servers.
var canonical = []string{names.Etcd, names.APIServer, names.ControllerManager, names.Scheduler, names.Executor, names.Proxy}

// wantServers is an error if one of the servers does not run in the cluster.
func (c *Cluster) wantServers(ctx context.Context, servers []string) error {
	socket := filepath.Join(c.DataDir, "km.sock")
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://km/v1/status", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	var status supervisor.Status
	if err := json.Unmarshal(text, &status); err != nil || answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", socket, answer.Status, text)
	}
	var lacking []string
	for _, name := range strings.Split(strings.Join(servers, ","), ",") {
		name = strings.TrimPrefix(name, "kube-")
		// Whatever other names stand for is not told there.
		if slices.Contains(canonical, name) && !slices.ContainsFunc(status.Servers, func(s supervisor.ServerStatus) bool { return s.Name == name }) {
			lacking = append(lacking, name)
		}
	}
	if len(lacking) > 0 {
		return fmt.Errorf("the cluster of %s runs without %s: start it with them", c.DataDir, strings.Join(lacking, ", "))
	}
	return nil
}

// others is the form of a cluster that is not the test's to start or stop.
type others struct{}

func (others) start(context.Context, []string, *screen) (string, error) {
	return "", errors.New("it runs already")
}
func (others) ended() <-chan struct{} { return never }
func (others) stop() error            { return nil }
