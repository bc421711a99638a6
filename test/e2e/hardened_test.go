package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// secretPlace is where the apiserver keeps a Secret of the namespace default.
func secretPlace(name string) string { return "/registry/secrets/default/" + name }

// stored are the Secrets of the namespace default as they are in etcd, by their names.
func (h home) stored(t *testing.T) map[string][]byte {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + filepath.Join(h.dataDir("km"), "etcd.sock")}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	all, err := c.Get(ctx, secretPlace(""), clientv3.WithPrefix())
	if ctx.Err() != nil {
		hang(t, "an answer of etcd")
	}
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	for _, kv := range all.Kvs {
		found[strings.TrimPrefix(string(kv.Key), secretPlace(""))] = kv.Value
	}
	return found
}

// keyOf is the name of the key with which a Secret is encrypted, or "" if it is not.
func keyOf(stored []byte) string {
	rest, encrypted := bytes.CutPrefix(stored, []byte("k8s:enc:secretbox:v1:"))
	name, _, _ := bytes.Cut(rest, []byte(":"))
	if !encrypted {
		return ""
	}
	return string(name)
}

const secretText = "nobody may read this"

func makeSecret(ctx context.Context, client kubernetes.Interface, name string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string][]byte{"text": []byte(secretText)}}
	_, err := client.CoreV1().Secrets("default").Create(ctx, secret, metav1.CreateOptions{})
	return err
}

// readSecrets reads Secrets as a client does.
func readSecrets(t *testing.T, client kubernetes.Interface, names ...string) {
	t.Helper()
	for _, name := range names {
		var secret *corev1.Secret
		err := patiently(t, "the Secret "+name, func(ctx context.Context) (err error) {
			secret, err = client.CoreV1().Secrets("default").Get(ctx, name, metav1.GetOptions{})
			return err
		})
		if err != nil {
			t.Errorf("the Secret %s cannot be read: %v", name, err)
		} else if string(secret.Data["text"]) != secretText {
			t.Errorf("the Secret %s is %q, want %q", name, secret.Data["text"], secretText)
		}
	}
}

