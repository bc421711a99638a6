package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/seed-200a7251/km/test/machines"
)

// rounds is how often what may happen to machines happens to each of them. `make robustness` has more.
var rounds = flag.Int("rounds", 1, "how often each machine of a cluster is lost, in TestMachines")

// member is one machine of a cluster of several.
type member struct {
	*machines.Host
	t    *testing.T
	flag []string // by which it starts again
	km   *machines.Process
}

// start runs km with these arguments and waits until it is ready. Those that a later start needs are kept.
func (m *member) start(args ...string) {
	m.t.Helper()
	m.flag = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return strings.HasPrefix(arg, "--token=") })
	m.km = m.Start(binary, args...)
	m.km.Await("km: ready after")
}

// again starts it as before, without a token.
func (m *member) again() {
	m.t.Helper()
	m.start(m.flag...)
}

// stop ends km as systemd would.
func (m *member) stop() {
	m.t.Helper()
	m.km.Signal(syscall.SIGTERM)
	if err := m.km.Wait(); err != nil {
		m.t.Errorf("km on %s: %v", m.Name, err)
	}
}

// reset deletes what km has made, which is all that there is.
func (m *member) reset() {
	m.t.Helper()
	m.must("reset", "--yes")
	if _, err := os.Lstat(m.dataDir()); !errors.Is(err, fs.ErrNotExist) {
		m.t.Errorf("after a reset of %s: %v", m.dataDir(), err)
	}
}

// try runs km to its end.
func (m *member) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := m.CommandContext(ctx, binary, args...).CombinedOutput()
	return string(out), err
}

// must is the output of km, which is expected to succeed.
func (m *member) must(args ...string) string {
	m.t.Helper()
	out, err := m.try(args...)
	if err != nil {
		m.t.Fatalf("km %s on %s: %v\n%s", strings.Join(args, " "), m.Name, err, out)
	}
	return out
}

// refuses reports that km does not end with an error that says so.
func (m *member) refuses(text string, args ...string) {
	m.t.Helper()
	out, err := m.try(args...)
	if err == nil || !strings.Contains(out, text) {
		m.t.Errorf("km %s on %s: %v, want an error with %q\n%s", strings.Join(args, " "), m.Name, err, text, out)
	}
}

// invite makes a token and returns the arguments of km that are printed for the other machine.
func (m *member) invite(args ...string) []string {
	m.t.Helper()
	words := strings.Fields(m.must(append([]string{"token", "create"}, args...)...))
	if len(words) < 4 || words[0] != "km" {
		m.t.Fatalf("km token create prints %q", words)
	}
	return words[1:]
}

func (m *member) dataDir() string { return m.Path(".local", "state", "km", "km") }

// overview is a part of what `km status -o json` says of the cluster.
type overview struct {
	Cluster struct {
		Machines []struct{ Name, Role, State, Etcd string }
		Etcd     struct {
			Voters, Answering, Spare int
			Quorum                   bool
		}
	}
}

func (m *member) overview() (o overview) {
	m.t.Helper()
	out, err := m.Command(binary, "status", "-o", "json").Output()
	if err != nil {
		m.t.Fatalf("km status on %s: %v", m.Name, err)
	}
	if err := json.Unmarshal(out, &o); err != nil {
		m.t.Fatalf("%v: %s", err, out)
	}
	return o
}

// until asks for the overview until it is as wanted.
func (m *member) until(what string, ok func(overview) bool) {
	m.t.Helper()
	eventually(m.t, what, func() bool { return ok(m.overview()) })
}

// whole is an overview in which that many members of etcd vote, and all answer.
func whole(voters int) func(overview) bool {
	return func(o overview) bool {
		e := o.Cluster.Etcd
		return e.Quorum && e.Voters == voters && e.Answering == voters &&
			!slices.ContainsFunc(o.Cluster.Machines, func(m struct{ Name, Role, State, Etcd string }) bool { return m.Etcd == "learner" })
	}
}

// client is one of the apiserver of a machine, from another one.
func (m *member) client(from *member) kubernetes.Interface {
	m.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(m.dataDir(), "kubeconfig", "admin.conf"))
	if err != nil {
		m.t.Fatal(err)
	}
	config.Dial, config.QPS, config.Timeout = from.Dial, -1, 3*time.Second
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		m.t.Fatal(err)
	}
	return client
}

