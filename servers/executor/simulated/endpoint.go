package simulated

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/cri-streaming/pkg/streaming/portforward"

	"github.com/seed-200a7251/km/supervisor"
)

// endpoint is what a node serves: the apiserver asks there for what kubectl's logs, exec, attach and port-forward show.
// It returns the port, 0 for none, and the function that serves until its context ends.
func (ns *Nodes) endpoint(s *supervisor.Server, client kubernetes.Interface) (port int, serve func(context.Context) error, err error) {
	listener, err := s.Listener("port")
	if err != nil || listener == nil {
		return 0, nil, err
	}
	config, err := ns.Cluster.NodeTLS()
	if config == nil || err != nil {
		return 0, nil, errors.Join(err, listener.Close())
	}
	server := &http.Server{
		Handler:           kubelet{client},
		TLSConfig:         config,
		ReadHeaderTimeout: 10 * time.Second,
	}
	port = listener.Addr().(*net.TCPAddr).Port
	return port, func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, func() { _ = server.Close() })
		defer stop()
		if err := server.ServeTLS(listener, "", ""); ctx.Err() == nil {
			return err
		}
		return nil
	}, nil
}

// kubelet answers for the containers of simulated pods.
type kubelet struct{ client kubernetes.Interface }

const isSimulated = "the pod %s is on a simulated node: no container runs, and %s"

func (k kubelet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	path := append(strings.Split(rest, "/"), "", "", "") // NAMESPACE/POD/CONTAINER
	name := path[0] + "/" + path[1]
	switch what {
	case "containerLogs":
		k.logs(w, r, path[0], path[1], path[2])
	case "exec", "run", "attach":
		http.Error(w, fmt.Sprintf(isSimulated, name, "no command can be run in it"), http.StatusNotImplemented)
	case "portForward":
		// What a refused request says, clients do not show: the apiserver has accepted theirs by then. So each
		// connection is told.
		portforward.ServePortForward(w, r, deaf(name), name, "", &portforward.V4Options{}, time.Minute, 30*time.Second, portforward.SupportedProtocols)
	case "healthz":
		fmt.Fprint(w, "ok")
	default:
		http.Error(w, "this node is simulated: "+r.URL.Path+" is not there", http.StatusNotFound)
	}
}

// deaf is a pod, NAMESPACE/NAME, on whose ports nothing listens.
type deaf string

func (d deaf) PortForward(context.Context, string, string, int32, io.ReadWriteCloser) error {
	return fmt.Errorf(isSimulated, string(d), "nothing listens on its ports")
}
