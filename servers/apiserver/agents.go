package apiserver

import (
	"net/http"
	"strings"

	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	authuser "k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"
	"k8s.io/kubernetes/cmd/kubeadm/app/constants"
)

// componentAgents gives the requests of km's components the user agents of upstream's binaries, which is under what
// name the objects that they write have them as managers of fields. client-go names all of them after the one process
// (rest.DefaultKubernetesUserAgent). Without it, who leaves fields to kube-controller-manager, as Argo CD may, does not
// find it.
func componentAgents(build handlerChain) handlerChain {
	process, _, _ := strings.Cut(rest.DefaultKubernetesUserAgent(), "/")
	return func(api http.Handler, c *genericapiserver.Config) http.Handler {
		return build(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if name, more, _ := strings.Cut(r.UserAgent(), "/"); name == process {
				if u, ok := request.UserFrom(r.Context()); ok {
					if component := componentOf(u); component != "" {
						r.Header.Set("User-Agent", component+"/"+more)
					}
				}
			}
			api.ServeHTTP(w, r)
		}), c)
	}
}

// componentOf is the name of the binary that is such a user, or "".
func componentOf(u authuser.Info) string {
	name := u.GetName()
	switch {
	case name == constants.ControllerManagerUser, strings.HasPrefix(name, serviceaccount.MakeUsername("kube-system", "")):
		return "kube-controller-manager" // it has an account for each controller
	case name == constants.SchedulerUser:
		return "kube-scheduler"
	case name == "system:kube-proxy":
		return "kube-proxy"
	case strings.HasPrefix(name, constants.NodesUserPrefix):
		return "kubelet"
	}
	return ""
}
