package machine

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	certutil "k8s.io/client-go/util/cert"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/versions"
)

// answerTime is how long an apiserver may take to answer one request of a machine that joins.
const answerTime = 20 * time.Second

// other is a cluster as a machine that joins it sees it.
type other struct {
	address string // of the apiserver, HOST:PORT
	ca      []byte // PEM
	skew    time.Duration
}

// defaultPort is the apiserver's.
const defaultPort = "6443"

// joinAddress reads the value of --join: HOST:PORT, HOST alone, or a URL.
func joinAddress(text string) (string, error) {
	address := strings.TrimSuffix(strings.TrimPrefix(text, "https://"), "/")
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		host, port = strings.Trim(address, "[]"), defaultPort
	}
	if u, err := url.Parse("https://" + net.JoinHostPort(host, port)); host == "" || err != nil || u.Host != net.JoinHostPort(host, port) {
		return "", fmt.Errorf("--join=%s: write HOST:PORT, as in 192.168.1.10:%s", text, defaultPort)
	}
	return net.JoinHostPort(host, port), nil
}

// discover finds the authority whose hash is given, at the address of an apiserver, and sees that this has a
// certificate of that authority. It goes as kubeadm's discovery does (cmd/kubeadm/app/discovery/token): the ConfigMap
// kube-public/cluster-info, which everybody may read, is asked for twice; the second time with the authority in it. No
// secret is sent. That the ConfigMap is signed with the token, too, is not looked at: the hash is always there.
func discover(ctx context.Context, address, caHash string) (*other, error) {
	o := &other{address: address}
	insecure := &tls.Config{InsecureSkipVerify: true} // what is read is checked by the hash
	info, err := o.clusterInfo(ctx, insecure)
	if err != nil {
		return nil, err
	}
	if err := o.checkClock(); err != nil {
		return nil, err
	}
	authority, err := o.pinned(info, caHash)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	// Whoever is in between may have changed the first answer, and passed the second request on.
	if info, err = o.clusterInfo(ctx, &tls.Config{RootCAs: pool}); err != nil {
		return nil, err
	}
	if authority, err = o.pinned(info, caHash); err != nil {
		return nil, err
	}
	o.ca = pemOf(authority.Raw)
	return o, nil
}

// pinned is the certificate with the hash: no other one that comes with it is believed.
func (o *other) pinned(info *corev1.ConfigMap, caHash string) (*x509.Certificate, error) {
	config, err := clientcmd.Load([]byte(info.Data[bootstrapapi.KubeConfigKey]))
	if err != nil {
		return nil, o.wrong(fmt.Errorf("what it says of its cluster cannot be read: %w", err))
	}
	for _, c := range config.Clusters {
		certs, _ := certutil.ParseCertsPEM(c.CertificateAuthorityData)
		for _, cert := range certs {
			if hashOf(cert) == caHash {
				return cert, nil
			}
		}
	}
	return nil, o.wrong(errors.New("the token is of another cluster: its hash is not that of the certificate authority there"))
}

// wrong is an error about what is there.
func (o *other) wrong(err error) error { return fmt.Errorf("--join=%s: %w", o.address, err) }

// clusterInfo asks for the ConfigMap.
func (o *other) clusterInfo(ctx context.Context, config *tls.Config) (*corev1.ConfigMap, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	path := "https://" + o.address + "/api/v1/namespaces/kube-public/configmaps/" + bootstrapapi.ConfigMapClusterInfo
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, o.wrong(err)
	}
	client := &http.Client{
		Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true},
		// An apiserver does not redirect.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, o.wrong(o.unreachable(err))
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, o.wrong(err)
	}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		o.skew = time.Until(date)
	}
	info := &corev1.ConfigMap{}
	switch response.StatusCode {
	case http.StatusOK:
		if err := json.Unmarshal(text, info); err != nil || info.Data[bootstrapapi.KubeConfigKey] == "" {
			return nil, o.wrong(errors.New("what answers there is no apiserver that machines can join"))
		}
		return info, nil
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return nil, o.wrong(errors.New("the cluster there is not open to other machines: start it with --advertise"))
	}
	return nil, o.wrong(fmt.Errorf("what answers there is no apiserver that machines can join (%s)", response.Status))
}