// ledger writes objects, one after the other, by whichever apiserver takes them, and notes those that were
// acknowledged.
type ledger struct {
	t       *testing.T
	clients []kubernetes.Interface
	stop    context.CancelFunc
	done    chan struct{}

	mu      sync.Mutex
	written []string
}

func newLedger(t *testing.T, clients ...kubernetes.Interface) *ledger {
	ctx, cancel := context.WithCancel(t.Context())
	l := &ledger{t: t, clients: clients, stop: cancel, done: make(chan struct{})}
	go l.run(ctx)
	t.Cleanup(l.end)
	return l
}

func (l *ledger) end() {
	l.stop()
	<-l.done
}

func (l *ledger) run(ctx context.Context) {
	defer close(l.done)
	for n, at := 0, 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("entry-%d", n)
		for ctx.Err() == nil {
			// One that failed may have been written all the same.
			err := write(ctx, l.clients[at%len(l.clients)], name)
			if err == nil || apierrors.IsAlreadyExists(err) {
				l.mu.Lock()
				l.written = append(l.written, name)
				l.mu.Unlock()
				break
			}
			at++ // and stays there
		}
	}
}

func write(ctx context.Context, client kubernetes.Interface, name string) error {
	_, err := client.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	return err
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.written)
}

// goesOn waits until more is written.
func (l *ledger) goesOn(after string) {
	l.t.Helper()
	before, since := l.count(), time.Now()
	eventually(l.t, "writes after "+after, func() bool { return l.count() > before+3 })
	l.t.Logf("after %s: written again within %v", after, time.Since(since).Round(10*time.Millisecond))
}

// check reports what was acknowledged and is not there.
func (l *ledger) check(client kubernetes.Interface) {
	l.t.Helper()
	l.end()
	list, err := client.CoreV1().ConfigMaps("default").List(l.t.Context(), metav1.ListOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	there := map[string]bool{}
	for _, o := range list.Items {
		there[o.Name] = true
	}
	for _, name := range l.written {
		if !there[name] {
			l.t.Errorf("%s was acknowledged, and is lost", name)
		}
	}
	l.t.Logf("%d writes, none lost", len(l.written))
}

// Three machines with a control plane and one node, joined by tokens: each loss of one is survived, two are told, and
// what was acknowledged stays.
func TestMachines(t *testing.T) {
	t.Parallel()
	all := newMembers(t, 4)
	a, b, c, d := all[0], all[1], all[2], all[3]
	a.start("run", "--advertise")
	b.start(a.invite("--role=control-plane")...)
	c.start(b.invite("--role=control-plane")...)
	d.start(append(c.invite(), "--executor.nodes=2")...)
	a.until("three members", whole(3))

	client := a.client(d)
	ready := func(name string) bool {
		node, err := client.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
		return err == nil && slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		})
	}
	for _, name := range []string{"node-1", b.Name + "-1", d.Name + "-1", d.Name + "-2"} {
		eventually(t, name, func() bool { return ready(name) })
	}
	l := newLedger(t, a.client(d), b.client(d), c.client(d))
	l.goesOn("the beginning")

	for range *rounds {
		t.Log("each machine in turn is unplugged, and comes back")
		for _, m := range []*member{a, b, c} {
			m.Kill()
			l.goesOn("the loss of " + m.Name)
			m.Boot()
			m.again()
			a.until("three members again", whole(3))
		}

		t.Log("each is cut off for a while, and goes on by itself")
		for _, m := range []*member{a, b, c} {
			m.Disconnect()
			l.goesOn(m.Name + " was cut off")
			m.Connect()
			a.until("three members again", whole(3))
		}

		t.Log("a rolling restart")
		for _, m := range []*member{a, b, c} {
			m.stop()
			l.goesOn("the stop of " + m.Name)
			m.again()
			a.until("three members again", whole(3))
		}
	}

	t.Log("two are lost")
	b.Kill()
	c.Kill()
	a.until("no quorum", func(o overview) bool { return !o.Cluster.Etcd.Quorum && o.Cluster.Etcd.Voters == 3 })
	if err := write(t.Context(), a.client(d), "unheard"); err == nil {
		t.Error("something was written without a quorum")
	}
	b.Boot()
	b.again()
	l.goesOn("the return of " + b.Name)

	t.Log("the disk of the third is lost: it joins again")
	c.LoseDisk()
	c.Boot()
	c.start(a.invite("--role=control-plane")...)
	a.until("three members again", whole(3))
	l.goesOn("the return of " + c.Name)

	t.Log("one leaves")
	c.must("leave", c.Name, "--yes")
	<-c.km.Done()
	a.until("two members", whole(2))
	c.refuses("has left the cluster", c.flag...)
	c.reset()
	l.goesOn("the leave of " + c.Name)
	if eventually(t, "the node follows", func() bool { return ready(d.Name + "-1") }); !ready(d.Name + "-2") {
		t.Errorf("%s-2 is not Ready", d.Name)
	}
	l.check(client)
}

