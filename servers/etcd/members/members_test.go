package members

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// refused checks that an error says all of this.
func refused(t *testing.T, err error, want ...string) {
	t.Helper()
	for _, text := range want {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want %q", err, text)
		}
	}
}

func list(t *testing.T, m *Members) []Member {
	t.Helper()
	all, err := m.List(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func named(t *testing.T, all []Member, name string) Member {
	t.Helper()
	i := slices.IndexFunc(all, func(m Member) bool { return m.Name == name })
	if i < 0 {
		t.Fatalf("%s is not among %+v", name, all)
	}
	return all[i]
}

// names are those of the members, with what they are but healthy voters.
func names(all []Member) string {
	var texts []string
	for _, m := range all {
		text := m.Name
		if m.Learner {
			text += " learner"
		}
		if !m.Healthy {
			text += " ill"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, ", ")
}

// join has a machine with an empty folder join, and waits until it votes.
func (m *machine) join(t *testing.T, at *Members) {
	t.Helper()
	initial, id, err := at.Add(patient(t), m.name, m.peer)
	if err != nil {
		t.Fatal(err)
	}
	m.start(t, m.config(t, initial, embed.ClusterStateFlagExisting))
	if m.id() != id {
		t.Errorf("%s is %x, not %x", m.name, m.id(), id)
	}
	if err := at.Promote(patient(t), id); err != nil {
		t.Fatal(err)
	}
	m.ready(t)
}

// leading is the machine whose member leads, of those that run.
func leading(t *testing.T, at *Members, all ...*machine) *machine {
	t.Helper()
	for ctx := patient(t); ctx.Err() == nil; {
		for _, member := range list(t, at) {
			if i := slices.IndexFunc(all, func(m *machine) bool { return m.name == member.Name }); member.Leader && member.Healthy && i >= 0 {
				return all[i]
			}
		}
	}
	t.Fatal("there is no leader")
	return nil
}

func without(all []*machine, m *machine) []*machine {
	return slices.DeleteFunc(slices.Clone(all), func(other *machine) bool { return other == m })
}

// A member that is alone gets others, one of which loses its disk.
func TestLife(t *testing.T) {
	t.Parallel()
	ms := newMachines(t)
	a, b, c := ms.machine(t, "a"), ms.machine(t, "b"), ms.machine(t, "c")
	a.start(t, a.config(t, "a="+a.peer, embed.ClusterStateFlagNew))
	a.ready(t)
	at := a.members(t)
	one := named(t, list(t, at), "a")
	if !one.Leader || !one.Healthy || one.Err != nil || one.ID != a.id() || one.Version == "" || one.DBSize == 0 || one.Index == 0 || one.Term == 0 {
		t.Errorf("%+v", one)
	}
	refused(t, at.Remove(patient(t), "a"), "a cannot leave etcd", "only voting member")
	put(t, a)
	joinAgain(t, at, a, b, c)
	c.join(t, at)
	refusals(t, at, a, b)
	if names := names(list(t, at)); names != "a, b, c" {
		t.Error(names)
	}
	loseDisk(t, at, a, b, c)
}

// joinAgain has b join after a try that was broken off between Add and the start, which keeps c from joining.
func joinAgain(t *testing.T, at *Members, a, b, c *machine) {
	t.Helper()
	ctx := patient(t)
	_, broken, err := at.Add(ctx, "b", b.peer)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = at.Add(ctx, "c", c.peer)
	refused(t, err, b.peer+") has not finished joining", fmt.Sprintf("remove the member %x", broken))
	initial, id, err := at.Add(ctx, "b", b.peer)
	if err != nil {
		t.Fatal(err)
	}
	if id == broken {
		t.Errorf("%x stays", id)
	}
	if all := strings.Split(initial, ","); len(all) != 2 || !slices.Contains(all, "a="+a.peer) || !slices.Contains(all, "b="+b.peer) {
		t.Error(initial)
	}
	if all := list(t, at); names(all) != " learner ill, a" {
		t.Errorf("%+v", all)
	} else {
		refused(t, all[0].Err, "it has not started yet")
	}
	promoted := make(chan error, 1)
	go func() { promoted <- at.Promote(ctx, id) }() // before it runs
	b.start(t, b.config(t, initial, embed.ClusterStateFlagExisting))
	if err := <-promoted; err != nil {
		t.Fatal(err)
	}
	if err := at.Promote(ctx, id); err != nil {
		t.Error(err)
	}
	b.ready(t)
	if all := list(t, at); names(all) != "a, b" {
		t.Errorf("%+v", all)
	}
}

// refusals are of what cannot be done in a cluster in which all is well.
func refusals(t *testing.T, at *Members, a, b *machine) {
	t.Helper()
	ctx := patient(t)
	for _, test := range []struct{ name, peer, want string }{
		{"b", "https://127.0.0.1:1", "its name is that of b (" + b.peer + "): choose another"},
		{"d", b.peer, "a member with this address runs, b (" + b.peer + ")"},
		{"d", "https://10.1.1.1:2380", "is reached by its own machine only"},
		{"d", "10.1.1.1:2380", "cannot be the peer URL"},
		{"d,e", "https://127.0.0.1:1", "cannot be the name"},
		{"", "https://127.0.0.1:1", "cannot be the name"},
	} {
		_, _, err := at.Add(ctx, test.name, test.peer)
		refused(t, err, test.want)
	}
	refused(t, at.Promote(ctx, 1), "there is no member 1")
	refused(t, at.Remove(ctx, "d"), "there is no such member; there are: a ("+a.peer+")")
	refused(t, at.Update(ctx, a.id(), b.peer), "b ("+b.peer+") has it")
}

// loseDisk stops b, of three, and has it join again with an empty folder.
func loseDisk(t *testing.T, at *Members, a, b, c *machine) {
	t.Helper()
	ctx := patient(t)
	if leading(t, at, a, b, c) == b { // so that there is a leader while b is down
		err := at.ask(ctx, b.client, patience, func(ctx context.Context, client *clientv3.Client) error {
			_, err := client.MoveLeader(ctx, a.id())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	b.stop()
	all := list(t, at)
	if names(all) != "a, b ill, c" {
		t.Errorf("%+v", all)
	}
	refused(t, named(t, all, "b").Err, b.client, "refused")
	quorum := QuorumOf(all)
	if want := (Quorum{Voters: 3, Needed: 2, Answering: 2, Healthy: 2}); quorum != want || !quorum.There() {
		t.Errorf("%+v", quorum)
	}
	if quorum.Stopped(named(t, all, "c")).There() || !quorum.Stopped(named(t, all, "b")).There() {
		t.Error("whether a stop loses the quorum is not seen")
	}
	refused(t, at.Remove(ctx, "c"), "there would be no quorum without it", "b ("+b.peer+")")
	if err := os.RemoveAll(b.dir); err != nil {
		t.Fatal(err)
	}
	b.join(t, at)
	if all := list(t, at); names(all) != "a, b, c" {
		t.Errorf("%+v", all)
	}
	if got := get(t, b); got != "value" {
		t.Errorf("b has %q", got)
	}
}

// A member that does not run is removed, then the leader, which is asked itself, as its machine does.
func TestRemove(t *testing.T) {
	t.Parallel()
	all := together(t, "a", "b", "c")
	leader := leading(t, all[0].members(t), all...)
	rest := without(all, leader)
	at := leader.members(t)
	ctx := patient(t)
	dead := rest[0].id()
	rest[0].stop()
	if err := at.Remove(ctx, fmt.Sprintf("%x", dead)); err != nil {
		t.Fatal(err)
	}
	if err := at.Remove(ctx, leader.name); err != nil {
		t.Fatal(err)
	}
	select {
	case <-leader.etcd.Server.StopNotify():
	case <-ctx.Done():
		t.Error("it does not end")
	}
	if _, moved := leader.asked.Load("MoveLeader"); !moved {
		t.Error("it has left while it was the leader")
	}
	if _, asked := rest[1].asked.Load("MemberRemove"); !asked {
		t.Error("not the new leader was asked for the removal")
	}
	if left := list(t, rest[1].members(t)); names(left) != rest[1].name || !left[0].Leader {
		t.Errorf("%+v", left)
	}
}

// Without a quorum the members are still told, and nothing can be changed.
func TestQuorumLost(t *testing.T) {
	t.Parallel()
	all := together(t, "a", "b", "c")
	all[0].stop()
	// Of three, one that is missing keeps others from joining: they could be missing, too.
	ctx, cancel := context.WithCancel(patient(t))
	_, _, err := all[2].members(t).loggedTo(func(line string) {
		if strings.Contains(line, "unhealthy cluster") {
			cancel()
		}
	}).Add(ctx, "d", freeURL(t))
	refused(t, err, "unhealthy cluster: start, or remove, what does not answer: a (", "given up: context canceled")

	all[1].stop()
	at, err := At([]string{all[0].client, all[2].client}, all[2].machines.client, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	told := list(t, at)
	if c := named(t, told, "c"); !c.Answers || named(t, told, "a").Answers || named(t, told, "b").Answers {
		t.Errorf("%+v", told)
	}
	quorum := QuorumOf(told)
	if quorum.There() || quorum.String() != "1 of 3 members answers, and 2 are needed" {
		t.Errorf("%+v %s", quorum, quorum)
	}
	ctx = patient(t)
	const lost = "etcd has no quorum: 1 of 3 members answers, and 2 are needed; start those that do not: "
	a := fmt.Sprintf("a (%s): %s: ", all[0].peer, all[0].client)
	refused(t, at.Remove(ctx, "b"), lost, a, "refused")
	refused(t, at.Update(ctx, all[2].id(), freeURL(t)), lost, a)
	_, _, err = at.Add(ctx, "d", freeURL(t))
	refused(t, err, lost, a)

	all[2].stop()
	ended, end := context.WithCancel(ctx)
	end()
	_, err = at.List(ctx)
	refused(t, err, "etcd at "+all[0].client+" does not answer", "etcd at "+all[2].client+" does not answer", "refused")
	refused(t, at.Remove(ended, "b"), "b cannot leave etcd", "given up: context canceled")
}

// A member that was alone, and has no peer URL that is of any use, gets one before others join.
func TestUpdate(t *testing.T) {
	t.Parallel()
	ms := newMachines(t)
	a, b := ms.machine(t, "a"), ms.machine(t, "b")
	config := a.config(t, "a="+embed.DefaultInitialAdvertisePeerURLs, embed.ClusterStateFlagNew)
	config.AdvertisePeerUrls = urls(t, embed.DefaultInitialAdvertisePeerURLs)
	a.start(t, config)
	a.ready(t)
	ctx := patient(t)
	at := Of(a.etcd, ms.client, zap.NewNop())
	_, _, err := at.Add(ctx, "b", b.peer)
	refused(t, err, "a ("+embed.DefaultInitialAdvertisePeerURLs+") is reached by its own machine only")
	stranger, err := At([]string{a.client}, newMachines(t).client, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	_, err = stranger.List(ctx)
	refused(t, err, "etcd at "+a.client+" does not answer: authentication handshake failed")
	for range 2 {
		if err := at.Update(ctx, a.id(), a.peer); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, at.Update(ctx, 1, a.peer), "there is no member 1")
	initial, id, err := at.Add(ctx, "b", b.peer)
	if err != nil {
		t.Fatal(err)
	}
	b.start(t, b.config(t, initial, embed.ClusterStateFlagExisting))
	b.ready(t)

	// Of a learner only its own process gets to know who the members are.
	if all := list(t, Of(b.etcd, ms.client, zap.NewNop())); names(all) != "a, b learner" || named(t, all, "b").ID != id {
		t.Errorf("%+v", all)
	}
	_, err = b.members(t).List(ctx)
	refused(t, err, b.socket+" is a learner")

	// It has caught up, but as a voter that does not answer it would take the quorum along.
	b.stop()
	silent, cancel := context.WithCancel(ctx)
	err = at.loggedTo(func(line string) {
		if strings.Contains(line, "it does not answer") {
			cancel()
		}
	}).Promote(silent, id)
	refused(t, err, "cannot become a voting member of etcd: it does not answer: "+b.client, "given up: context canceled")
	if names := names(list(t, at)); names != "a, b learner ill" {
		t.Error(names)
	}
	if err := at.Remove(ctx, "b"); err != nil {
		t.Error(err)
	}
}

// loggedTo has what is waited for told to f.
func (m *Members) loggedTo(f writer) *Members {
	m.log = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(f), zapcore.InfoLevel))
	return m
}

type writer func(line string)

func (f writer) Write(line []byte) (int, error) {
	f(string(line))
	return len(line), nil
}

// Nothing is left of a question. (Of an etcd, connections to its peers are.)
func TestNothingIsLeft(t *testing.T) {
	defer goleak.VerifyNone(t)
	at, err := At([]string{freeURL(t), "unix:///nowhere"}, newMachines(t).client, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	_, err = at.List(patient(t))
	refused(t, err, "refused; etcd at unix:///nowhere does not answer: dial unix /nowhere: connect: no such file")
}

// Without a certificate nothing is asked with TLS.
func TestNoCertificate(t *testing.T) {
	_, err := At([]string{"https://127.0.0.1:1"}, nil, zap.NewNop())
	refused(t, err, "https://127.0.0.1:1 can be asked with TLS only")
	_, err = At(nil, nil, zap.NewNop())
	refused(t, err, "no address")
}

func put(t *testing.T, m *machine) {
	t.Helper()
	err := m.members(t).ask(patient(t), m.socket, patience, func(ctx context.Context, client *clientv3.Client) error {
		_, err := client.Put(ctx, "key", "value")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// get reads what the member itself has.
func get(t *testing.T, m *machine) (value string) {
	t.Helper()
	err := m.members(t).ask(patient(t), m.socket, patience, func(ctx context.Context, client *clientv3.Client) error {
		got, err := client.Get(ctx, "key", clientv3.WithSerializable())
		if err == nil && len(got.Kvs) == 1 {
			value = string(got.Kvs[0].Value)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}
