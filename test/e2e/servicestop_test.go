package e2e

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Requests in flight that have led to requests of the server to itself, as a Service to that for its address, do not
// hold a stop up: it is in order, and nobody is left behind.
func TestStopWhileServicesAreMade(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.run(t, "apiserver")
	const service = "apiVersion: v1\nkind: Service\nmetadata: {generateName: made-}\nspec: {ports: [{port: 80}]}\n"
	file := writeFile(t, filepath.Join(h.dir, "services.yaml"), strings.Repeat(service+"---\n", 100))
	var makers []*process
	for range 4 { // so many that some are in flight at any time
		makers = append(makers, h.start(t, "sh", "-c", `while "$0" kubectl create --validate=false -f "$1"; do :; done`, binary, file))
	}
	for _, m := range makers {
		m.await(m.stdout, "service/")
	}
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if text := p.stdout.String() + p.stderr.String(); strings.Contains(text, "left behind") {
		t.Errorf("a server is left behind:\n%s", text)
	}
	for _, m := range makers {
		await(t, "the end of who makes Services", m.done)
	}
}
