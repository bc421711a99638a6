// Package envtest is for suites that were written for controller-runtime's package of that name, and that change this
// one import: its Environment has the same fields and methods, and starts km's servers in place of binaries, with
// controllers, a scheduler and nodes if asked for.
//
//	testEnv = &envtest.Environment{
//		CRDDirectoryPaths: []string{filepath.Join("..", "..", "config", "crd", "bases")},
//		KM:                kmtest.Config{Servers: []string{"controller-manager"}}, // and what it needs
//	}
//	cfg, err := testEnv.Start()
//
// Definitions, webhooks and users are the business of controller-runtime's package, which is used for them; what else a
// suite takes from there, it takes from there.
package envtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/seed-200a7251/km/servers/kmtest"
	"github.com/seed-200a7251/km/servers/names"
)

// What suites name beside Environment.
type (
	CRDInstallOptions     = envtest.CRDInstallOptions
	WebhookInstallOptions = envtest.WebhookInstallOptions
	ControlPlane          = envtest.ControlPlane
	APIServer             = envtest.APIServer
	User                  = envtest.User
	AuthenticatedUser     = envtest.AuthenticatedUser
	Arguments             = envtest.Arguments
	Arg                   = envtest.Arg
	Etcd                  = envtest.Etcd
	SecureServing         = envtest.SecureServing
	ListenAddr            = envtest.ListenAddr
	Authn                 = envtest.Authn
)

// What suites call beside the methods of Environment.
var (
	InstallCRDs     = envtest.InstallCRDs
	UninstallCRDs   = envtest.UninstallCRDs
	CreateCRDs      = envtest.CreateCRDs
	ReadCRDFiles    = envtest.ReadCRDFiles
	WaitForCRDs     = envtest.WaitForCRDs
	WaitForWebhooks = envtest.WaitForWebhooks
	EmptyArguments  = envtest.EmptyArguments

	SetupEnvtestDefaultBinaryAssetsDirectory = envtest.SetupEnvtestDefaultBinaryAssetsDirectory
)

// Environment is a cluster for a suite. But for KM its fields are those of controller-runtime's, and mean what they
// mean there, with these differences:
//
//   - What says where binaries are has no effect: they are km's, as KM says.
//   - Of ControlPlane the flags of APIServer.Configure count, and KubectlPath, for AuthenticatedUser.Kubectl. Users can
//     be added when the environment has started.
//   - Without ControlPlaneStartTimeout, and its variable, a start may take the time that it takes. A stop always may.
//   - With AttachControlPlaneOutput what the servers log comes on standard error, each line with its server.
type Environment struct {
	// KM says which servers to run, and where: in a process of km, or with New in that of the test. Servers is
	// apiserver by default, as with binaries.
	KM kmtest.Config

	ControlPlane                 ControlPlane
	Scheme                       *runtime.Scheme
	Config                       *rest.Config
	KubeConfig                   []byte
	CRDInstallOptions            CRDInstallOptions
	WebhookInstallOptions        WebhookInstallOptions
	ErrorIfCRDPathMissing        bool
	CRDs                         []*apiextensionsv1.CustomResourceDefinition
	CRDDirectoryPaths            []string
	DownloadBinaryAssets         bool
	DownloadBinaryAssetsVersion  string
	DownloadBinaryAssetsIndexURL string
	BinaryAssetsDirectory        string
	UseExistingCluster           *bool
	ControlPlaneStartTimeout     time.Duration
	ControlPlaneStopTimeout      time.Duration
	AttachControlPlaneOutput     bool

	cluster *kmtest.Cluster // nil if it is an existing one
	inside  *envtest.Environment
	files   string // a folder for kubeconfigs of kubectl
}

// Variables that controller-runtime's Environment knows.
const (
	existingVariable = "USE_EXISTING_CLUSTER"
	timeoutVariable  = "KUBEBUILDER_CONTROLPLANE_START_TIMEOUT"
	outputVariable   = "KUBEBUILDER_ATTACH_CONTROL_PLANE_OUTPUT"
)

// Start starts the cluster and installs definitions and webhooks. If these cannot be installed, the cluster runs until
// Stop.
func (te *Environment) Start() (*rest.Config, error) {
	if !te.usesExisting() {
		if err := te.startCluster(); err != nil {
			return nil, fmt.Errorf("unable to start control plane itself: %w", err)
		}
	}
	// To controller-runtime it is a cluster that exists.
	there := true
	te.inside = &envtest.Environment{
		UseExistingCluster: &there, Scheme: te.Scheme, Config: te.Config, KubeConfig: te.KubeConfig,
		CRDInstallOptions: te.CRDInstallOptions, WebhookInstallOptions: te.WebhookInstallOptions,
		ErrorIfCRDPathMissing: te.ErrorIfCRDPathMissing, CRDs: te.CRDs, CRDDirectoryPaths: te.CRDDirectoryPaths,
	}
	config, err := te.inside.Start()
	te.Scheme, te.Config, te.KubeConfig, te.CRDs = te.inside.Scheme, te.inside.Config, te.inside.KubeConfig, te.inside.CRDs
	te.CRDInstallOptions, te.WebhookInstallOptions = te.inside.CRDInstallOptions, te.inside.WebhookInstallOptions
	return config, err
}

