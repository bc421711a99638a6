package cri

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	internalapi "k8s.io/cri-api/pkg/apis"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
	remote "k8s.io/cri-client/pkg"
	kubelettypes "k8s.io/kubelet/pkg/types"
	kubeadm "k8s.io/kubernetes/cmd/kubeadm/app/preflight"
	"k8s.io/kubernetes/cmd/kubelet/app/options"

	"github.com/seed-200a7251/km/servers/component"
)

// lacks are what a machine has to have as a node and has not, each with its remedy.
type lacks []string

func (l *lacks) add(remedy, what string, args ...any) {
	*l = append(*l, fmt.Sprintf(what, args...)+"\n      "+remedy)
}

func (l lacks) err() error {
	if len(l) == 0 {
		return nil
	}
	return errors.New("executor: this machine is not ready to run containers:\n  - " + strings.Join(l, "\n  - "))
}

// answerTime is how long the runtime may take to answer.
const answerTime = 5 * time.Second

// preflight looks for all that this machine lacks as a node, before anything is started. The kubelet itself would find
// it one at a time, and end the process each time. What a node can do without is only told.
func preflight(ctx context.Context, o *options.KubeletServer, address string, log *slog.Logger) error {
	var l lacks
	if _, errs := (kubeadm.IsPrivilegedUserCheck{}).Check(); len(errs) > 0 {
		l.add("run km with sudo; simulated nodes, without --executor.runtime=cri, need no rights", "only root can start containers, and km runs as user %d", os.Getuid())
	}
	if address == "" {
		l.add("connect it to a network, or name one of its addresses with --executor.node-ip", "this machine has no address that pods could reach it at: there is no default route")
	}
	checkHost(&l, o)
	checkRuntime(ctx, &l, o, log)
	return l.err()
}

func checkHost(l *lacks, o *options.KubeletServer) {
	if _, err := exec.LookPath("mount"); err != nil {
		l.add("install the package mount or util-linux", "the command mount is missing; the kubelet mounts volumes with it")
	}
	if f, err := os.Open("/dev/kmsg"); err != nil {
		l.add("in a container, make it a link to /dev/console, or run the container privileged", "the kernel's log cannot be read (%v); the kubelet looks there for processes that ran out of memory", err)
	} else {
		_ = f.Close()
	}
	checkWatchers(l)
	warnings, _ := (kubeadm.SwapCheck{}).Check()
	if o.FailSwapOn && len(warnings) > 0 {
		l.add("turn it off with `swapoff -a`, or leave failSwapOn out: then pods do not use it", "swap is on, and the kubelet is told to refuse that")
	}
	var cgroups unix.Statfs_t
	switch err := unix.Statfs("/sys/fs/cgroup", &cgroups); {
	case err != nil:
		l.add("mount them; in a container, run it privileged", "control groups are not mounted at /sys/fs/cgroup: %v", err)
	case cgroups.Type != unix.CGROUP2_SUPER_MAGIC && o.FailCgroupV1:
		l.add("start the kernel with systemd.unified_cgroup_hierarchy=1, or leave failCgroupV1 out", "this machine has version 1 of control groups, and the kubelet is told to refuse that")
	}
	// A socket's path may have 108 bytes (unix(7)); the kubelet ends the process if it cannot make its own.
	for _, socket := range []string{"device-plugins/kubelet.sock", "pod-resources/kubelet.sock"} {
		if path := filepath.Join(o.RootDirectory, socket); len(path) >= 108 {
			l.add("use a shorter one with --data-dir or --executor.root-dir", "the folder %s is too long for the kubelet's sockets in it", o.RootDirectory)
			break
		}
	}
}

// watchers is how many instances of inotify the kubelet has: for cAdvisor, plugins, flexvolumes, static pods, its
// certificate, and the authority of its clients.
const watchers = 6

// checkWatchers reports whether so many can be had. The kubelet ends the process if it gets none
// (pkg/kubelet.initializeRuntimeDependentModules), and the limit of most machines is 128 for all that a user runs.
func checkWatchers(l *lacks) {
	if lack, remedy := component.LackWatchers(watchers); lack != "" {
		l.add(remedy, "%s; the kubelet watches files with them", lack)
	}
}

