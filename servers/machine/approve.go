package machine

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	certutil "k8s.io/client-go/util/cert"
	capi "k8s.io/kubernetes/pkg/apis/certificates"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/supervisor"
)

// approver approves what machines that have joined ask certificates for. Those of kubelets to the apiserver are the
// business of upstream's controller (k8s.io/kubernetes/pkg/controller/certificates/approver); it leaves those of other
// servers, and those with which kubelets serve, to whoever knows the machines.
type approver struct {
	client kubernetes.Interface
	users  []string // of servers on nodes
	cert   string   // the file of the apiserver's certificate
	log    *zap.Logger
}

func newApprover(client kubernetes.Interface, c *cluster.Cluster, p *supervisor.Plan, log *zap.Logger) *approver {
	a := &approver{client: client, cert: cluster.PKIPath(p, "apiserver.crt"), log: log}
	for _, id := range c.Identities() {
		if id.OnNodes {
			a.users = append(a.users, id.User)
		}
	}
	return a
}

// lookAgain is how soon a request is looked at again that could not be decided: a kubelet may ask before its Node says
// where it is.
const lookAgain = 10 * time.Second

// run looks at each request until ctx ends. Several machines may do so at once: who comes second finds it approved.
func (a *approver) run(ctx context.Context) error {
	factory := informers.NewSharedInformerFactory(a.client, lookAgain)
	look := func(object any) {
		if request, ok := object.(*certificatesv1.CertificateSigningRequest); ok {
			a.consider(ctx, request)
		}
	}
	_, err := factory.Certificates().V1().CertificateSigningRequests().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    look,
		UpdateFunc: func(_, object any) { look(object) },
	})
	if err != nil {
		return err
	}
	factory.StartWithContext(ctx)
	<-ctx.Done()
	factory.Shutdown()
	return nil
}

// consider approves a request that it is to approve.
func (a *approver) consider(ctx context.Context, request *certificatesv1.CertificateSigningRequest) {
	if len(request.Status.Conditions) > 0 || len(request.Status.Certificate) > 0 {
		return
	}
	why, err := a.reason(ctx, request)
	if why == "" && err == nil {
		return // another one's business
	}
	if err == nil {
		approved := request.DeepCopy()
		approved.Status.Conditions = append(approved.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
			Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "JoinedMachine", Message: why,
		})
		_, err = a.client.CertificatesV1().CertificateSigningRequests().UpdateApproval(ctx, request.Name, approved, metav1.UpdateOptions{})
	}
	if err != nil && !apierrors.IsConflict(err) && ctx.Err() == nil {
		a.log.Warn("a request for a certificate is not approved", zap.String("csr", request.Name), zap.String("user", request.Spec.Username), zap.Error(err))
	}
}

// reason says why a request is to be approved; "" if that is not for this one to decide.
func (a *approver) reason(ctx context.Context, request *certificatesv1.CertificateSigningRequest) (string, error) {
	spec := request.Spec
	switch spec.SignerName {
	case certificatesv1.KubeAPIServerClientSignerName:
		wanted, err := capi.ParseCSR(spec.Request)
		if err != nil || !slices.Contains(a.users, wanted.Subject.CommonName) {
			return "", nil
		}
		if len(wanted.Subject.Organization) > 0 || len(wanted.DNSNames)+len(wanted.IPAddresses)+len(wanted.URIs)+len(wanted.EmailAddresses) > 0 ||
			slices.Contains(spec.Usages, certificatesv1.UsageServerAuth) {
			return "", nil
		}
		switch {
		case slices.Contains(spec.Groups, nodesGroup):
			return "a machine that joins as a node runs " + wanted.Subject.CommonName, nil
		case spec.Username == wanted.Subject.CommonName:
			return "it renews its own certificate", nil
		}
	case certificatesv1.KubeletServingSignerName:
		wanted, err := capi.ParseCSR(spec.Request)
		if err != nil {
			return "", nil
		}
		asked := sets.NewString()
		for _, usage := range spec.Usages {
			asked.Insert(string(usage))
		}
		// It is what upstream's signer demands, too.
		if !capi.IsKubeletServingCSR(wanted, asked) || wanted.Subject.CommonName != spec.Username {
			return "", nil
		}
		return a.ownAddresses(ctx, wanted, strings.TrimPrefix(spec.Username, "system:node:"))
	}
	return "", nil
}

// ownAddresses says why a node may serve at the names and addresses of a request: the name is its own, the addresses
// are those of its Node, and none is an apiserver's.
func (a *approver) ownAddresses(ctx context.Context, wanted *x509.CertificateRequest, name string) (string, error) {
	node, err := a.client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("its node cannot be looked at: %w", err)
	}
	for _, host := range wanted.DNSNames {
		if host != name {
			return "", fmt.Errorf("the node %s does not have the name %s", name, host)
		}
	}
	for _, ip := range wanted.IPAddresses {
		if !slices.ContainsFunc(node.Status.Addresses, func(a corev1.NodeAddress) bool { return ip.Equal(net.ParseIP(a.Address)) }) {
			return "", fmt.Errorf("the node %s does not have the address %s", name, ip)
		}
	}
	if err := a.noneOfAPIServers(ctx, wanted); err != nil {
		return "", fmt.Errorf("the node %s: %w", name, err)
	}
	return "the node serves at its own addresses", nil
}

// noneOfAPIServers refuses the names and addresses at which clients look for an apiserver. A node chooses its name, and
// tells of its addresses itself: with a certificate of the cluster's authority for one of those, it could pass for an
// apiserver. Machines with a control plane have no need to ask.
func (a *approver) noneOfAPIServers(ctx context.Context, wanted *x509.CertificateRequest) error {
	certs, err := certutil.CertsFromFile(a.cert)
	if err != nil {
		return err
	}
	machines, err := List(ctx, a.client)
	if err != nil {
		return err
	}
	for _, host := range wanted.DNSNames {
		if certs[0].VerifyHostname(host) == nil || slices.ContainsFunc(machines, func(m Machine) bool { return m.Name == host }) {
			return fmt.Errorf("%s is the name of an apiserver", host)
		}
	}
	for _, ip := range wanted.IPAddresses {
		if !ip.IsGlobalUnicast() {
			return fmt.Errorf("%s is no address at which others reach it", ip)
		}
		if certs[0].VerifyHostname(ip.String()) == nil || slices.ContainsFunc(machines, func(m Machine) bool { return ip.Equal(net.ParseIP(hostOf(m.Address))) }) {
			return fmt.Errorf("%s is the address of an apiserver", ip)
		}
	}
	return nil
}

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: certutil.CertificateBlockType, Bytes: der})
}
