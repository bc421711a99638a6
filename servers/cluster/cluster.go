// Package cluster is what the servers of one control plane share on this machine: keys, kubeconfigs, addresses.
//
//	DATA-DIR/            0700
//	  state.json         which versions wrote the folder
//	  pki/               keys and certificates, under kubeadm's names
//	  kubeconfig/        admin.conf, and one for each server that is a client, whose certificate and key
//	                     are in a .pem beside it
//	  etcd/              etcd's data, and its socket
//	  logs/              a file for each server, and km.log; as the following ones, see package supervisor
//	  km.lock            held while km runs
//	  km.sock            the admin API
//	  running.json       there while km runs, and after a run that was not stopped
//	  crash.log          what the runtime said at a crash; crash.log.1 when that has been told
//	  found              what was in the folder before, if it was there
//	  plain-path         while km runs, where there is another path to the folder, if its own has characters
//	                     that mean something elsewhere
//	  sockets/           sockets, if others may enter the folder
package cluster

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// Cluster is one control plane. The rooms of its servers share one.
type Cluster struct {
	mu       sync.Mutex
	opened   bool
	endpoint string // the apiserver's, as URL
	trust    []byte // certificates by which clients know the apiserver
	pki      *pki
	command  func(words ...string) string // Plan.Command: what to type to find the cluster

	identities []named // the admin's, and those of Identify
	granted    []named // those of Grant
	beforeOpen func(context.Context, *supervisor.Plan) error
	peers      func(context.Context) ([]string, error)
}

// New returns a Cluster of which nothing is known yet but its admin.
func New() *Cluster {
	return &Cluster{identities: []named{{Admin, adminIdentity}}}
}

// Open checks, once, that this program may write to the data folder, and notes that it does. Before that, a machine
// joins its cluster.
func (c *Cluster) Open(ctx context.Context, p *supervisor.Plan) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opened {
		return nil
	}
	if err := checkJoined(p); err != nil {
		return err
	}
	if c.beforeOpen != nil && p.Selected(names.Machine) {
		if err := c.beforeOpen(ctx, p); err != nil {
			return err
		}
	}
	if err := claim(p.Path("state.json")); err != nil {
		return err
	}
	c.opened = true
	return nil
}

// Ports are those of a server that serves TLS where its flags bind-address and secure-port say. With a port of 0 it
// does not listen, as upstream has it.
var Ports = []supervisor.Port{{HostFlag: "bind-address", PortFlag: "secure-port", ZeroIsNone: true}}

// HTTPS is the URL at which a server is reached that listens on its flags bind-address and secure-port. An address that
// stands for all is reached on loopback.
func HTTPS(s *supervisor.Server) string {
	host := s.Value("bind-address")
	if ip := net.ParseIP(host); ip == nil || ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	return "https://" + net.JoinHostPort(host, s.Value("secure-port"))
}

// Name of the kubeconfig files, and of the kubeconfig folder.
const kubeconfigDir = "kubeconfig"

// KubeconfigPath is where the kubeconfig of an identity is: Admin, or a server's name.
func KubeconfigPath(p *supervisor.Plan, identity string) string {
	return p.Path(kubeconfigDir, identity+".conf")
}

// PlainKubeconfigPath is KubeconfigPath for what becomes part of a text with a syntax of its own.
func PlainKubeconfigPath(p *supervisor.Plan, identity string) string {
	return p.PlainPath(kubeconfigDir, identity+".conf")
}

// PKIPath is where a file of the cluster's keys is.
func PKIPath(p *supervisor.Plan, file string) string { return p.Path("pki", file) }

// Write replaces a file, which keeps its mode, or makes one for its owner alone, in one step. One that has these bytes
// already is left as it is: on a disk that is full it could not be written, and need not be.
func Write(path string, data []byte) error {
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, data) {
			return nil
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return replaceFile(path, data, nil)
}

func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return false, err
}

// renewBefore is how long before its end a certificate is made anew. Certificates are looked at when a cluster starts,
// and once a day while it runs.
const renewBefore = 30 * 24 * time.Hour
