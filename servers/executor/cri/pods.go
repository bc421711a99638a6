package cri

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	"k8s.io/kubernetes/pkg/kubelet"
	"k8s.io/kubernetes/pkg/kubelet/types"
	"k8s.io/mount-utils"

	"github.com/seed-200a7251/km/servers/component"
)

// connect gives the kubelet its clients, as upstream makes them (cmd/kubelet/app.buildKubeletClientConfig), but on a
// link that can be cut.
func connect(o *options.KubeletServer, deps *kubelet.Dependencies) (*component.Link, error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.KubeConfig)
	if err != nil {
		return nil, err
	}
	link := component.NewLink(config)
	config.ContentType = o.ContentType
	if o.ContentType == runtime.ContentTypeProtobuf {
		config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	}
	config.QPS, config.Burst = float32(o.KubeAPIQPS), int(o.KubeAPIBurst)
	if deps.KubeClient, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	events := rest.CopyConfig(config)
	events.QPS, events.Burst = float32(o.EventRecordQPS), int(o.EventBurst)
	if o.EventRecordQPS == 0 {
		events.QPS = -1
	}
	eventClient, err := kubernetes.NewForConfig(events)
	if err != nil {
		return nil, err
	}
	deps.EventClient = eventClient.CoreV1()
	heartbeat := rest.CopyConfig(config)
	heartbeat.QPS = -1
	heartbeat.Timeout = min(o.NodeStatusUpdateFrequency.Duration, time.Duration(o.NodeLeaseDurationSeconds)*time.Second)
	if deps.HeartbeatClient, err = kubernetes.NewForConfig(heartbeat); err != nil {
		return nil, err
	}
	deps.OnHeartbeatFailure = link.CloseConnections
	return link, nil
}

// Of the grace period, this is kept for what is left of pods that have ended.
const (
	removal     = 5 * time.Second
	removeLimit = removal - time.Second
)

// stopPods has the kubelet stop the pods of this node, as if none were wanted here any more, and returns when they and
// their volumes are gone. In the API they stay what they are: the next start starts them again, as after a restart of
// the machine.
func stopPods(ctx context.Context, link *component.Link, deps *kubelet.Dependencies, o *options.KubeletServer) error {
	link.Cut()
	if deps.PodConfig == nil || deps.RemoteRuntimeService == nil {
		return nil // it has not come that far
	}
	for source, used := range map[string]bool{
		types.ApiserverSource: true,
		types.FileSource:      o.StaticPodPath != "",
		types.HTTPSource:      o.StaticPodURL != "",
	} {
		if used {
			sendNone(deps.PodConfig.Channel(ctx, source))
		}
	}
	runtime := deps.RemoteRuntimeService
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, GracePeriod-removal, true, func(ctx context.Context) (bool, error) {
		running, err := runtime.ListPodSandbox(ctx, &runtimeapi.PodSandboxFilter{
			State: &runtimeapi.PodSandboxStateValue{State: runtimeapi.PodSandboxState_SANDBOX_READY},
		})
		if err != nil || len(running) > 0 {
			return false, err
		}
		mounts, err := mountsBelow(o.RootDirectory)
		return len(mounts) == 0, err
	})
	if err != nil {
		return fmt.Errorf("some pods may be running still: %w", err)
	}
	// All are this node's: it does not start beside others.
	return errors.Join(removeSandboxes(ctx, runtime), unlinkLogs(o.PodLogsDir), unmountSelf(o.RootDirectory))
}

// sandboxes is what of the container runtime knows those of pods.
type sandboxes interface {
	ListPodSandbox(context.Context, *runtimeapi.PodSandboxFilter) ([]*runtimeapi.PodSandbox, error)
	RemovePodSandbox(ctx context.Context, id string) error
}

// removeSandboxes removes what is left of pods that have ended. The kubelet may be removing some of it at the same
// time, which the container runtime refuses to one of both: it is tried again.
func removeSandboxes(ctx context.Context, runtime sandboxes) error {
	var left error
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, removeLimit, true, func(ctx context.Context) (bool, error) {
		ended, err := runtime.ListPodSandbox(ctx, nil)
		if err != nil {
			left = fmt.Errorf("what is left of the pods cannot be removed: %w", err)
			return false, nil
		}
		left = nil
		for _, sandbox := range ended {
			if err := runtime.RemovePodSandbox(ctx, sandbox.Id); err != nil {
				left = errors.Join(left, fmt.Errorf("what is left of the pod %s/%s cannot be removed: %w", sandbox.Metadata.GetNamespace(), sandbox.Metadata.GetName(), err))
			}
		}
		return left == nil, nil
	})
	return cmp.Or(left, err)
}

// linksDir is where the kubelet makes a link to the log of each container (pkg/kubelet/kuberuntime/legacy.go).
const linksDir = "/var/log/containers"

// unlinkLogs removes the links to logs in a folder. The kubelet would when it next looks for what is old.
func unlinkLogs(logs string) error {
	links, err := os.ReadDir(linksDir)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	var left []error
	for _, link := range links {
		path := filepath.Join(linksDir, link.Name())
		if target, err := os.Readlink(path); err == nil && strings.HasPrefix(target, logs+string(filepath.Separator)) {
			left = append(left, os.Remove(path))
		}
	}
	return errors.Join(left...)
}

// sendNone sends an update without pods: the zero value of a type that has no name outside of the kubelet's package.
func sendNone[T any](updates chan<- T) {
	var none T
	updates <- none
}

// mountsBelow returns what is mounted in a folder.
func mountsBelow(dir string) ([]string, error) {
	points, err := mount.New("").List()
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	var below []string
	for _, p := range points {
		if strings.HasPrefix(p.Path, dir+string(filepath.Separator)) {
			below = append(below, p.Path)
		}
	}
	return below, nil
}