// A hardened cluster: what is stored, what is noted, what its ports answer, and its way there and back.
func TestHardened(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	p := h.run(t, "--hardened")
	p.await(p.stdout, "km run --hardened` goes on where it was.")
	client := h.client(t)
	if err := makeSecret(t.Context(), client, "first"); err != nil {
		t.Fatal(err)
	}
	first := h.stored(t)["first"]
	if keyOf(first) == "" || bytes.Contains(first, []byte(secretText)) {
		t.Errorf("the Secret is not encrypted in etcd: %q", first)
	}
	t.Run("audit", func(t *testing.T) { h.auditTold(t) })
	t.Run("files", func(t *testing.T) { h.filesClosed(t) })
	t.Run("ports", func(t *testing.T) { h.portsClosed(t) })
	t.Run("rotate", func(t *testing.T) { h.rotates(t, keyOf(first)) })

	p.stop(syscall.SIGTERM)
	p = h.run(t) // not hardened
	client = h.client(t)
	readSecrets(t, client, "first")
	if err := makeSecret(t.Context(), client, "clear"); err != nil {
		t.Fatal(err)
	}
	if key := keyOf(h.stored(t)["clear"]); key != "" {
		t.Errorf("a run that is not hardened has encrypted a Secret, with the key %s", key)
	}
	if r := h.km(t, "encryption", "rotate"); r.code != 1 || !strings.Contains(r.stderr, "`km run --hardened`") {
		t.Errorf("km encryption rotate in a run that is not hardened: exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}

	p.stop(syscall.SIGTERM)
	p = h.run(t, "--hardened")
	readSecrets(t, h.client(t), "first", "clear")
	h.must(t, "encryption", "rotate")
	for name, value := range h.stored(t) {
		if keyOf(value) == "" {
			t.Errorf("the Secret %s is not encrypted after km encryption rotate", name)
		}
	}
	readSecrets(t, h.client(t), "first", "clear")

	p.stop(syscall.SIGTERM)
	if err := os.Remove(filepath.Join(h.dataDir("km"), "pki", "encryption.yaml")); err != nil {
		t.Fatal(err)
	}
	p = h.start(t, binary, "run", "--free-ports")
	p.await(p.stderr, "bring back pki/encryption.yaml")
	if told := h.server(t, "apiserver").Error; !strings.Contains(told, "bring back pki/encryption.yaml") {
		t.Errorf("km status says of a run whose keys are missing: %q", told)
	}
}

// auditTold looks for the request that has made a Secret, and for what is in that.
func (h home) auditTold(t *testing.T) {
	file := filepath.Join(h.dataDir("km"), "logs", "audit.log")
	var text []byte
	// A request is noted when it has been answered.
	eventually(t, "the Secret that was made is in the audit log", func() bool {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(text) {
			if bytes.Contains(line, []byte(`"verb":"create"`)) && bytes.Contains(line, []byte(`"name":"first"`)) && bytes.Contains(line, []byte(`"resource":"secrets"`)) &&
				bytes.Contains(line, []byte(`"username":"kubernetes-admin"`)) {
				return true
			}
		}
		return false
	})
	for _, secret := range []string{secretText, base64.StdEncoding.EncodeToString([]byte(secretText))} {
		if bytes.Contains(text, []byte(secret)) {
			t.Error("the audit log has the Secret's value in it")
		}
	}
	for _, noise := range []string{`"resource":"leases"`, `"resource":"events"`, `"requestURI":"/readyz"`, "requestObject", "responseObject"} {
		if bytes.Contains(text, []byte(noise)) {
			t.Errorf("the audit log has %s in it", noise)
		}
	}
}

// filesClosed looks at who may read what is in the data folder.
func (h home) filesClosed(t *testing.T) {
	err := filepath.WalkDir(h.dataDir("km"), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || d.Type() == fs.ModeSocket { // the folder keeps others from it
			return err
		}
		if mode := info.Mode().Perm(); mode&0o077 != 0 || !d.IsDir() && mode != 0o600 {
			t.Errorf("%s has the mode %v", path, mode)
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); ok && int(owner.Uid) != os.Getuid() {
			t.Errorf("%s belongs to the user %d", path, owner.Uid)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// portsClosed asks each port for profiles, as an admin, and shakes hands with ciphers that have long been broken.
func (h home) portsClosed(t *testing.T) {
	config := h.config(t, "km")
	config.Insecure, config.CAData, config.CAFile = true, nil, "" // some have certificates of another authority
	config.Timeout = patience
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	nobody, err := rest.HTTPClientFor(rest.AnonymousClientConfig(config))
	if err != nil {
		t.Fatal(err)
	}
	status := func(client *http.Client, url string) int {
		answer, err := client.Get(url)
		if err != nil {
			t.Error(err)
			return 0
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		return answer.StatusCode
	}
	for _, server := range []string{"apiserver", "controller-manager", "scheduler"} {
		address := h.server(t, server).Address
		for path, want := range map[string]int{"/healthz": http.StatusOK, "/debug/pprof/": http.StatusNotFound, "/debug/pprof/heap": http.StatusNotFound, "/debug/flags/v": http.StatusNotFound} {
			if got := status(client, address+path); got != want {
				t.Errorf("%s answers %s with %d, want %d", server, path, got, want)
			}
		}
		if got := status(nobody, address+"/healthz"); got != http.StatusOK {
			t.Errorf("%s answers /healthz without credentials with %d", server, got)
		}
		if got := status(nobody, address+"/metrics"); got != http.StatusUnauthorized && got != http.StatusForbidden {
			t.Errorf("%s answers /metrics without credentials with %d", server, got)
		}
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		for suite, accepted := range map[uint16]bool{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: true,
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA:    false,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA:    false,
		} {
			conn, err := tls.DialWithDialer(&net.Dialer{Timeout: patience}, "tcp", u.Host, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
			if err == nil {
				conn.Close()
			}
			if slow := net.Error(nil); (err == nil) != accepted || errors.As(err, &slow) && slow.Timeout() {
				t.Errorf("%s and %s: %v", server, tls.CipherSuiteName(suite), err)
			}
		}
	}
}

// rotates gives the Secrets a new key while clients write more of them.
func (h home) rotates(t *testing.T, old string) {
	client := h.client(t)
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var mu sync.Mutex
	made := []string{"first"}
	for n := range 2 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				name := fmt.Sprintf("made-%d-%d", n, i)
				err := makeSecret(ctx, client, name)
				if ctx.Err() != nil {
					return // it may be there, or not
				}
				if err != nil {
					t.Errorf("a Secret cannot be made while the key is rotated: %v", err)
					return
				}
				mu.Lock()
				made = append(made, name)
				mu.Unlock()
			}
		})
	}
	defer writers.Wait() // none outlives a failure: what it waits for ends with ctx
	defer cancel()
	eventually(t, "writing", func() bool { mu.Lock(); defer mu.Unlock(); return len(made) > 5 })
	out := h.must(t, "encryption", "rotate")
	cancel()
	writers.Wait()
	keys := map[string]bool{}
	for _, value := range h.stored(t) {
		keys[keyOf(value)] = true
	}
	if len(keys) != 1 || keys[old] || keys[""] {
		t.Errorf("the Secrets are encrypted with %v, and before with %s, after:\n%s", keys, old, out)
	}
	text, err := os.ReadFile(filepath.Join(h.dataDir("km"), "pki", "encryption.yaml"))
	if err != nil || bytes.Contains(text, []byte(old)) || bytes.Count(text, []byte("secret:")) != 1 {
		t.Errorf("the old key %s is still there, or it cannot be seen: %v", old, err)
	}
	readSecrets(t, client, made...)
}