// Stop takes back what was to be, and stops the cluster. Without a Start it does nothing.
func (te *Environment) Stop() (err error) {
	if te.inside != nil {
		te.inside.CRDInstallOptions = te.CRDInstallOptions
		err = te.inside.Stop()
	}
	if te.cluster != nil {
		err = errors.Join(err, te.cluster.Stop(), os.RemoveAll(te.files))
	}
	return err
}

// AddUser returns a user that the cluster knows, with what base says beside. It is for a cluster that Start has
// started.
func (te *Environment) AddUser(user User, base *rest.Config) (*AuthenticatedUser, error) {
	return te.ControlPlane.AddUser(user, base)
}

// Cluster is the cluster that Start has started, for what kmtest offers beside; nil if it is an existing one.
func (te *Environment) Cluster() *kmtest.Cluster { return te.cluster }

func (te *Environment) usesExisting() bool {
	if te.UseExistingCluster == nil {
		return strings.ToLower(os.Getenv(existingVariable)) == "true"
	}
	return *te.UseExistingCluster
}

func (te *Environment) startCluster() (err error) {
	config := te.KM
	if len(config.Servers) == 0 {
		config.Servers = []string{names.APIServer}
	}
	if config.Flags, err = te.flags(config); err != nil {
		return err
	}
	config.LogToTest = config.LogToTest || te.AttachControlPlaneOutput || os.Getenv(outputVariable) == "true"
	ctx, cancel, err := te.withTimeout()
	if err != nil {
		return err
	}
	defer cancel()
	if te.cluster, err = kmtest.Run(ctx, config); err != nil {
		return err
	}
	return te.connect()
}

// withTimeout is a context in which a start has the time that the suite, or its caller, gives.
func (te *Environment) withTimeout() (context.Context, context.CancelFunc, error) {
	if text := os.Getenv(timeoutVariable); te.ControlPlaneStartTimeout == 0 && text != "" {
		var err error
		if te.ControlPlaneStartTimeout, err = time.ParseDuration(text); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", timeoutVariable, err)
		}
	}
	if te.ControlPlaneStartTimeout == 0 {
		ctx, cancel := context.WithCancel(context.Background())
		return ctx, cancel, nil
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), te.ControlPlaneStartTimeout,
		fmt.Errorf("it was not ready within %v (ControlPlaneStartTimeout)", te.ControlPlaneStartTimeout))
	return ctx, cancel, nil
}

// flags are those of KM, and those of the apiserver that the suite has configured.
func (te *Environment) flags(config kmtest.Config) ([]string, error) {
	server := te.ControlPlane.GetAPIServer()
	//lint:ignore SA1019 it is refused
	if len(server.Args) > 0 {
		return nil, errors.New("APIServer.Args has no effect here: use APIServer.Configure")
	}
	defaults := map[string][]string{"service-cluster-ip-range": {"10.0.0.0/24"}} // suites may name addresses of it
	if !slices.ContainsFunc(config.Servers, isManager) {
		// Nobody makes the service accounts without which it refuses pods.
		defaults["disable-admission-plugins"] = []string{"ServiceAccount"}
	}
	var flags []string
	for _, flag := range server.Configure().AsStrings(defaults) {
		flags = append(flags, "--"+names.APIServer+"."+strings.TrimPrefix(flag, "--"))
	}
	return append(flags, config.Flags...), nil
}

func isManager(list string) bool {
	return slices.ContainsFunc(strings.Split(list, ","), func(name string) bool {
		return strings.TrimPrefix(name, "kube-") == names.ControllerManager || name == "all"
	})
}

// connect has the suite's clients reach the cluster, as a user who may do everything.
func (te *Environment) connect() error {
	config := te.cluster.Config
	if config == nil {
		return errors.New("it has no apiserver")
	}
	at, err := url.Parse(config.Host)
	if err != nil {
		return err
	}
	whole := rest.CopyConfig(config)
	if err := rest.LoadTLSFiles(whole); err != nil {
		return err
	}
	serving := &te.ControlPlane.GetAPIServer().SecureServing
	if serving.Address, serving.Port, err = net.SplitHostPort(at.Host); err != nil {
		return err
	}
	serving.CA, serving.Authn = whole.CAData, authn{te.cluster}
	if te.files, err = os.MkdirTemp("", "kmtest-kubectl-"); err != nil {
		return err
	}
	te.ControlPlane.GetAPIServer().CertDir = te.files
	te.ControlPlane.KubectlPath = cmp.Or(te.ControlPlane.KubectlPath, os.Getenv("TEST_ASSET_KUBECTL"), "kubectl")
	admin, err := te.AddUser(User{Name: "admin", Groups: []string{"system:masters"}}, &rest.Config{QPS: 1000, Burst: 2000})
	if err != nil {
		return err
	}
	te.Config = admin.Config()
	return nil
}

// authn has km's cluster know the suite's users.
type authn struct{ cluster *kmtest.Cluster }

func (a authn) AddUser(user User, base *rest.Config) (*rest.Config, error) {
	made, err := a.cluster.AddUser(user.Name, user.Groups...)
	if err != nil {
		return nil, err
	}
	config := rest.CopyConfig(base)
	config.CertData, config.KeyData = made.CertData, made.KeyData
	return config, nil
}

func (authn) Configure(string, *Arguments) error { return nil }
func (authn) Start() error                       { return nil }
func (authn) Stop() error                        { return nil }