// unreachable says in one sentence why nothing was answered.
func (o *other) unreachable(err error) error {
	var notYet x509.CertificateInvalidError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &notYet) && notYet.Reason == x509.Expired:
		return fmt.Errorf("%w: set the clock of this machine, which says %s, or have the certificates renewed there", cause(err),
			time.Now().UTC().Format(time.RFC3339))
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return errors.New("what answers there does not speak TLS: name the apiserver's port")
	case errors.Is(err, context.DeadlineExceeded):
		return errors.New("nothing answers there")
	}
	var op *net.OpError
	switch {
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("nothing answers there (%w)", op.Err)
	case errors.As(err, &op) && op.Op == "remote error":
		return fmt.Errorf("what answers there is no apiserver (%w): name the apiserver's port", op.Err)
	}
	return cause(err)
}

// cause is an error without the request in front of it.
func cause(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// maxSkew is how far clocks may be apart. Certificates begin five minutes before they are made
// (kubeadmconstants.CertificateBackdate), those of requests as well (k8s.io/kubernetes/pkg/controller/certificates).
const maxSkew = 4 * time.Minute

// checkClock refuses a clock with which new certificates would not be valid yet on one of the two sides, or tokens seem
// to have expired.
func (o *other) checkClock() error {
	if o.skew.Abs() <= maxSkew {
		return nil
	}
	how := "behind"
	if o.skew < 0 {
		how = "ahead of"
	}
	return o.wrong(fmt.Errorf("the clock of this machine is %v %s that of the cluster: set it", o.skew.Abs().Round(time.Second), how))
}

// client is one with the token, or with a certificate.
func (o *other) client(with func(*rest.Config)) (kubernetes.Interface, error) {
	config := &rest.Config{Host: "https://" + o.address, TLSClientConfig: rest.TLSClientConfig{CAData: o.ca}, Timeout: answerTime, QPS: -1}
	with(config)
	return kubernetes.NewForConfig(config)
}

// checkVersion refuses versions that Kubernetes does not let work together: a kubelet may be up to three minor versions
// behind its apiserver, and not ahead of it; apiservers may be one apart
// (https://kubernetes.io/releases/version-skew-policy).
func (o *other) checkVersion(client kubernetes.Interface, role string) error {
	info, err := client.Discovery().ServerVersion()
	if err != nil {
		return o.wrong(o.refused(err))
	}
	if err := skewed(versions.Kubernetes(), info.GitVersion, role); err != nil {
		return o.wrong(err)
	}
	return nil
}

// skewed compares versions: mine, and theirs.
func skewed(mine, theirs, role string) error {
	m, errM := version.Parse(mine)
	t, errT := version.Parse(theirs)
	if errM != nil || errT != nil || m.Major() == 0 || t.Major() == 0 {
		return nil // a development build: nothing is known
	}
	apart := int(m.Minor()) - int(t.Minor())
	switch {
	case m.Major() != t.Major():
	case role == cluster.RoleNode && apart <= 0 && apart >= -3:
		return nil
	case role == cluster.ControlPlane && apart <= 1 && apart >= -1:
		return nil
	}
	if role == cluster.RoleNode {
		return fmt.Errorf("it is Kubernetes %s there, and %s in this km: a node may be up to three minor versions older, and not newer; use such a km", theirs, mine)
	}
	return fmt.Errorf("it is Kubernetes %s there, and %s in this km: control planes may be one minor version apart; use such a km", theirs, mine)
}

// refused says what it means that a request with the token failed.
func (o *other) refused(err error) error {
	switch {
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the token is not known there: it has expired, was deleted, or is of another cluster; make a new one with `%s` there", cluster.Elsewhere("token", "create"))
	case apierrors.IsForbidden(err):
		return fmt.Errorf("the token does not allow it: %w", err)
	}
	return o.unreachable(err)
}
