package process

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// newClient returns a client that speaks one of the two protocols.
func newClient(t *testing.T, two bool) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: two}
	if !two {
		transport.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Timeout: patience, Transport: transport}
}

// reply is what a client has got.
type reply struct {
	code int
	body string
	err  error // of the reading
}

func (r reply) String() string {
	return fmt.Sprintf("%d, %d bytes, error %v", r.code, len(r.body), r.err)
}

func get(t *testing.T, client *http.Client, url, protocol string) (r reply) {
	t.Helper()
	answer, err := client.Get(url)
	if err != nil {
		return reply{err: err}
	}
	defer answer.Body.Close()
	if answer.Proto != protocol {
		t.Errorf("%s was answered with %s", url, answer.Proto)
	}
	text, err := io.ReadAll(answer.Body)
	return reply{answer.StatusCode, string(text), err}
}

// outcome returns what is to come of one of the requests.
func outcome(name string) func(reply) bool {
	switch name {
	case "fine":
		return func(r reply) bool { return r == reply{200, "all is well", nil} }
	case "abort": // not a complete answer
		return func(r reply) bool { return r.err != nil }
	case "token":
		return func(r reply) bool { return r.code == 500 && r.err == nil }
	}
	// The apiserver says so, and net/http aborts what it says.
	return func(r reply) bool { return r.err != nil || r.code == 500 }
}

// Whatever the depth of the stack is, its beginning counts.
func TestUpstreams(t *testing.T) {
	var got bool
	ask := func() { got = upstreams() }
	for _, depth := range []int{0, 50, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 500, 510, 2040, 5000} {
		inRequest := false
		s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			deep(depth, ask)
			inRequest = got
		}))
		answer, err := http.Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		s.Close()
		if !inRequest {
			t.Errorf("%d frames deep in a request, it is none", depth)
		}
		done := make(chan struct{})
		go func() { defer close(done); deep(depth, ask) }()
		<-done
		if got {
			t.Errorf("%d frames deep in another goroutine, it is a request", depth)
		}
	}
}

// What is named after functions of upstream's has to be looked at again when they are gone.
func TestCatching(t *testing.T) {
	wanted := map[string][]string{} // the beginnings of declarations, by package
	for _, name := range append([]string{"k8s.io/apiserver/pkg/server/routine.WithRoutine"}, catching...) {
		if !strings.HasPrefix(name, "k8s.io/") {
			continue // TestRequests calls those that there are
		}
		base := strings.LastIndexByte(name, '/') + 1
		last, function, _ := strings.Cut(name[base:], ".")
		declared := "func " + function + "("
		if receiver, method, ok := strings.Cut(function, ")."); ok {
			declared = strings.TrimPrefix(receiver, "(") + ") " + method + "("
		}
		wanted[name[:base]+last] = append(wanted[name[:base]+last], declared)
	}
	out, err := exec.Command("go", append([]string{"list", "-f", "{{.ImportPath}} {{.Dir}}"}, slices.Collect(maps.Keys(wanted))...)...).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		for _, declared := range wanted[path] {
			if !declares(t, dir, declared) {
				t.Errorf("there is no %q in %s", declared, path)
			}
		}
		delete(wanted, path)
	}
	if len(wanted) > 0 {
		t.Errorf("there are no packages for %v", wanted)
	}
}

// declares reports whether a Go file of the folder has the text.
func declares(t *testing.T, dir, text string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		source, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(source, []byte(text)) {
			return true
		}
	}
	return false
}
