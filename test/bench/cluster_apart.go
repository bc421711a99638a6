//go:build unix

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
)

// apart is the side of the separate processes: upstream's own commands with upstream's defaults, started as an installer
// does it, one after the other where one needs the other. They get the flags that they need to work together, which are
// those that km sets, too; upstream's limits for clients, leader election and log levels stay.
type apart struct {
	binaries string // folder
	keys     string // folder with pki and kubeconfig, made by a km run at the same port
	ports    ports
}

func (a *apart) name() string { return "apart" }

func (a *apart) launch(ctx context.Context, dir string) (*cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	c := &cluster{ports: a.ports, pki: filepath.Join(a.keys, "pki")}
	if err := a.start(ctx, c, dir); err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

func (a *apart) start(ctx context.Context, c *cluster, dir string) error {
	if err := a.step(c, dir, command{"etcd", a.etcd(dir)}); err != nil {
		return err
	}
	c.began = c.steps[0][0].began
	plain, err := newClient(c.pki)
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
	err = a.step(c, dir, command{"kube-controller-manager", a.controllerManager()}, command{"kube-scheduler", a.scheduler()})
	if err != nil {
		return err
	}
	return c.awaitAll(ctx)
}

type command struct {
	name string
	args []string
}

// step starts commands at the same time.
func (a *apart) step(c *cluster, dir string, commands ...command) error {
	c.steps = append(c.steps, nil)
	for _, command := range commands {
		p, err := startProc(command.name, filepath.Join(a.binaries, command.name), dir, nil, command.args...)
		if err != nil {
			return err
		}
		c.steps[len(c.steps)-1] = append(c.steps[len(c.steps)-1], p)
	}
	return nil
}

func (a *apart) pki(file string) string { return filepath.Join(a.keys, "pki", file) }

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
		// The Service "kubernetes" cannot have an endpoint on loopback; with upstream's default it is tried again and again.
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
func (a *apart) client(identity string, port int) []string {
	kubeconfig := filepath.Join(a.keys, "kubeconfig", identity+".conf")
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
