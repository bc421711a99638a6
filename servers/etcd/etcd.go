// Package etcd is the etcd server.
package etcd

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/gofrs/flock"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/pkg/v3/flags"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/servers/process"
	"github.com/seed-200a7251/km/supervisor"
)

// New returns the server. Its state is in the cluster's data folder.
func New(c *cluster.Cluster) *supervisor.Server {
	e := &etcd{cluster: c, started: supervisor.NewHandoff[*embed.Etcd]()}
	return &supervisor.Server{
		SimpleUsage: names.Etcd,
		Long: "The store of the cluster's state. In `km run` it listens on a unix socket in the data folder only; it joins " +
			"by itself where the apiserver is selected and no --apiserver.etcd-servers names one elsewhere.",
		AddFlags:     addFlags,
		State:        state,
		Packages:     []string{"go.etcd.io/etcd/server/v3", "go.etcd.io/raft/v3", "go.etcd.io/bbolt"},
		FlagValues:   component.FlagValues(values),
		Defaults:     e.defaults,
		Check:        e.check,
		Diagnose:     diagnose,
		Prepare:      e.prepare,
		Run:          e.run,
		Ready:        e.ready,
		Address:      address,
		Keeps:        keeps,
		StopWarnings: stopWarnings,
		StartsOnce:   func(*supervisor.Server) bool { return e.stuck() },
		Main: func(_ context.Context, _ *supervisor.Server, args []string) error {
			if !component.Plain() {
				args = hurried(args)
				component.EndWithTest()
			}
			process.Become(names.Etcd, args)
			etcdmain.Main(os.Args)
			return nil
		},
	}
}

// values are those of flags whose usage has no list of them.
var values = map[string][]string{
	"initial-cluster-state":       {embed.ClusterStateFlagNew, embed.ClusterStateFlagExisting},
	"backend-bbolt-freelist-type": {"array", "map"},
}

// state is what etcd, and snapshots of it, have in the data folder. Data that a restore has put aside is a folder with
// the time in its name.
var state = append(cluster.Written(names.Etcd+".json"),
	names.Etcd+"/member", names.Etcd+".sock", names.Etcd+".snapshot.sock", names.Etcd+".starting.lock", names.Etcd+".restoring.lock", names.Etcd+".restoring",
	names.Etcd+"-[0-9]*-[0-9]*",
)

type etcd struct {
	cluster  *cluster.Cluster
	plan     *supervisor.Plan
	starting *flock.Flock // is shared during a start
	started  supervisor.Handoff[*embed.Etcd]
	full     fullness
	broken   atomic.Pointer[string] // path of the database, if the last start was broken off and may hold it
	joining  *joining               // nil unless its first start is to join
}

// options are etcd's configuration and the flag set that fills it. Upstream binds part of the flags in etcdmain, where
// they cannot be reached.
type options struct {
	config       *embed.Config
	set          *flag.FlagSet
	configFile   string
	clusterState *flags.SelectiveStringValue
}

// addingFlags is held while etcd's flags are made: some are variables of the process (rafthttp.ConnReadTimeout), which
// are written then, and there may be several etcds in it.
var addingFlags sync.Mutex

func newOptions() *options {
	o := &options{
		config:       embed.NewConfig(),
		set:          flag.NewFlagSet(names.Etcd, flag.ContinueOnError),
		clusterState: flags.NewSelectiveStringValue(embed.ClusterStateFlagNew, embed.ClusterStateFlagExisting),
	}
	addingFlags.Lock()
	o.config.AddFlags(o.set)
	addingFlags.Unlock()
	// These are in etcdmain/config.go, newConfig. What that marks as ignored or without effect is left out.
	o.set.StringVar(&o.configFile, "config-file", "", "Path to the server configuration file. Note that if a configuration file is provided, other command line flags will be ignored.")
	o.set.Var(o.clusterState, "initial-cluster-state", "Initial cluster state ('new' when bootstrapping a new cluster or 'existing' when adding new members to an existing cluster). After successful initialization (bootstrapping or adding), flag is ignored on restarts.")
	return o
}

