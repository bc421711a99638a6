package machine

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	certutil "k8s.io/client-go/util/cert"
	nodeutil "k8s.io/kubernetes/pkg/util/node"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// entry is a machine on its way into a cluster.
type entry struct {
	*machine
	plan    *supervisor.Plan
	server  *supervisor.Server
	role    string
	address string
	token   *invitation         // nil without one
	was     *cluster.Membership // nil if it has not joined yet
	ca      *x509.Certificate   // in the data folder; nil if there is none
}

// enter joins, if that is asked for and has not been done. It asks the cluster only for what is missing.
func (m *machine) enter(ctx context.Context, p *supervisor.Plan) (err error) {
	s := p.Server(names.Machine)
	if s.Value(component.JoinFlag) == "" {
		return nil
	}
	e := &entry{machine: m, plan: p, server: s, role: s.Value(cluster.RoleFlag)}
	if e.address, err = joinAddress(s.Value(component.JoinFlag)); err != nil {
		return err
	}
	if e.token, err = tokenOf(s); err != nil {
		return err
	}
	if err := e.look(); err != nil {
		return err
	}
	if e.role == cluster.ControlPlane {
		return e.asControlPlane(ctx)
	}
	return e.asNode(ctx)
}

// look looks what the data folder is already, and refuses one of another cluster.
func (e *entry) look() (err error) {
	if e.was, err = cluster.ReadMembership(e.plan); err != nil {
		return err
	}
	certs, err := certutil.CertsFromFile(cluster.PKIPath(e.plan, "ca.crt"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	e.ca = certs[0]
	other := fmt.Sprintf("take another one with --name or --data-dir, or delete it with `%s`", e.plan.Command("reset"))
	switch {
	case e.was == nil:
		return fmt.Errorf("the data folder %s has a cluster of its own, and cannot join another one: %s", e.plan.DataDir, other)
	case e.was.Role != e.role:
		return fmt.Errorf("the data folder %s is that of a %s, and not of a %s: %s", e.plan.DataDir, e.was.Role, e.role, other)
	case e.was.CAHash != hashOf(e.ca) || e.token != nil && e.token.caHash != e.was.CAHash:
		return fmt.Errorf("the data folder %s is a part of another cluster, that at %s: %s", e.plan.DataDir, e.was.APIServers[0], other)
	}
	return nil
}

// discover finds the cluster and looks whether this machine fits it. It needs the token, with which the client comes.
func (e *entry) discover(ctx context.Context) (*other, kubernetes.Interface, error) {
	if e.token == nil {
		return nil, nil, fmt.Errorf("--%s=%s: this machine has not joined yet: add --%s, with what `%s` prints there",
			component.JoinFlag, e.address, cluster.TokenFlag, cluster.Elsewhere("token", "create", "--"+cluster.RoleFlag+"="+e.role))
	}
	o, err := discover(ctx, e.address, e.token.caHash)
	if err != nil {
		return nil, nil, err
	}
	client, err := o.client(func(c *rest.Config) { c.BearerToken = e.token.bearer() })
	if err != nil {
		return nil, nil, err
	}
	return o, client, o.checkVersion(client, e.role)
}

// belong notes which cluster this machine is a part of, before there is anything of that in the folder.
func (e *entry) belong(o *other) error {
	e.was = &cluster.Membership{Role: e.role, CAHash: e.token.caHash, APIServers: []string{o.address}}
	return e.was.Write(e.plan)
}

// asNode sees to it that all servers of a node have their certificates and kubeconfigs.
func (e *entry) asNode(ctx context.Context) error {
	all, err := e.cluster.JoinedCredentials(e.plan)
	if err != nil {
		return err
	}
	var lacking []*cluster.Credentials
	for _, c := range all {
		ok, err := valid(c, time.Now())
		if err != nil {
			return err
		}
		if !ok {
			lacking = append(lacking, c)
		}
	}
	if len(lacking) > 0 {
		if err := e.ask(ctx, lacking); err != nil {
			return err
		}
	}
	ca, err := os.ReadFile(cluster.PKIPath(e.plan, "ca.crt"))
	if err != nil {
		return err
	}
	for _, c := range all {
		if err := c.WriteKubeconfig(e.plan, "https://"+e.server.ListenAddress(listenFlag), ca); err != nil {
			return err
		}
	}
	e.credentials = all
	return nil
}

// ask asks the cluster for certificates.
func (e *entry) ask(ctx context.Context, lacking []*cluster.Credentials) error {
	o, client, err := e.discover(ctx)
	if err != nil {
		return err
	}
	if err := e.checkName(ctx, o, client); err != nil {
		return err
	}
	if err := e.belong(o); err != nil {
		return err
	}
	if err := cluster.Write(cluster.PKIPath(e.plan, "ca.crt"), o.ca); err != nil {
		return err
	}
	for _, c := range lacking {
		if err := request(ctx, client, c); err != nil {
			return o.wrong(o.refused(err))
		}
	}
	return nil
}

// checkName refuses the name of a node that is there and ready: two would fight for it. kubeadm does so, too.
func (e *entry) checkName(ctx context.Context, o *other, client kubernetes.Interface) error {
	executor := e.plan.Server(names.Executor)
	if executor == nil {
		return nil
	}
	name, flag := executor.Value("node-prefix")+"1", "node-prefix"
	if cluster.HasRealNode(e.plan) {
		var err error
		if name, err = cluster.NodeName(e.plan); err != nil {
			return err
		}
		flag = "hostname-override"
	}
	node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return o.wrong(o.refused(err))
	case nodeutil.IsNodeReady(node):
		return fmt.Errorf("there is a node %s in the cluster already, and it is Ready: choose another name with --%s.%s; if it was this machine, "+
			"wait a minute until it is not Ready any more, or delete it there with `kubectl delete node %[1]s`", name, names.Executor, flag)
	}
	return nil
}

// asControlPlane gets the keys that control planes share. etcd becomes a member as it starts for the first time.
func (e *entry) asControlPlane(ctx context.Context) error {
	e.cluster.SetPeers(e.peers)
	if e.ca != nil {
		return nil
	}
	o, client, err := e.discover(ctx)
	if err != nil {
		return err
	}
	files, err := download(ctx, client, e.token)
	if err != nil {
		return o.wrong(o.refused(err))
	}
	if err := e.belong(o); err != nil {
		return err
	}
	return writeKeys(e.plan, files)
}

// peers are the members of etcd that a further one joins, as URLs for clients. The machines tell of them.
func (e *entry) peers(ctx context.Context) ([]string, error) {
	ca, err := os.ReadFile(cluster.PKIPath(e.plan, "ca.crt"))
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, address := range append([]string{e.address}, e.was.APIServers...) {
		o := &other{address: address, ca: ca}
		urls, err := e.peersBy(ctx, o)
		if err == nil {
			return urls, nil
		}
		errs = append(errs, o.wrong(o.refused(err)))
	}
	return nil, errs[0]
}

func (e *entry) peersBy(ctx context.Context, o *other) (urls []string, err error) {
	cert, key, err := cluster.Sign(e.plan, "ca", user, nil)
	if err != nil {
		return nil, err
	}
	client, err := o.client(func(c *rest.Config) { c.CertData, c.KeyData = cert, key })
	if err != nil {
		return nil, err
	}
	all, err := List(ctx, client)
	if err != nil {
		return nil, err
	}
	name, err := cluster.MachineName(e.plan)
	if err != nil {
		return nil, err
	}
	mine := cluster.Advertised(e.plan).String()
	for _, m := range all {
		if m.Name == name && m.Alive(time.Now()) && hostOf(m.Address) != mine {
			return nil, fmt.Errorf("there is a machine %s in the cluster already, at %s: choose another name with --%s.hostname-override", name, m.Address, names.Executor)
		}
		if m.Etcd != "" && hostOf(m.Address) != mine {
			urls = append(urls, m.Etcd)
		}
	}
	if len(urls) == 0 {
		return nil, errors.New("no machine there tells of a member of etcd")
	}
	return urls, nil
}
