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
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/google/renameio/v2"

	"github.com/seed-200a7251/km/supervisor"
)

// Cluster is one control plane. The rooms of its servers share one.
type Cluster struct {
	mu       sync.Mutex
	opened   bool
	sockets  map[string]*socket // by server
	endpoint string             // the apiserver's, as URL
	trust    []byte             // certificates by which clients know the apiserver
	pki      *pki
	command  func(words ...string) string // Plan.Command: what to type to find the cluster

	identities []named // the admin's, and those of Identify
}

// socket is where a server is to serve.
type socket struct {
	host, port string // the names of the flags that say where
	address    string // as it was asked for
}

// New returns a Cluster of which nothing is known yet but its admin.
func New() *Cluster {
	return &Cluster{sockets: map[string]*socket{}, identities: []named{{Admin, adminIdentity}}}
}

// Open checks, once, that this program may write to the data folder, and notes that it does.
func (c *Cluster) Open(p *supervisor.Plan) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.opened {
		return nil
	}
	if err := claim(p.Path("state.json")); err != nil {
		return err
	}
	c.opened = true
	return nil
}

// Listen opens the socket on which a server is to serve TLS, so that a port that is taken is found before anything
// starts, and a free port cannot be lost to another process between looking and serving. The address is that of the
// flags bind-address and secure-port; if the plan asks for free ports and the user named none, the port is any free
// one, and the flag is set to it. A port of 0 means that the server does not listen.
// It is the Listen of a supervisor.Server.
func (c *Cluster) Listen(p *supervisor.Plan, s *supervisor.Server) error {
	return c.ListenAt(p, s, "bind-address", "secure-port")
}

// ListenAt is Listen for a server whose flags have other names.
func (c *Cluster) ListenAt(p *supervisor.Plan, s *supervisor.Server, hostFlag, portFlag string) error {
	port := s.Value(portFlag)
	switch {
	case p.FreePorts && !s.Given(portFlag):
		port = "0"
	case port == "0":
		return nil
	}
	host := s.Value(hostFlag)
	socket := &socket{host: hostFlag, port: portFlag, address: net.JoinHostPort(host, port)}
	l, err := s.Socket("tcp", socket.address)
	if err != nil {
		return socket.explain(s.Name(), host, port, err)
	}
	actual := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	if err := l.Close(); err != nil { // the socket stays open
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sockets[s.Name()] = socket
	if actual == port {
		return nil
	}
	return s.Default(portFlag, actual)
}

// TakeListener returns a listener on the socket that Listen opened, for one start of the server. It is nil if the
// server does not listen.
func (c *Cluster) TakeListener(s *supervisor.Server) (net.Listener, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	socket := c.sockets[s.Name()]
	if socket == nil {
		return nil, nil
	}
	l, err := s.Socket("tcp", socket.address)
	if err != nil {
		return nil, socket.explain(s.Name(), s.Value(socket.host), s.Value(socket.port), err)
	}
	return l, nil
}

func (k *socket) explain(server, host, port string, err error) error {
	hostFlag, portFlag := "--"+server+"."+k.host, "--"+server+"."+k.port
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: port %s of %s is taken; choose another with %s, or let km choose with --free-ports", server, port, host, portFlag)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: not allowed to listen on port %s; choose one above 1023 with %s", server, port, portFlag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: this machine has no address %s; choose another with %s", server, host, hostFlag)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return fmt.Errorf("%s: cannot listen on %s: %w; see %s and %s", server, net.JoinHostPort(host, port), err, hostFlag, portFlag)
}

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

// Write replaces a file in one step, readable for its owner alone. One that has these bytes already is left as it is:
// on a disk that is full it could not be written, and need not be.
func Write(path string, data []byte) error {
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
		if there, err := os.ReadFile(path); err == nil && bytes.Equal(there, data) {
			return nil
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(path, data, 0o600)
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