// upstreamFlags are the flags as pflags. log-level is missing: the one that each server gets does the same.
func upstreamFlags(o *options) *pflag.FlagSet {
	fs := pflag.NewFlagSet(names.Etcd, pflag.ContinueOnError)
	o.set.VisitAll(func(f *flag.Flag) {
		if f.Name != "log-level" {
			fs.AddGoFlag(f)
		}
	})
	return fs
}

func addFlags(s *supervisor.Server) {
	fs := upstreamFlags(newOptions())
	// The first is a kind of tokens, and the second a name for a cluster.
	for _, name := range []string{"auth-token", "initial-cluster-token"} {
		fs.Lookup(name).Annotations = map[string][]string{supervisor.AnnotationSecret: {"false"}}
	}
	s.Flags().AddFlagSet(fs)
}

// load returns the configuration that the server's flags describe.
func load(s *supervisor.Server) (*embed.Config, error) {
	o := newOptions()
	if err := s.Replay(o.set.Set); err != nil {
		return nil, err
	}
	if o.configFile != "" {
		config, err := embed.ConfigFromFile(o.configFile)
		if err != nil {
			return nil, fmt.Errorf("etcd: --etcd.config-file: %w", err)
		}
		return config, nil
	}
	// What follows is etcdmain/config.go, configFromCmdLine, for the flags that are not bound to fields.
	c, fs := o.config, o.set
	if peered(s) {
		c.ListenPeerUrls = flags.UniqueURLsFromFlag(fs, "listen-peer-urls")
	} else {
		c.ListenPeerUrls = nil // a single member has no peers; the flag cannot be set to nothing
	}
	c.AdvertisePeerUrls = flags.UniqueURLsFromFlag(fs, "initial-advertise-peer-urls")
	c.ListenClientUrls = flags.UniqueURLsFromFlag(fs, "listen-client-urls")
	c.ListenClientHttpUrls = flags.UniqueURLsFromFlag(fs, "listen-client-http-urls")
	c.AdvertiseClientUrls = flags.UniqueURLsFromFlag(fs, "advertise-client-urls")
	c.ListenMetricsUrls = flags.UniqueURLsFromFlag(fs, "listen-metrics-urls")
	c.DiscoveryCfg.Endpoints = flags.UniqueStringsFromFlag(fs, "discovery-endpoints")
	c.CORS = flags.UniqueURLsMapFromFlag(fs, "cors")
	c.HostWhitelist = flags.UniqueStringsMapFromFlag(fs, "host-whitelist")
	c.ClientTLSInfo.AllowedHostnames = flags.StringsFromFlag(fs, "client-cert-allowed-hostname")
	c.PeerTLSInfo.AllowedCNs = flags.StringsFromFlag(fs, "peer-cert-allowed-cn")
	c.PeerTLSInfo.AllowedHostnames = flags.StringsFromFlag(fs, "peer-cert-allowed-hostname")
	c.CipherSuites = flags.StringsFromFlag(fs, "cipher-suites")
	c.MaxConcurrentStreams = flags.Uint32FromFlag(fs, "max-concurrent-streams")
	c.ClusterState = o.clusterState.String()
	if flags.IsSet(fs, "listen-client-urls") && !flags.IsSet(fs, "advertise-client-urls") {
		c.AdvertiseClientUrls = nil
	}
	if (c.DNSCluster != "" || c.DNSClusterServiceName != "" || len(c.DiscoveryCfg.Endpoints) > 0) && !flags.IsSet(fs, "initial-cluster") {
		c.InitialCluster = ""
	}
	if c.WarningUnaryRequestDuration == 0 {
		c.WarningUnaryRequestDuration = embed.DefaultWarningUnaryRequestDuration
	}
	fs.Visit(func(f *flag.Flag) { c.FlagsExplicitlySet[f.Name] = true })
	return c, nil
}

