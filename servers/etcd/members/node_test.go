package members

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/seed-200a7251/km/test/ports"
)

func TestMain(m *testing.M) {
	wal.SegmentSizeBytes = 1 << 20 // each member allocates two
	os.Exit(m.Run())
}

// patience is what bounds a test that hangs.
const patience = 3 * time.Minute

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// machines is the keys of a cluster whose members run in this process.
type machines struct {
	info   transport.TLSInfo
	client *tls.Config
}

func newMachines(t *testing.T) *machines {
	t.Helper()
	dir := t.TempDir()
	authority := certificate(t, dir, "ca", nil)
	certificate(t, dir, "etcd", authority)
	info := transport.TLSInfo{
		CertFile: filepath.Join(dir, "etcd.crt"), KeyFile: filepath.Join(dir, "etcd.key"),
		TrustedCAFile: filepath.Join(dir, "ca.crt"), ClientCertAuth: true,
	}
	client, err := info.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	return &machines{info, client}
}

// certificate makes a certificate and its key. Without an authority, it is one.
func certificate(t *testing.T, dir, name string, authority *tls.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	parent, signer := template, key
	if authority == nil {
		template.IsCA, template.BasicConstraintsValid, template.ExtKeyUsage = true, true, nil
		template.KeyUsage |= x509.KeyUsageCertSign
	} else {
		parent, signer = authority.Leaf, authority.PrivateKey.(*ecdsa.PrivateKey)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]*pem.Block{name + ".crt": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "EC PRIVATE KEY", Bytes: keyDER}}
	for file, block := range blocks {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// machine is one with a member: it is reached with TLS, and by a socket without.
type machine struct {
	*machines
	name, dir            string
	peer, client, socket string
	etcd                 *embed.Etcd
	asked                sync.Map // has the methods that it has been asked
}

func (ms *machines) machine(t *testing.T, name string) *machine {
	t.Helper()
	// The path of a socket is short.
	dir, err := os.MkdirTemp("", "km-members-")
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{
		machines: ms, name: name, dir: filepath.Join(dir, "etcd"), socket: "unix://" + filepath.Join(dir, "s"),
		peer: freeURL(t), client: freeURL(t),
	}
	t.Cleanup(func() {
		m.stop()
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return m
}

// free are the ports of these tests.
var free = ports.New(20000, 6000)

func freeURL(t *testing.T) string { return "https://" + free.Address(t) }

func urls(t *testing.T, texts ...string) (all []url.URL) {
	t.Helper()
	for _, text := range texts {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, *u)
	}
	return all
}

func (m *machine) config(t *testing.T, initialCluster, state string) *embed.Config {
	c := embed.NewConfig()
	c.Name, c.Dir, c.InitialCluster, c.ClusterState = m.name, m.dir, initialCluster, state
	c.ListenPeerUrls, c.AdvertisePeerUrls = urls(t, m.peer), urls(t, m.peer)
	c.ListenClientUrls, c.AdvertiseClientUrls = urls(t, m.client, m.socket), urls(t, m.client)
	c.PeerTLSInfo, c.ClientTLSInfo = m.info, m.info
	c.UnsafeNoFsync = true
	c.GRPCAdditionalServerOptions = append(c.GRPCAdditionalServerOptions, grpc.ChainUnaryInterceptor(
		func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
			m.asked.Store(path.Base(info.FullMethod), true)
			return handle(ctx, request)
		}))
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	return c
}

// start starts the member; ready waits for it.
func (m *machine) start(t *testing.T, c *embed.Config) {
	t.Helper()
	etcd, err := embed.StartEtcd(c)
	if err != nil {
		t.Fatalf("%s: %v", m.name, err)
	}
	m.etcd = etcd
}

func (m *machine) ready(t *testing.T) {
	t.Helper()
	select {
	case <-m.etcd.Server.ReadyNotify():
	case err := <-m.etcd.Err():
		t.Fatalf("%s: %v", m.name, err)
	case <-patient(t).Done():
		t.Fatalf("%s does not get ready", m.name)
	}
}

func (m *machine) stop() {
	if m.etcd != nil {
		closeEtcd(m.etcd)
		m.etcd = nil
	}
}

// closeEtcd closes an etcd, whether it has got ready or not: Close would wait for ever for one that has not.
func closeEtcd(etcd *embed.Etcd) {
	select {
	case <-etcd.Server.ReadyNotify():
	default:
		etcd.Server.Stop()
	}
	etcd.Close()
}

// id is that of the member that runs.
func (m *machine) id() uint64 { return uint64(m.etcd.Server.MemberID()) }

// members is the way by the member's socket.
func (m *machine) members(t *testing.T) *Members {
	t.Helper()
	ms, err := At([]string{m.socket}, m.machines.client, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	ms.startTime = 0
	return ms
}

// together starts machines as a new cluster.
func together(t *testing.T, names ...string) (all []*machine) {
	t.Helper()
	ms := newMachines(t)
	var initial []string
	for _, name := range names {
		m := ms.machine(t, name)
		all, initial = append(all, m), append(initial, name+"="+m.peer)
	}
	for _, m := range all {
		m.start(t, m.config(t, strings.Join(initial, ","), embed.ClusterStateFlagNew))
	}
	for _, m := range all {
		m.ready(t)
	}
	return all
}
