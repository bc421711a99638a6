package kubectl

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"

	"github.com/seed-200a7251/km/supervisor"
)

// Without a cluster nothing is asked: neither that of the user's own kubeconfig, nor the one around the pod, nor
// localhost:8080. One that is named by its address is.
func TestNoOtherCluster(t *testing.T) {
	handlers := runtime.ErrorHandlers
	t.Cleanup(func() { runtime.ErrorHandlers = handlers })
	t.Setenv("KUBECONFIG", "")
	t.Setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "1")
	o := options()
	if err := use(&supervisor.Plan{Name: "km", DataDir: t.TempDir()}, &o); err != nil {
		t.Fatal(err)
	}
	if in, there := os.LookupEnv("KUBERNETES_SERVICE_HOST"); there {
		t.Errorf("it would find the cluster around it: %s", in)
	}
	config, err := o.ConfigFlags.ToRESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Get(config.Host)
	if err == nil || !strings.Contains(err.Error(), `there is no cluster "km" yet`) || strings.Contains(err.Error(), "localhost") {
		t.Errorf("the error is %v", err)
	}
	if err := o.PluginHandler.Execute("/bin/true", nil, nil); err != o.absent {
		t.Errorf("a plugin would ask somebody: %v", err)
	}

	*o.ConfigFlags.APIServer = "https://example.invalid"
	if config := o.ConfigFlags.WrapConfigFn(&rest.Config{Host: "there"}); config.Host != "there" {
		t.Errorf("what is named is not asked, but %s", config.Host)
	}
}

// Where nothing listens, it is said what to do, in words that kubectl shows.
func TestUnreachable(t *testing.T) {
	r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:1/", nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := (&supervisor.HyperKube{Name: "km"}).Location()
	if err != nil {
		t.Fatal(err)
	}
	_, err = explaining{http.DefaultTransport, p}.RoundTrip(r)
	const want = "nothing answers at 127.0.0.1:1 (refused): see how the cluster is with `km status`, or start it with `km run`"
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
