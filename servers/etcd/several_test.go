package etcd_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/etcd"
	"github.com/seed-200a7251/km/servers/etcd/members"
	"github.com/seed-200a7251/km/servers/etcd/snapshot"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
	"github.com/seed-200a7251/km/test/ports"
)

func TestMain(m *testing.M) {
	wal.SegmentSizeBytes = 8 << 20 // each member allocates two
	os.Exit(m.Run())
}

// patience is what bounds a test that hangs.
const patience = 2 * time.Minute

// control is a machine with a control plane, as far as etcd sees it: the servers that it looks at, and etcd.
type control struct {
	dir          string
	client, peer string // URLs
	join         *control
	running      *supervisor.Running
	out          io.Writer    // what is shown
	between      func() error // is called before anything starts
}

func newControl(t *testing.T, join *control) *control {
	c := &control{dir: shortDir(t), client: freeURL(t), peer: freeURL(t), join: join, out: io.Discard}
	t.Cleanup(func() { _ = c.stop() })
	return c
}

// free are the ports of these tests.
var free = ports.New(26000, 6000)

func freeURL(t *testing.T) string { return "https://" + free.Address(t) }

func (c *control) hyperkube() *supervisor.HyperKube {
	shared := cluster.New()
	if c.join != nil {
		shared.SetPeers(func(context.Context) ([]string, error) { return []string{c.join.client}, nil })
		// a machine that joins has the keys of the first one
		shared.BeforeOpen(func(_ context.Context, p *supervisor.Plan) error {
			if _, err := os.Stat(p.Path("pki")); err == nil {
				return nil
			}
			return os.CopyFS(p.Path("pki"), os.DirFS(filepath.Join(c.join.dir, "pki")))
		})
	}
	idle := func(ctx context.Context, _ *supervisor.Server, _ []string) error {
		<-ctx.Done()
		return nil
	}
	hk := &supervisor.HyperKube{Name: "hk"}
	hk.SetOut(c.out)
	hk.AddCommand(snapshot.Command())
	hk.AddCommand(etcd.RepairCommand())
	hk.AddServer(etcd.New(shared))
	hk.AddServer(&supervisor.Server{SimpleUsage: names.APIServer, Needs: []supervisor.Need{{Server: names.Etcd}}, Run: idle,
		AddFlags: func(s *supervisor.Server) {
			fs := pflag.NewFlagSet("", pflag.ContinueOnError)
			fs.String("advertise-address", "127.0.0.1", "")
			fs.String("bind-address", "127.0.0.1", "")
			fs.String("secure-port", "6443", "")
			fs.String("service-cluster-ip-range", "10.0.0.0/24", "")
			s.Flags().AddFlagSet(fs)
		},
		Prepare: func(ctx context.Context, p *supervisor.Plan, s *supervisor.Server) error {
			if err := shared.EnsureKeys(ctx, p, s); err != nil || c.between == nil {
				return err
			}
			return c.between()
		},
	})
	hk.AddServer(&supervisor.Server{SimpleUsage: names.Machine, Run: idle, ProcessFlags: []string{cluster.AdvertiseFlag, component.JoinFlag, cluster.RoleFlag},
		AddFlags: func(s *supervisor.Server) {
			fs := pflag.NewFlagSet("", pflag.ContinueOnError)
			fs.String(cluster.AdvertiseFlag, "", "")
			fs.String(cluster.RoleFlag, cluster.RoleNode, "")
			s.AddFlagGroup("machine", fs)
			component.AddJoin(s)
		}})
	return hk
}

// args are those of `run`.
func (c *control) args() []string {
	role := "--advertise=127.0.0.1"
	if c.join != nil {
		role = "--join=" + c.join.client
	}
	return []string{role, "--role=control-plane", "--etcd.name=" + filepath.Base(c.dir), "--etcd.listen-peer-urls=" + c.peer,
		"--etcd.initial-advertise-peer-urls=" + c.peer, "--etcd.listen-client-urls=" + c.client + ",unix://" + c.socket(),
		"--etcd.advertise-client-urls=" + c.client, "--data-dir=" + c.dir}
}

