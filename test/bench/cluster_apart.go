//go:build unix

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	nodeheartbeat "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
)

// apart is the side of the separate processes: upstream's own commands with upstream's defaults, started as an
// installer does it, one after the other where one needs the other. They get the flags that they need to work together,
// which are those that km sets, too; upstream's limits for clients, leader election and log levels stay.
type apart struct {
	binaries string // folder
	keys     string // folder with pki and kubeconfig, made by a km run at the same port
	ports    ports
}

func newApart(binaries, keys string, ports ports) (*apart, error) {
	a := &apart{binaries: binaries, keys: keys, ports: ports}
	// kwokctl gives kwok an administrator's kubeconfig, and a configuration with these stages.
	if err := a.access("").writeKubeconfig(a.kubeconfig("kwok")); err != nil {
		return nil, err
	}
	stages := []string{nodefast.DefaultNodeInit, nodeheartbeat.DefaultNodeHeartbeatWithLease,
		podfast.DefaultPodReady, podfast.DefaultPodComplete, podfast.DefaultPodDelete}
	return a, os.WriteFile(a.stages(), []byte(strings.Join(stages, "\n---\n")), 0o600)
}

func (a *apart) name() string { return "apart" }

func (a *apart) access(string) access {
	return access{pki: filepath.Join(a.keys, "pki"), apiserver: "https://" + address(a.ports.apiserver)}
}

func (a *apart) launch(ctx context.Context, dir string, nodes int) (*cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit+time.Duration(nodes)*nodeLimit)
	defer cancel()
	c := &cluster{access: a.access(dir), ports: a.ports}
	c.restartScheduler = func(ctx context.Context) error {
		return a.restart(ctx, c, dir, command{"kube-scheduler", a.scheduler()})
	}
	if err := a.start(ctx, c, dir, nodes); err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

func (a *apart) start(ctx context.Context, c *cluster, dir string, nodes int) error {
	if err := a.step(c, dir, command{"etcd", a.etcd(dir)}); err != nil {
		return err
	}
	c.began = c.steps[0][0].began
	plain, err := c.connect()
	if err != nil {
		return err
	}
	defer plain.close()
	err = c.poll(ctx, "etcd", func() error { return plain.ok(ctx, "http://"+address(a.ports.etcd)+"/health") })
	if err != nil {
		return err
	}
	if err := a.step(c, dir, command{"kube-apiserver", a.apiserver()}); err != nil {
		return err
	}
	if err := c.awaitAPI(ctx); err != nil {
		return err
	}
	err = a.step(c, dir, command{"kube-controller-manager", a.controllerManager()}, command{"kube-scheduler", a.scheduler()},
		command{"kwok", a.kwok()})
	if err != nil {
		return err
	}
	if err := c.client.makeNodes(ctx, nodes); err != nil {
		return err
	}
	return c.awaitAll(ctx, nodes)
}

type command struct {
	name string
	args []string
}

// step starts commands at the same time.
func (a *apart) step(c *cluster, dir string, commands ...command) error {
	c.steps = append(c.steps, nil)
	for _, command := range commands {
		p, err := a.run(dir, command)
		if err != nil {
			return err
		}
		c.steps[len(c.steps)-1] = append(c.steps[len(c.steps)-1], p)
	}
	return nil
}

func (a *apart) run(dir string, c command) (*proc, error) {
	return startProc(c.name, filepath.Join(a.binaries, c.name), dir, nil, c.args...)
}

// restart stops a process, and starts it again.
func (a *apart) restart(ctx context.Context, c *cluster, dir string, command command) error {
	for _, step := range c.steps {
		i := slices.IndexFunc(step, func(p *proc) bool { return p.name == command.name })
		if i < 0 {
			continue
		}
		if err := step[i].terminate(ctx); err != nil {
			return err
		}
		p, err := a.run(dir, command)
		if err == nil {
			step[i] = p
		}
		return err
	}
	return fmt.Errorf("%s has not been started", command.name)
}

func (a *apart) pki(file string) string { return filepath.Join(a.keys, "pki", file) }

func (a *apart) kubeconfig(user string) string {
	return filepath.Join(a.keys, "kubeconfig", user+".conf")
}

func (a *apart) stages() string { return filepath.Join(a.keys, "kwok.yaml") }

func (a *apart) etcd(dir string) []string {
	client, peer := "http://"+address(a.ports.etcd), "http://"+address(a.ports.peer)
	return []string{
		"--data-dir=" + filepath.Join(dir, "etcd"),
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=default=" + peer,
	}
}

func (a *apart) apiserver() []string {
	return []string{
		"--etcd-servers=http://" + address(a.ports.etcd),
		"--bind-address=127.0.0.1",
		"--advertise-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(a.ports.apiserver),
		// The Service "kubernetes" cannot have an endpoint on loopback; with upstream's default it is tried again and
		// again.
		"--endpoint-reconciler-type=none",
		"--service-cluster-ip-range=10.96.0.0/12",
		"--tls-cert-file=" + a.pki("apiserver.crt"),
		"--tls-private-key-file=" + a.pki("apiserver.key"),
		"--client-ca-file=" + a.pki("ca.crt"),
		"--proxy-client-cert-file=" + a.pki("front-proxy-client.crt"),
		"--proxy-client-key-file=" + a.pki("front-proxy-client.key"),
		"--requestheader-client-ca-file=" + a.pki("front-proxy-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + a.pki("sa.pub"),
		"--service-account-signing-key-file=" + a.pki("sa.key"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
	}
}

func (a *apart) controllerManager() []string {
	return append(a.client("controller-manager", a.ports.controllerManager),
		"--root-ca-file="+a.pki("ca.crt"),
		"--service-account-private-key-file="+a.pki("sa.key"),
		"--cluster-signing-cert-file="+a.pki("ca.crt"),
		"--cluster-signing-key-file="+a.pki("ca.key"),
		"--use-service-account-credentials=true",
	)
}

func (a *apart) scheduler() []string { return a.client("scheduler", a.ports.scheduler) }

// client are the flags of a component that talks to the apiserver.
func (a *apart) client(user string, port int) []string {
	kubeconfig := a.kubeconfig(user)
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--client-ca-file=" + a.pki("ca.crt"),
		"--requestheader-client-ca-file=" + a.pki("front-proxy-ca.crt"),
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
	}
}

// kwok are the flags that kwokctl gives it.
func (a *apart) kwok() []string {
	return []string{
		"--manage-all-nodes=true",
		"--kubeconfig=" + a.kubeconfig("kwok"),
		"--config=" + a.stages(),
		"--tls-cert-file=" + a.pki("kubelet.crt"),
		"--tls-private-key-file=" + a.pki("kubelet.key"),
		"--node-name=localhost",
		fmt.Sprintf("--node-port=%d", a.ports.kwok),
		"--server-address=" + address(a.ports.kwok),
		"--node-lease-duration-seconds=40",
	}
}