// checkRuntime looks at the container runtime, and at what it needs for the pods' network.
func checkRuntime(ctx context.Context, l *lacks, o *options.KubeletServer, log *slog.Logger) {
	endpoint := o.ContainerRuntimeEndpoint
	const install = "install and start one (on Debian: apt install containerd runc containernetworking-plugins), or name its socket with --executor.container-runtime-endpoint"
	if u, err := url.Parse(endpoint); err != nil || u.Scheme != "unix" || u.Path == "" {
		l.add("use the path of a socket, such as unix:///run/containerd/containerd.sock", "--executor.container-runtime-endpoint=%s is not of the form unix://PATH", endpoint)
		return
	} else if info, err := os.Stat(u.Path); err != nil {
		l.add(install, "there is no container runtime at %s: %v", endpoint, errors.Unwrap(err))
		return
	} else if info.Mode().Type() != os.ModeSocket {
		l.add(install, "%s is not a socket", u.Path)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	runtime, err := remote.NewRemoteRuntimeServiceBuilder().WithEndpoint(endpoint).WithConnectionTimeout(answerTime).Build(ctx)
	if err != nil {
		l.add("see its log; in containerd's configuration, cri must not be among the disabled_plugins", "the container runtime at %s does not answer as one: %v", endpoint, err)
		return
	}
	defer func() { _ = runtime.Close(ctx) }()
	status, err := runtime.Status(ctx, true)
	if err != nil {
		l.add("see its log; in containerd's configuration, cri must not be among the disabled_plugins", "the container runtime at %s does not say how it is: %v", endpoint, err)
		return
	}
	cni := readCNI(status)
	for _, c := range status.GetStatus().GetConditions() {
		switch {
		case c.Status:
		case c.Type == runtimeapi.NetworkReady:
			l.add(cni.remedy(), "the container runtime has no network for pods: %s", firstLine(c.Message))
		case c.Type == runtimeapi.RuntimeReady:
			l.add("see its log", "the container runtime is not ready: %s %s", c.Reason, firstLine(c.Message))
		default: // the kubelet asks for these two alone (pkg/kubelet, updateRuntimeUp); others are a runtime's own
			log.Warn("The container runtime reports a condition that is not met; nodes can do without",
				"condition", c.Type, "reason", c.Reason, "message", firstLine(c.Message))
		}
	}
	cni.check(l)
	checkStrangers(ctx, l, runtime, o)
}

// checkStrangers looks for pods that are not this node's: the kubelet would stop them.
func checkStrangers(ctx context.Context, l *lacks, runtime internalapi.RuntimeService, o *options.KubeletServer) {
	sandboxes, err := runtime.ListPodSandbox(ctx, &runtimeapi.PodSandboxFilter{
		State: &runtimeapi.PodSandboxStateValue{State: runtimeapi.PodSandboxState_SANDBOX_READY},
	})
	if err != nil {
		l.add("see the log of the container runtime", "the container runtime does not say which pods there are: %v", err)
		return
	}
	var strangers []string
	for _, s := range sandboxes {
		if _, err := os.Stat(filepath.Join(o.RootDirectory, "pods", s.Labels[kubelettypes.KubernetesPodUIDLabel])); err != nil {
			strangers = append(strangers, s.Metadata.GetNamespace()+"/"+s.Metadata.GetName())
		}
	}
	if len(strangers) > 0 {
		slices.Sort(strangers)
		l.add("stop that one, remove its pods (crictl rmp -fa), or start a container runtime for km alone, with a root, state and address of its own",
			"the container runtime runs pods of another node, which the kubelet would stop: %s", strings.Join(strangers, ", "))
	}
}

// cni is what the runtime says of how pods get their network (https://www.cni.dev). containerd and CRI-O tell; where
// another one does not, the fields are empty.
type cni struct {
	PluginDirs    []string
	PluginConfDir string
	Networks      []struct {
		Config struct {
			Plugins []struct {
				Network struct {
					Type string `json:"type"`
				}
			}
		}
	}
}

func readCNI(status *runtimeapi.StatusResponse) *cni {
	c := &cni{}
	if err := json.Unmarshal([]byte(status.GetInfo()["cniconfig"]), c); err != nil {
		return &cni{}
	}
	return c
}

func (c *cni) remedy() string {
	dir := "/etc/cni/net.d"
	if c.PluginConfDir != "" {
		dir = c.PluginConfDir
	}
	return "put a configuration into " + dir + `, such as this one as 10-km.conflist, and restart the container runtime:
      {"cniVersion": "1.0.0", "name": "km", "plugins": [
        {"type": "bridge", "bridge": "km0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
         "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.85.0.0/16"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
        {"type": "portmap", "capabilities": {"portMappings": true}}]}`
}

// check looks for the plugins that the configuration names, and for what they need.
func (c *cni) check(l *lacks) {
	bridge := false
	for _, network := range c.Networks {
		for _, plugin := range network.Config.Plugins {
			name := plugin.Network.Type
			bridge = bridge || name == "bridge"
			if name == "" || slices.ContainsFunc(c.PluginDirs, func(dir string) bool {
				_, err := os.Stat(filepath.Join(dir, name))
				return err == nil
			}) {
				continue
			}
			l.add("install containernetworking-plugins, and have bin_dir in the container runtime's configuration name their folder (on Debian /usr/lib/cni)",
				"the CNI plugin %s is in none of %s", name, strings.Join(c.PluginDirs, ", "))
		}
	}
	if !bridge {
		return
	}
	const setting = "/proc/sys/net/bridge/bridge-nf-call-iptables"
	if text, err := os.ReadFile(setting); err != nil || string(bytes.TrimSpace(text)) != "1" {
		l.add("modprobe br_netfilter && sysctl net.bridge.bridge-nf-call-iptables=1",
			"traffic between pods on a bridge does not pass through the kernel's filters, and they could not reach Services")
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
