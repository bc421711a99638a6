package simulated

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/seed-200a7251/km/supervisor"
)

// endpoint is what a node serves: the apiserver asks there for what kubectl's logs, exec, attach and port-forward show. It
// returns the port, 0 for none, and the function that serves until its context ends.
func (ns *Nodes) endpoint(s *supervisor.Server) (port int, serve func(context.Context) error, err error) {
	listener, err := ns.Cluster.TakeListener(s)
	if err != nil || listener == nil {
		return 0, nil, err
	}
	config, err := ns.Cluster.NodeTLS()
	if config == nil || err != nil {
		return 0, nil, errors.Join(err, listener.Close())
	}
	server := &http.Server{
		Handler:           http.HandlerFunc(answer),
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

// answer is what a simulated container has to say.
func answer(w http.ResponseWriter, r *http.Request) {
	what, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	pod := strings.Split(rest, "/") // NAMESPACE/POD/CONTAINER
	name := rest
	if len(pod) >= 2 {
		name = pod[0] + "/" + pod[1]
	}
	const simulated = "the pod %s is on a simulated node: no container runs, and %s"
	switch what {
	case "containerLogs":
		fmt.Fprintf(w, simulated+"\n", name, "nothing is logged")
	case "exec", "run", "attach":
		http.Error(w, fmt.Sprintf(simulated, name, "no command can be run in it"), http.StatusNotImplemented)
	case "portForward":
		http.Error(w, fmt.Sprintf(simulated, name, "nothing listens on its ports"), http.StatusNotImplemented)
	case "healthz":
		fmt.Fprint(w, "ok")
	default:
		http.Error(w, "this node is simulated: "+r.URL.Path+" is not there", http.StatusNotFound)
	}
}