// address is where clients reach etcd, comma-separated.
func address(s *supervisor.Server) string {
	if s.Given("config-file") { // it says where
		if c, err := load(s); err == nil { // otherwise it does not run
			return component.Endpoints(strings.Join(urlStrings(c.ListenClientUrls), ","))
		}
	}
	return component.Endpoints(s.Value("listen-client-urls"))
}

func urlStrings(urls []url.URL) (texts []string) {
	for _, u := range urls {
		texts = append(texts, u.String())
	}
	return texts
}

// DatabaseIn is the file of the database in a data folder of etcd's.
func DatabaseIn(dir string) string { return filepath.Join(dir, "member", "snap", "db") }

func (e *etcd) defaults(p *supervisor.Plan, s *supervisor.Server) error {
	if s.Given("config-file") {
		return nil // the file alone counts
	}
	socket := p.SocketPath(names.Etcd + ".sock") // upstream cuts a URL off at its first # or ?
	// Upstream warns of its own default name.
	err := s.Default("name", "km", "data-dir", p.Path(names.Etcd))
	if err == nil && cluster.Advertised(p) != nil {
		err = advertise(p, s, socket)
	}
	if err == nil && !s.Given("listen-client-urls") && !s.Flags().Changed("listen-client-urls") {
		err = s.Default("listen-client-urls", component.SocketURL(socket), "advertise-client-urls", component.SocketURL(socket))
	}
	if err == nil && alone(s) {
		err = s.Default("heartbeat-interval", aloneHeartbeat, "election-timeout", aloneElection)
	}
	if err == nil && !s.Given("discovery-srv") && !s.Given("discovery-endpoints") {
		// As etcdmain does: alone, unless the user says otherwise.
		var members []string
		for url := range strings.SplitSeq(s.Value("initial-advertise-peer-urls"), ",") {
			members = append(members, s.Value("name")+"="+url)
		}
		err = s.Default("initial-cluster", strings.Join(members, ","))
	}
	if err == nil && servesTLS(s) {
		err = component.DefaultCipherSuites(s, "cipher-suites", "tls-min-version")
	}
	if err == nil && p.Ephemeral {
		// What nobody will read after a crash need not survive one.
		err = s.Default("unsafe-no-fsync", "true")
	}
	return err
}

// servesTLS reports whether it serves TLS, to clients or to other members.
func servesTLS(s *supervisor.Server) bool {
	for _, flag := range []string{"cert-file", "auto-tls", "peer-cert-file", "peer-auto-tls"} {
		if s.Flags().Changed(flag) {
			return true
		}
	}
	return false
}

func (e *etcd) check(_ context.Context, _ *supervisor.Plan, s *supervisor.Server) error {
	if err := component.RefuseLogFlags(s, "logger", "log-outputs", "log-format", "enable-log-rotation", "log-rotation-config-json"); err != nil {
		return err
	}
	if err := checkAddresses(s); err != nil {
		return err
	}
	c, err := load(s)
	if err == nil {
		err = checkSockets(c)
	}
	if err != nil {
		return err
	}
	// Validate makes a logger, which opens the files that log-outputs names, unless it gets one.
	c.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	if err := c.Validate(); err != nil {
		return fmt.Errorf("etcd: %w; see `%s`", err, s.Command("help", names.Etcd))
	}
	return nil
}

func (e *etcd) prepare(ctx context.Context, p *supervisor.Plan, s *supervisor.Server) error {
	if err := e.cluster.Open(ctx, p); err != nil {
		return err
	}
	c, err := load(s)
	if err != nil {
		return err
	}
	at, err := placeOf(c)
	if err != nil {
		return err
	}
	if err := whole(at.Data); err != nil {
		return err
	}
	if err := at.refuseAlone(p, s); err != nil {
		return err
	}
	e.plan, e.starting = p, startingLock(p)
	e.full.server, e.full.repair = s, p.Command("repair")
	if err := e.join(ctx, p, s, at); err != nil {
		return err
	}
	return at.note(p)
}
