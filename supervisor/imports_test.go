package supervisor

import (
	"os/exec"
	"strings"
	"testing"
)

// The framework is for any team that has several servers: one without Kubernetes is not to link any of it.
func TestKnowsNoKubernetes(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 50 {
		t.Fatalf("only %d packages: this cannot be all", len(deps))
	}
	for _, path := range deps {
		for _, foreign := range []string{"k8s.io/", "sigs.k8s.io/", "go.etcd.io/"} {
			if strings.HasPrefix(path, foreign) {
				t.Errorf("it imports %s", path)
			}
		}
	}
}

// The rooms of the framework know nothing of the whole: an arrow back up would make one hall of them again.
func TestRoomsDoNotImportTheRoot(t *testing.T) {
	const imports = `{{$p := .ImportPath}}{{range .Imports}}{{$p}} {{.}}{{"\n"}}{{end}}` +
		`{{range .TestImports}}{{$p}} {{.}}{{"\n"}}{{end}}{{range .XTestImports}}{{$p}} {{.}}{{"\n"}}{{end}}`
	out, err := exec.Command("go", "list", "-f", imports, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	root, err := exec.Command("go", "list", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimSpace(string(root))
	rooms := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		room, imported, _ := strings.Cut(strings.TrimSpace(line), " ")
		if room == path || room == "" {
			continue
		}
		if room == path+"/supervisortest" { // it is no room, but for tests of those who use the whole
			continue
		}
		if rooms[room] = true; imported == path {
			t.Errorf("%s imports %s", room, path)
		}
	}
	if len(rooms) < 5 {
		t.Fatalf("only %d rooms: these cannot be all", len(rooms))
	}
}