func (c *control) socket() string { return filepath.Join(c.dir, "etcd.sock") }

func (c *control) start(t *testing.T) {
	t.Helper()
	var err error
	if c.running, err = c.hyperkube().Start(t.Context(), c.args()...); err != nil {
		t.Fatal(err)
	}
}

// stop stops it, if it runs, and is how it has ended.
func (c *control) stop() error {
	if c.running == nil {
		return nil
	}
	defer func() { c.running = nil }()
	return c.running.Stop()
}

// command runs a command for this machine.
func (c *control) command(words ...string) error {
	return c.hyperkube().Run(append(append([]string{"hk"}, words...), "--data-dir="+c.dir))
}

func patient(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func (c *control) members(t *testing.T) *members.Members {
	t.Helper()
	tls, err := cluster.EtcdTLS(c.running.Plan())
	if err != nil {
		t.Fatal(err)
	}
	m, err := members.At([]string{"unix://" + c.socket()}, tls, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// voters are the names of the voting members, and those of the others with a mark.
func (c *control) voters(t *testing.T) string {
	t.Helper()
	all, err := c.members(t).List(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, m := range all {
		if m.Learner {
			m.Name += " (learner)"
		}
		texts = append(texts, m.Name)
	}
	return strings.Join(texts, " ")
}

func named(all ...*control) string {
	var texts []string
	for _, c := range all {
		texts = append(texts, filepath.Base(c.dir))
	}
	slices.Sort(texts)
	return strings.Join(texts, " ")
}

func (c *control) put(t *testing.T, key string) {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{"unix://" + c.socket()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Put(patient(t), key, "value"); err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, err error, want ...string) {
	t.Helper()
	for _, text := range want {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want %q", err, text)
		}
	}
}

// failure waits until etcd has failed for good, and is why.
func (c *control) failure(t *testing.T) error {
	t.Helper()
	if err := c.running.Await(patient(t), names.Etcd, supervisor.Failed); err != nil {
		t.Fatal(err)
	}
	return c.stop()
}

// seen is closed when a text is shown.
type seen struct {
	text  string
	shown chan struct{}
	once  sync.Once
}

func (s *seen) Write(text []byte) (int, error) {
	if strings.Contains(string(text), s.text) {
		s.once.Do(func() { close(s.shown) })
	}
	return len(text), nil
}

// Machines join, and are voting members when they are ready. What would break that is refused.
func TestSeveral(t *testing.T) {
	t.Parallel() // etcd has others wait five seconds before its members change
	a := newControl(t, nil)
	a.start(t)
	b := newControl(t, a)
	b.start(t)
	if got, want := a.voters(t), named(a, b); got != want {
		t.Fatalf("the members are %s, want %s", got, want)
	}
	b.put(t, "b")
	saved := filepath.Join(t.TempDir(), "saved")
	if err := a.command("snapshot", "save", saved); err != nil {
		t.Fatal(err)
	}
	refused(t, a.command("snapshot", "restore", "--yes", saved), "one of 2 members", "leave with `km leave` there")

	if err := errors.Join(b.stop(), a.stop()); err != nil {
		t.Fatal(err)
	}
	refused(t, a.command("snapshot", "restore", "--yes", saved), "one of 2 members", "leave with `km leave` there")
	refused(t, a.command("snapshot", "save", saved+"2"), "one of 2 members of etcd: start km here and try again")
	refused(t, a.command("repair"), "one of 2 members of etcd: start km here and try again")
	refused(t, a.command("run", "etcd"), "one of 2 members of etcd: start it with `hk run --advertise --data-dir="+a.dir+"`")

	// One that waits for the others says so, and can be stopped.
	quorum := &seen{text: "etcd has no quorum: 1 of 2 members answers, and 2 are needed", shown: make(chan struct{})}
	a.out = quorum
	waiting, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := a.hyperkube().Start(waiting, a.args()...)
		ended <- err
	}()
	await(t, quorum.shown)
	stop()
	await(t, ended)
}

func await[T any](t *testing.T, c <-chan T) (value T) {
	t.Helper()
	select {
	case value = <-c:
	case <-patient(t).Done():
		t.Fatal("it takes too long")
	}
	return value
}

// A member that the others have removed says so, and is not started again.
func TestRemoved(t *testing.T) {
	t.Parallel() // etcd has others wait five seconds before its members change
	for _, test := range []struct {
		name string
		down bool // as it is removed
	}{{"while it runs", false}, {"while it does not", true}} {
		t.Run(test.name, func(t *testing.T) {
			a := newControl(t, nil)
			a.start(t)
			b := newControl(t, a)
			b.start(t)
			left := []*control{a}
			if test.down {
				c := newControl(t, a)
				c.start(t) // a quorum is left while b is down
				left = append(left, c)
				if err := b.stop(); err != nil {
					t.Fatal(err)
				}
			}
			want := "this machine is no member of the cluster any more: delete its data folder with `hk reset --data-dir=" + b.dir + "`"
			if err := a.members(t).Remove(patient(t), filepath.Base(b.dir)); err != nil {
				t.Fatal(err)
			}
			if !test.down {
				refused(t, b.failure(t), want)
			}
			_, err := b.hyperkube().Start(t.Context(), b.args()...)
			refused(t, err, want)
			if got, want := a.voters(t), named(left...); got != want {
				t.Errorf("the members are %s, want %s", got, want)
			}
		})
	}
}

// A run that ends before its etcd has started leaves no member behind, and the next one joins.
func TestNotJoined(t *testing.T) {
	t.Parallel() // etcd has others wait five seconds before its members change
	a := newControl(t, nil)
	a.start(t)
	b := newControl(t, a)
	b.between = func() error {
		if got := a.voters(t); !strings.Contains(got, "(learner)") {
			t.Errorf("before the failure, the members are %s", got)
		}
		return errors.New("it fails")
	}
	if running, err := b.hyperkube().Start(t.Context(), b.args()...); err == nil {
		_ = running.Stop()
		t.Fatal("it has started")
	}
	if got, want := a.voters(t), named(a); got != want {
		t.Errorf("after it, the members are %s, want %s", got, want)
	}
	b.between = nil
	b.start(t)
	if got, want := a.voters(t), named(a, b); got != want {
		t.Errorf("the members are %s, want %s", got, want)
	}
}

// One that joins while another member goes joins the others.
func TestJoinAgain(t *testing.T) {
	t.Parallel() // etcd has others wait five seconds before its members change
	a := newControl(t, nil)
	a.start(t)
	b, c := newControl(t, a), newControl(t, a)
	c.start(t)
	b.between = func() error { return a.members(t).Remove(patient(t), filepath.Base(c.dir)) }
	b.start(t)
	if got, want := a.voters(t), named(a, b); got != want {
		t.Errorf("the members are %s, want %s", got, want)
	}
	refused(t, c.failure(t), "no member of the cluster any more")
}

// A member whose data is gone joins again in its place.
func TestLostDisk(t *testing.T) {
	t.Parallel() // etcd has others wait five seconds before its members change
	a := newControl(t, nil)
	a.start(t)
	b, c := newControl(t, a), newControl(t, a)
	b.start(t)
	c.start(t)
	if err := errors.Join(b.stop(), os.RemoveAll(filepath.Join(b.dir, "etcd"))); err != nil {
		t.Fatal(err)
	}
	a.put(t, "key")
	b.start(t)
	if got, want := a.voters(t), named(a, b, c); got != want {
		t.Errorf("the members are %s, want %s", got, want)
	}
}

// Data of an etcd that was alone gets the address at which others reach it, and keeps its others.
func TestAddressMoves(t *testing.T) {
	a := newControl(t, nil)
	if out, err := runEtcd(t, a.dir, func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.Put(ctx, "key", "value")
		return err
	}); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	for range 2 {
		a.start(t)
		all, err := a.members(t).List(patient(t))
		if err != nil || len(all) != 1 || !slices.Equal(all[0].PeerURLs, []string{a.peer}) {
			t.Errorf("the members are %+v (%v), want one at %s", all, err, a.peer)
		}
		if err := a.stop(); err != nil {
			t.Fatal(err)
		}
		a.peer = freeURL(t)
	}
}
