package envtest

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A flag that the apiserver does not take ends the start with an error, and what the apiserver said is there to be
// read.
func TestWrongFlag(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ flag, value, want string }{
		{"no-such-flag", "1", "unknown flag: --no-such-flag"},
		{"authorization-mode", "Nonsense", `authorization-mode \"Nonsense\" is not a valid mode`},
		{"event-ttl", "soon", `invalid argument "soon" for "--event-ttl" flag`},
	} {
		t.Run(test.flag, func(t *testing.T) {
			t.Parallel()
			env := environment(t)
			var stdout, stderr bytes.Buffer
			server := env.ControlPlane.GetAPIServer()
			server.Out, server.Err = &stdout, &stderr
			server.Configure().Set(test.flag, test.value)
			err := within(t, "start", func() error {
				_, err := env.Start()
				return err
			})
			if err == nil || !strings.Contains(err.Error(), "kube-apiserver") {
				t.Errorf("start: %v, want an error that names the kube-apiserver", err)
			}
			if !strings.Contains(stderr.String(), test.want) {
				t.Errorf("%q is not in the apiserver's standard error:\n%s\nstandard output:\n%s", test.want, stderr.String(), stdout.String())
			}
		})
	}
}

// What upstream's binaries register beside their flags is there, too.
func TestJSON(t *testing.T) {
	t.Parallel()
	env := environment(t)
	var stderr bytes.Buffer
	server := env.ControlPlane.GetAPIServer()
	server.Err = &stderr
	server.Configure().Set("logging-format", "json").Set("v", "2")
	start(t, env)
	stop(t, env.Stop)
	if !regexp.MustCompile(`(?m)^\{"ts":[0-9.]+,"caller":"[^"]+","msg":`).MatchString(stderr.String()) {
		t.Errorf("standard error is not JSON:\n%s", stderr.String())
	}
}

// AttachControlPlaneOutput shows what upstream's binaries print, in their own formats, and nothing else.
func TestAttachOutput(t *testing.T) {
	// Not beside other tests: these are variables of the process.
	stdout, stderr := os.Stdout, os.Stderr
	defer func() { os.Stdout, os.Stderr = stdout, stderr }()
	dir := t.TempDir()
	var err error
	if os.Stdout, err = os.Create(filepath.Join(dir, "stdout")); err != nil {
		t.Fatal(err)
	}
	if os.Stderr, err = os.Create(filepath.Join(dir, "stderr")); err != nil {
		t.Fatal(err)
	}
	env := environment(t)
	env.AttachControlPlaneOutput = true
	env.ControlPlane.Etcd.Err, env.ControlPlane.APIServer.Err = nil, nil
	start(t, env)
	stop(t, env.Stop)
	os.Stdout, os.Stderr = stdout, stderr

	out, err := os.ReadFile(filepath.Join(dir, "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	if len(out) > 0 {
		t.Errorf("standard output: %s", out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	var etcd, apiserver int
	for line := range strings.Lines(string(text)) {
		switch {
		case regexp.MustCompile(`^\{"level":"\w+","ts":"[^"]+",`).MatchString(line):
			etcd++
		case regexp.MustCompile(`^[IWE]\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \w+\.go:\d+\] `).MatchString(line):
			apiserver++
		}
	}
	if etcd == 0 || apiserver == 0 {
		t.Errorf("%d lines of etcd, %d of the apiserver:\n%s", etcd, apiserver, text)
	}
}
