package apiserver

import (
	"io"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/seed-200a7251/km/supervisor"
)

// A start that takes long does not wait for the look at Secrets that may be why.
func TestUsableWhileItIsLooked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		const takes = unreadableLook + time.Second
		server := &inProcess{handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/api/v1/secrets":
				<-r.Context().Done() // it is slow
				w.WriteHeader(http.StatusGatewayTimeout)
			case r.URL.Path == "/readyz" && time.Since(begin) < takes:
				w.WriteHeader(http.StatusInternalServerError)
			default:
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"default"}}`)
			}
		})}
		client, err := kubernetes.NewForConfig(clientOf(server))
		if err != nil {
			t.Fatal(err)
		}
		c := newChain(t.Context(), &rights{}, slog.New(slog.DiscardHandler))
		defer c.end()
		go c.tellUnreadable(t.Context(), client, &supervisor.Server{})
		if err := waitUsable(t.Context(), c.log, client); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > takes+readyPoll {
			t.Errorf("it is usable after %v, and known to be after %v", takes, took)
		}
		close(c.usable)
	})
}
