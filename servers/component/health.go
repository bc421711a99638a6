package component

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// healthPoll is how often a health endpoint is asked.
const healthPoll = 10 * time.Millisecond

// AwaitHealth asks the health endpoint of a component, which answers everybody, until it says enough, or ctx ends,
// which is an error.
func AwaitHealth(ctx context.Context, url string, enough func(code int, text string) bool) error {
	// The certificate is usually one that the component has made for itself; nothing secret is asked or told.
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	return wait.PollUntilContextCancel(ctx, healthPoll, true, func(ctx context.Context) (bool, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return false, err
		}
		answer, err := client.Do(r)
		if err != nil {
			return false, nil // not yet
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		return err == nil && enough(answer.StatusCode, string(text)), nil
	})
}
