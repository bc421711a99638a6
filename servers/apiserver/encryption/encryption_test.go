package encryption

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"github.com/seed-200a7251/km/supervisor"
)

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The key is made once, upstream takes what is written at each step, and nothing is written that is there.
func TestEnsure(t *testing.T) {
	p := &supervisor.Plan{DataDir: t.TempDir()}
	if err := Ensure(p, false); err != nil || Exists(p) {
		t.Fatalf("a run that is not hardened makes keys, or %v", err)
	}
	var secret string
	var last os.FileInfo
	for _, encrypts := range []bool{true, true, false, false, true} {
		if err := Ensure(p, encrypts); err != nil {
			t.Fatal(err)
		}
		c, err := load(Path(p))
		if err != nil || c.encrypts != encrypts || len(c.keys) != 1 || secret != "" && c.keys[0].Secret != secret {
			t.Fatalf("asked for %v, there is %+v, %v", encrypts, c, err)
		}
		secret = c.keys[0].Secret
		if _, err := encryptionconfig.LoadEncryptionConfig(t.Context(), Path(p), true, "here"); err != nil {
			t.Errorf("upstream does not take it: %v", err)
		}
		info, err := os.Stat(Path(p))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
		last = info
	}
	if err := Ensure(p, true); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(Path(p)); err != nil || !os.SameFile(info, last) {
		t.Error("the file is written anew although nothing changes")
	}
}

// A file that is not km's is left as it is.
func TestForeign(t *testing.T) {
	for name, text := range map[string]string{
		"others": "resources: [{resources: [secrets, configmaps], providers: [{identity: {}}]}]",
		"kms":    "resources: [{resources: [secrets], providers: [{kms: {name: a, endpoint: b}}, {identity: {}}]}]",
		"empty":  "",
		"cut":    "resources: [{resources: [secrets], prov",
	} {
		p := &supervisor.Plan{DataDir: filepath.Join(t.TempDir(), name)}
		if err := os.MkdirAll(filepath.Dir(Path(p)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(Path(p), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		err := Ensure(p, true)
		if err == nil || !strings.Contains(err.Error(), Path(p)) {
			t.Errorf("%s: %v", name, err)
		}
		if read(t, Path(p)) != text {
			t.Errorf("%s: the file was written", name)
		}
	}
}

// All Secrets are written, but for those that something refuses, which are named; one that somebody else changes is
// read again.
func TestRewrite(t *testing.T) {
	secret := func(name string) *corev1.Secret {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: "1"}}
	}
	client := fake.NewClientset(secret("plain"), secret("changed"), secret("gone"), secret("refused"))
	group := schema.GroupResource{Resource: "secrets"}
	var mu sync.Mutex
	tries := map[string]int{}
	client.PrependReactor("update", "secrets", func(action clienttesting.Action) (bool, runtime.Object, error) {
		name := action.(clienttesting.UpdateAction).GetObject().(*corev1.Secret).Name
		mu.Lock()
		defer mu.Unlock()
		tries[name]++
		switch {
		case name == "changed" && tries[name] == 1:
			return true, nil, apierrors.NewConflict(group, name, errors.New("it has changed"))
		case name == "gone":
			return true, nil, apierrors.NewNotFound(group, name)
		case name == "refused":
			return true, nil, apierrors.NewForbidden(group, name, errors.New(`admission webhook "guard.example.com" denied the request`))
		}
		return false, nil, nil
	})
	r := &rotation{}
	count, err := r.rewrite(context.Background(), client)
	if count != 4 || err == nil || strings.Count(err.Error(), "cannot be written") != 1 || !strings.Contains(err.Error(), "default/refused") ||
		!strings.Contains(err.Error(), "guard.example.com") {
		t.Errorf("%d, %v", count, err)
	}
	if tries["plain"] != 1 || tries["changed"] != 2 || tries["gone"] != 1 || tries["refused"] != 1 {
		t.Errorf("tries: %v", tries)
	}
}

// An interruption says that nothing is lost, and what to do, and the keys of before are still there.
func TestInterrupted(t *testing.T) {
	p := &supervisor.Plan{DataDir: t.TempDir()}
	if err := Ensure(p, true); err != nil {
		t.Fatal(err)
	}
	before, err := load(Path(p))
	if err != nil {
		t.Fatal(err)
	}
	hash := func() string {
		h, err := encryptionconfig.GetEncryptionConfigHash(Path(p))
		if err != nil {
			t.Error(err)
		}
		return h
	}
	ctx, interrupt := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" { // the Secrets
			interrupt()
			<-r.Context().Done()
			return
		}
		_, _ = fmt.Fprintf(w, "apiserver_encryption_config_controller_last_config_info{hash=%q} 1\n", hash())
	}))
	defer server.Close()
	r := &rotation{path: Path(p), command: func(words ...string) string { return strings.Join(words, " ") },
		config: &rest.Config{Host: server.URL}, out: io.Discard}
	if err := r.run(ctx); err == nil || !strings.HasPrefix(err.Error(), "interrupted; all Secrets can be read, ") ||
		!strings.Contains(err.Error(), "call `encryption rotate` again") {
		t.Error(err)
	}
	after, err := load(Path(p))
	if err != nil || len(after.keys) != 2 || after.keys[1] != before.keys[0] {
		t.Errorf("the keys are %+v, and were %+v: %v", after, before, err)
	}
}
