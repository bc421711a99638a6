package etcd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// Access is a command's way to the etcd of the cluster that the plan names, whether it runs or not.
type Access struct {
	hk   *supervisor.HyperKube
	plan *supervisor.Plan
}

// NewAccess returns that for a command of hk.
func NewAccess(hk *supervisor.HyperKube, p *supervisor.Plan) *Access { return &Access{hk, p} }

// Ask calls f with an address at which etcd can be asked without TLS. While nothing runs, that is of one over the same
// data, which ends when f has returned. What f does is what, for people, and what they type for an etcd elsewhere is
// instead.
func (a *Access) Ask(ctx context.Context, what, instead string, f func(endpoint string, running bool) error) error {
	status, err := a.hk.Status(ctx, a.plan)
	if errors.Is(err, supervisor.ErrNotRunning) {
		return a.whileStopped(ctx, what, instead, func(endpoint string) error { return f(endpoint, false) })
	}
	if err != nil {
		return err
	}
	endpoint, err := a.Endpoint(status, instead)
	if err != nil {
		return err
	}
	return f(endpoint, true)
}

// whileStopped calls f with the address of an etcd over the data of a cluster that does not run. It is etcd itself, and
// not a look at the file: after a kill, its log has more than the database.
func (a *Access) whileStopped(ctx context.Context, what, instead string, f func(endpoint string) error) (err error) {
	dir, err := a.Dir()
	if err != nil {
		return err
	}
	at := place{Data: dir}
	there, err := Present(dir)
	if err != nil {
		return at.explain(a.plan, err, true)
	}
	if !there {
		return fmt.Errorf("there is nothing to %s in %s: no cluster was started there, or its etcd is elsewhere; start one with `%s`, name another one "+
			"with --name or --data-dir, or use `%s` with an etcd elsewhere", what, dir, a.plan.Command("run"), instead)
	}
	if err := at.refuseStopped(); err != nil {
		return err
	}
	release, err := a.hk.Hold(a.plan)
	defer func() { err = errors.Join(err, release()) }()
	if err != nil {
		return err
	}
	if err := cluster.New().Open(ctx, a.plan); err != nil {
		return err
	}
	var errOf error
	err = a.Serve(ctx, dir, func(endpoint string) error {
		errOf = f(endpoint)
		return nil
	})
	if err != nil {
		return fmt.Errorf("etcd cannot be started with the data in %s: %w", dir, at.explain(a.plan, err, true))
	}
	return errOf
}

// Endpoint is where the etcd of a run can be asked without TLS. Where there is none, people are to type instead.
func (a *Access) Endpoint(status *supervisor.Status, instead string) (string, error) {
	etcd := status.Server(names.Etcd)
	if etcd == nil {
		return "", fmt.Errorf("%s runs without an etcd of its own here: use `%s` with the --endpoints that --apiserver.etcd-servers names", a.hk.Name, instead)
	}
	switch etcd.State {
	case supervisor.Ready:
	case supervisor.Waiting, supervisor.Starting, supervisor.Backoff:
		return "", a.NotYet(etcd)
	default:
		return "", fmt.Errorf("etcd is %v: start it with `%s`, or stop %s", etcd.State, a.plan.Command("start", names.Etcd), a.hk.Name)
	}
	urls := strings.Split(etcd.Address, ",")
	for _, scheme := range []string{"unix://", "http://"} {
		for _, url := range urls {
			if strings.HasPrefix(url, scheme) {
				return url, nil
			}
		}
	}
	return "", fmt.Errorf("etcd listens with TLS only: use `%s` with --endpoints=%s, --cacert, --cert and --key", instead, etcd.Address)
}

// NotYet says what to do while etcd is about to be ready.
func (a *Access) NotYet(etcd *supervisor.ServerStatus) error {
	return fmt.Errorf("etcd is %v: wait for it with `%s`, or stop %s, and try again", etcd.State, a.plan.Command("status", "--wait=ready"), a.hk.Name)
}

// Dir is the folder with etcd's data. It is an error if its log is elsewhere, or a restore was killed in the middle.
func (a *Access) Dir() (string, error) {
	at, err := lastPlace(a.plan)
	switch {
	case err != nil:
		return "", err
	case at.Log != "":
		return "", fmt.Errorf("etcd's log is in %s (--etcd.wal-dir), apart from its data: save and repair while etcd runs; to restore, stop %s, move %s and %s away, and use "+
			"`etcdutl snapshot restore FILE --data-dir=%s --wal-dir=%s --bump-revision=%d --mark-compacted`", at.Log, a.hk.Name, at.Data, at.Log,
			supervisor.ShellQuote(at.Data), supervisor.ShellQuote(at.Log), RevisionBump)
	}
	return at.Data, whole(at.Data)
}
