package cri

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
)

// statusRuntime is a container runtime that is well, but for a condition, and has nothing else.
type statusRuntime struct {
	runtimeapi.UnimplementedRuntimeServiceServer
	condition *runtimeapi.RuntimeCondition
}

func (r *statusRuntime) Version(context.Context, *runtimeapi.VersionRequest) (*runtimeapi.VersionResponse, error) {
	return &runtimeapi.VersionResponse{RuntimeName: "test", RuntimeApiVersion: "v1"}, nil
}

func (r *statusRuntime) Status(context.Context, *runtimeapi.StatusRequest) (*runtimeapi.StatusResponse, error) {
	all := []*runtimeapi.RuntimeCondition{{Type: runtimeapi.RuntimeReady, Status: true}, {Type: runtimeapi.NetworkReady, Status: true}}
	for i, c := range all {
		if c.Type == r.condition.Type {
			all[i] = r.condition
			return &runtimeapi.StatusResponse{Status: &runtimeapi.RuntimeStatus{Conditions: all}}, nil
		}
	}
	return &runtimeapi.StatusResponse{Status: &runtimeapi.RuntimeStatus{Conditions: append(all, r.condition)}}, nil
}

func (r *statusRuntime) ListPodSandbox(context.Context, *runtimeapi.ListPodSandboxRequest) (*runtimeapi.ListPodSandboxResponse, error) {
	return &runtimeapi.ListPodSandboxResponse{}, nil
}

// serve serves a runtime until the test ends.
func serve(t *testing.T, endpoint string, runtime runtimeapi.RuntimeServiceServer) {
	t.Helper()
	l, err := net.Listen("unix", strings.TrimPrefix(endpoint, "unix://"))
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	runtimeapi.RegisterRuntimeServiceServer(server, runtime)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// Of what a runtime reports two conditions make a machine a node. Others are told, and refuse nothing: containerd 2
// reports that its configuration, or the machine, has something that is going to be taken away.
func TestConditions(t *testing.T) {
	for name, test := range map[string]struct {
		condition        *runtimeapi.RuntimeCondition
		lacking, warning string
	}{
		"all is well":    {condition: &runtimeapi.RuntimeCondition{Type: "ContainerdHasNoDeprecationWarnings", Status: true}},
		"a warning":      {&runtimeapi.RuntimeCondition{Type: "ContainerdHasNoDeprecationWarnings", Reason: "CgroupV1", Message: "cgroup v1\nmore"}, "", "cgroup v1"},
		"no runtime":     {&runtimeapi.RuntimeCondition{Type: runtimeapi.RuntimeReady, Reason: "Broken"}, "the container runtime is not ready: Broken", ""},
		"no network":     {&runtimeapi.RuntimeCondition{Type: runtimeapi.NetworkReady, Message: "no CNI"}, "has no network for pods: no CNI", ""},
		"one of its own": {&runtimeapi.RuntimeCondition{Type: "Tired", Message: "it sleeps"}, "", "it sleeps"},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := "unix://" + filepath.Join(t.TempDir(), "cri.sock")
			serve(t, endpoint, &statusRuntime{condition: test.condition})
			o, err := options.NewKubeletServer()
			if err != nil {
				t.Fatal(err)
			}
			o.ContainerRuntimeEndpoint = endpoint
			var told bytes.Buffer
			var l lacks
			checkRuntime(t.Context(), &l, o, slog.New(slog.NewTextHandler(&told, nil)))
			if got := strings.Join(l, "\n"); (got == "") != (test.lacking == "") || !strings.Contains(got, test.lacking) {
				t.Errorf("it lacks %q, want %q", got, test.lacking)
			}
			if got := told.String(); (got == "") != (test.warning == "") || !strings.Contains(got, test.warning) || strings.Contains(got, "more") {
				t.Errorf("it is told %q, want %q", got, test.warning)
			}
		})
	}
}
