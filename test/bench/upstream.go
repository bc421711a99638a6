//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// packages are the main packages of upstream's binaries.
var packages = map[string]string{
	"etcd":                    "go.etcd.io/etcd/server/v3",
	"kube-apiserver":          "k8s.io/kubernetes/cmd/kube-apiserver",
	"kube-controller-manager": "k8s.io/kubernetes/cmd/kube-controller-manager",
	"kube-scheduler":          "k8s.io/kubernetes/cmd/kube-scheduler",
	"kubelet":                 "k8s.io/kubernetes/cmd/kubelet",
	"kube-proxy":              "k8s.io/kubernetes/cmd/kube-proxy",
	"kubectl":                 "k8s.io/kubernetes/cmd/kubectl",
	"kwok":                    "sigs.k8s.io/kwok/cmd/kwok",
}

// buildUpstream builds upstream's binaries from the modules, and with the flags, that km is built with. Those that are
// up to date are left as they are: go sees to that.
func (b *bench) buildUpstream(ctx context.Context, names ...string) error {
	if err := os.MkdirAll(b.apart, 0o755); err != nil {
		return err
	}
	kubernetes, err := output(ctx, exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", "k8s.io/kubernetes"))
	if err != nil {
		return err
	}
	version := strings.Split(strings.TrimPrefix(kubernetes, "v"), ".")
	if len(version) < 3 {
		return fmt.Errorf("k8s.io/kubernetes has the version %q: give it one like v1.2.3 in go.mod", kubernetes)
	}
	ldflags := "-ldflags=-s -w"
	for _, value := range []string{"gitVersion=" + kubernetes, "gitMajor=" + version[0], "gitMinor=" + version[1]} {
		ldflags += " -X k8s.io/component-base/version." + value
	}
	modules, err := b.wideModules()
	if err != nil {
		return err
	}
	for _, name := range names {
		if b.built[name] {
			continue
		}
		args := []string{ldflags, "-o", filepath.Join(b.apart, name)}
		if name == "kwok" {
			args = append(args, modules...)
		}
		say("building %s, unless it is up to date", name)
		if _, err := output(ctx, goCommand(ctx, "build", append(args, packages[name])...)); err != nil {
			return fmt.Errorf("%s cannot be built: %w", name, err)
		}
		b.built[name] = true
	}
	return nil
}

// wideModules are flags with which also packages can be built that km needs nothing of, and whose modules are therefore
// not in its go.sum, such as those that kwok's server imports: in a copy of go.mod and go.sum, go adds what is missing.
// All other modules have km's versions.
func (b *bench) wideModules() ([]string, error) {
	copied := filepath.Join(b.work, "wide.mod")
	for from, to := range map[string]string{"go.mod": copied, "go.sum": filepath.Join(b.work, "wide.sum")} {
		text, err := os.ReadFile(from)
		if err != nil {
			return nil, fmt.Errorf("%w: run this in the root folder of km's repository", err)
		}
		if err := os.WriteFile(to, text, 0o600); err != nil {
			return nil, err
		}
	}
	return []string{"-mod=mod", "-modfile=" + copied}, nil
}

// goCommand is `go build` or `go test` with the flags that `make build` uses: with others, all of Kubernetes would be
// compiled anew.
func goCommand(ctx context.Context, verb string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", append([]string{verb, "-trimpath", "-tags=grpcnotrace"}, args...)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	return cmd
}

// output is what a command prints on standard output. What it has printed on standard error is in the error.
func output(ctx context.Context, cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		err = fmt.Errorf("%s: %w", strings.Join(cmd.Args[:min(2, len(cmd.Args))], " "), err)
		for line := range strings.Lines(stderr.String()) {
			if !strings.HasPrefix(line, "go: downloading ") && len(err.Error()) < 500 {
				err = fmt.Errorf("%w: %s", err, strings.TrimSpace(line))
			}
		}
		return "", err
	}
	return strings.TrimSpace(stdout.String()), nil
}
