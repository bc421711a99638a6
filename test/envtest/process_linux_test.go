package envtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// child is a process that this one has started.
type child struct {
	pid  int
	args []string
}

// processesOf are the processes that this one has started, and that have an argument with that text in it.
func processesOf(text string) (pids []int) {
	if text == "" { // there is none yet
		return nil
	}
	found, err := childrenWith(text)
	if err != nil {
		return nil
	}
	for _, c := range found {
		pids = append(pids, c.pid)
	}
	return pids
}

// descendantsOf are the processes that a process has started, and theirs.
func descendantsOf(pid int) (found []int) {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	for _, dir := range all {
		child, err := strconv.Atoi(filepath.Base(dir))
		if err == nil && parentOf(child) == pid {
			found = append(append(found, descendantsOf(child)...), child)
		}
	}
	return found
}

// children returns the processes that this one has started, and that have an argument with that text in it.
func children(t *testing.T, text string) []child {
	t.Helper()
	found, err := childrenWith(text)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func childrenWith(text string) (found []child, _ error) {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	for _, dir := range all {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || !mine(pid) {
			continue
		}
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue // it has just ended
		}
		args := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
		if slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, text) }) {
			found = append(found, child{pid, args})
		}
	}
	return found, nil
}

// mine reports whether the process is a child of this one, or one that has ended and that nobody has waited for.
func mine(pid int) bool { return parentOf(pid) == os.Getpid() }

// parentOf is the process that has started another one; 0 if that is not there any more.
func parentOf(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// pid (name) state parent …; the name may have anything in it.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(string(fields[1]))
	if err != nil {
		return 0
	}
	return parent
}

// traces are what a started environment has on the machine.
type traces struct {
	etcd, apiserver child
	dirs            []string
	addresses       []string
}

func tracesOf(t *testing.T, plane *envtest.ControlPlane) traces {
	t.Helper()
	etcd, apiserver := children(t, plane.Etcd.DataDir), children(t, plane.APIServer.CertDir)
	if len(etcd) != 1 || len(apiserver) != 1 {
		t.Fatalf("processes of etcd: %v, of the apiserver: %v, want one of each", etcd, apiserver)
	}
	found := traces{etcd[0], apiserver[0], []string{plane.Etcd.DataDir, plane.APIServer.CertDir},
		[]string{plane.Etcd.URL.Host, plane.APIServer.SecureServing.HostPort()}}
	for _, arg := range found.etcd.args {
		if url, ok := strings.CutPrefix(arg, "--listen-peer-urls=http://"); ok {
			found.addresses = append(found.addresses, url)
		}
	}
	if len(found.addresses) != 3 {
		t.Errorf("etcd has no address for peers: %q", found.etcd.args)
	}
	return found
}

// wantNone checks that nothing is left.
func (s traces) wantNone(t *testing.T) {
	t.Helper()
	for _, c := range []child{s.etcd, s.apiserver} {
		if mine(c.pid) {
			t.Errorf("process %d is still there: %q", c.pid, c.args)
		}
	}
	for _, dir := range s.dirs {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", dir, err)
		}
	}
	for _, address := range s.addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Error(err)
			continue
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A stop leaves nothing behind, and the environment can be started again.
func TestStop(t *testing.T) {
	t.Parallel()
	env := environment(t)
	for range 2 {
		start(t, env)
		found := tracesOf(t, &env.ControlPlane)
		// envtest goes by what --help says.
		if !slices.Contains(found.etcd.args, "--unsafe-no-fsync=true") {
			t.Errorf("etcd has no --unsafe-no-fsync: %q", found.etcd.args)
		}
		if slices.ContainsFunc(found.apiserver.args, func(arg string) bool { return strings.HasPrefix(arg, "--insecure-port") }) {
			t.Errorf("the apiserver has an --insecure-port: %q", found.apiserver.args)
		}
		stop(t, env.Stop)
		found.wantNone(t)
	}
}

// A control plane may be stopped as soon as it says that it is healthy.
func TestStopAtOnce(t *testing.T) {
	t.Parallel()
	for range 3 {
		plane := &envtest.ControlPlane{
			APIServer: &envtest.APIServer{
				Path: filepath.Join(links, "kube-apiserver"), StartTimeout: upstream, StopTimeout: upstream,
			},
			Etcd:        &envtest.Etcd{Path: filepath.Join(links, "etcd"), StartTimeout: upstream, StopTimeout: upstream},
			KubectlPath: filepath.Join(links, "kubectl"),
		}
		observe(t, plane)
		if err := within(t, "start", plane.Start); err != nil {
			t.Fatal(err)
		}
		found := tracesOf(t, plane)
		stop(t, plane.Stop)
		found.wantNone(t)
	}
}

// An apiserver that is stopped while it starts ends, wherever the stop finds it.
func TestStopWhileStarting(t *testing.T) {
	t.Parallel()
	etcd := &envtest.Etcd{Path: filepath.Join(links, "etcd"), StartTimeout: upstream, StopTimeout: upstream}
	if err := within(t, "start of etcd", etcd.Start); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, etcd.Stop) })
	for _, timeout := range []time.Duration{time.Nanosecond, 300 * time.Millisecond, time.Second, 2 * time.Second} {
		server := &envtest.APIServer{
			Path: filepath.Join(links, "kube-apiserver"), EtcdURL: etcd.URL, StartTimeout: timeout, StopTimeout: upstream,
		}
		if err := within(t, "start", server.Start); err == nil {
			t.Logf("ready within %v", timeout)
		}
		dir := server.CertDir
		// It may have ended before it was asked to.
		if err := within(t, "stop", server.Stop); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Errorf("after %v: %v", timeout, err)
		}
		for _, c := range children(t, dir) {
			poll(t, fmt.Sprintf("end of process %d", c.pid), func(context.Context) (bool, error) { return !mine(c.pid), nil })
		}
	}
}

// A control plane that dies is noticed by who uses it, and is cleaned up like another.
func TestKilled(t *testing.T) {
	t.Parallel()
	env := environment(t)
	start(t, env)
	found := tracesOf(t, &env.ControlPlane)
	c, err := client.New(env.Config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(found.apiserver.pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	poll(t, "connection refused", func(ctx context.Context) (bool, error) {
		return utilnet.IsConnectionRefused(c.List(ctx, &corev1.NamespaceList{})), nil
	})
	poll(t, "end of the process", func(context.Context) (bool, error) { return !mine(found.apiserver.pid), nil })
	stop(t, env.Stop)
	found.wantNone(t)
}