// newMembers are machines without anything on them.
func newMembers(t *testing.T, n int) (all []*member) {
	for _, h := range machines.New(t, n) {
		all = append(all, &member{Host: h, t: t})
	}
	return all
}

// A machine that cannot join says why in one sentence, and nothing is half-joined.
func TestJoinRefused(t *testing.T) {
	t.Parallel()
	all := newMembers(t, 3)
	a, b, other := all[0], all[1], all[2]
	a.refuses("not running", "token", "create")
	a.start("run", "--free-ports")
	a.refuses("the cluster is not open to other machines", "token", "create")
	a.stop()
	a.start("run", "--advertise="+a.IP)
	other.start("run", "--advertise")

	join := a.invite()
	token := strings.TrimPrefix(join[len(join)-1], "--token=")
	parts := strings.Split(token, ".")
	address := "--join=" + a.IP
	minion := func(args ...string) []string { return append([]string{"run", "minion"}, args...) }

	b.refuses("this machine has not joined yet", minion(address)...)
	b.refuses("it is not a token", minion(address, "--token="+parts[0]+"."+parts[1])...)
	b.refuses("it may have been cut off", minion(address, "--token="+token[:len(token)-1])...)
	b.refuses("the token is of another cluster", minion("--join="+other.IP, "--token="+token)...)
	b.refuses("the token is not known there", minion(address, "--token="+parts[0]+".0123456789abcdef."+parts[2])...)
	b.refuses("nothing answers there", minion("--join="+a.IP+":1", "--token="+token)...)
	b.refuses("what answers there is no apiserver", minion("--join="+a.IP+":2379", "--token="+token)...)
	b.refuses("does not run on a node", "run", address, "--token="+token)
	b.refuses("the token is for a node", "run", address, "--token="+token, "--role=control-plane")
	b.refuses("is for `km run minion", "minion", address, "--token="+token)
	other.stop()
	other.refuses("has a cluster of its own", minion(address, "--token="+token)...)
	b.refuses("there is a node node-1 in the cluster already", minion(address, "--token="+token, "--executor.node-prefix=node-")...)
	for _, left := range []string{"joined.json", "pki", "kubeconfig"} {
		if _, err := os.Lstat(filepath.Join(b.dataDir(), left)); err == nil {
			t.Errorf("%s is there, although nothing was joined", left)
		}
	}

	deleted := a.invite("--role=control-plane")
	a.must("token", "delete", strings.TrimPrefix(deleted[len(deleted)-2], "--token="))
	b.refuses("the token is not known there", deleted...)
	if out := a.must("token", "list"); strings.Contains(out, "control-plane") || !strings.Contains(out, parts[0]) || strings.Contains(out, parts[1]) {
		t.Errorf("km token list prints\n%s", out)
	}
	expired := a.invite("--ttl=1s")
	id, _, _ := strings.Cut(strings.TrimPrefix(expired[len(expired)-1], "--token="), ".")
	eventually(t, "the end of the token", func() bool {
		out := a.must("token", "list")
		return !strings.Contains(out, id) || strings.Contains(out, "has expired")
	})
	b.refuses("the token is not known there", expired...)

	b.start(join...)
	b.stop()
	b.refuses("is a part of the cluster at", "run")
	b.again()
	b.must("status")
	for _, command := range [][]string{{"kubectl", "get", "nodes"}, {"kubeconfig"}, {"token", "list"}} {
		b.refuses("this machine is a node of the cluster at "+a.IP, command...)
	}
	b.stop()
	b.reset()
}
