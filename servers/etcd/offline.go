package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"

	etcdutl "go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// offline is an etcd that runs for a moment, beside no other server.
type offline struct {
	server *supervisor.Server
	config *embed.Config
	fatal  fatalHook
	logger *zap.Logger
}

// offline returns an etcd over the folder that is what `run` makes of it, but for where it listens.
func (a *Access) offline(dir, socket string) (*offline, error) {
	server := New(cluster.New())
	err := server.Defaults(a.plan, server)
	if err == nil {
		err = server.Default("data-dir", dir, "listen-client-urls", component.SocketURL(socket))
	}
	if err != nil {
		return nil, err
	}
	config, err := load(server)
	if err != nil {
		return nil, err
	}
	o := &offline{server: server, config: config, fatal: make(fatalHook, 1)}
	o.logger = zap.NewNop().WithOptions(zap.WithFatalHook(o.fatal), zap.WithPanicHook(loneHook{o.fatal}))
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(o.logger)
	return o, nil
}

// Serve starts an etcd over the folder, calls f with its address when it is ready, and stops it.
func (a *Access) Serve(ctx context.Context, dir string, f func(endpoint string) error) (err error) {
	if InUse(dir) {
		return fmt.Errorf("another process has %s open: end that one", DatabaseIn(dir))
	}
	if err := (place{Data: dir}).sound(); err != nil {
		return err
	}
	remove, err := a.plan.MakePaths()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	// Upstream removes it, and one that a killed process has left. While a cluster runs, this is not its own.
	socket := a.plan.SocketPath(names.Etcd + ".snapshot.sock")
	o, err := a.offline(dir, socket)
	if err == nil {
		err = checkSockets(o.config)
	}
	if err != nil {
		return err
	}
	etcd, err := guarded(o.server, o.fatal, func() (*embed.Etcd, error) { return embed.StartEtcd(o.config) })
	if err != nil {
		return err
	}
	if err := keepPrivate(o.config.ListenClientUrls); err != nil {
		closeEtcd(etcd)
		return err
	}
	select {
	case err := <-o.fatal:
		return err // what the goroutine that has ended had locked stays locked: Close would wait for it
	case err := <-etcd.Err():
		closeEtcd(etcd)
		return err
	case <-ctx.Done():
		closeEtcd(etcd)
		return ctx.Err()
	case <-etcd.Server.ReadyNotify():
		defer etcd.Close()
		return f(component.Endpoints(component.SocketURL(socket)))
	}
}

// RevisionBump is by how much the revision goes on, after a restore, above that of the snapshot and that which the
// cluster has reached. It must be more than is written between a look at the latter and the stop of etcd: otherwise
// clients that have seen later revisions would take those after the restore for known ones. etcd's documentation of
// disaster recovery has this number, which is a week of 1500 writes a second. All revisions before count as compacted,
// so that who watches from one of them is told to list again.
const RevisionBump = 1_000_000_000

// Restore makes, in a folder that is not there, the data of an etcd of this cluster from a snapshot. Its revision is
// higher by bump than that of the snapshot.
func (a *Access) Restore(snapshot, dir string, bump uint64) error {
	o, err := a.offline(dir, os.DevNull) // it listens nowhere yet
	if err != nil {
		return err
	}
	_, err = guarded(o.server, o.fatal, func() (none struct{}, err error) {
		return none, etcdutl.NewV3(o.logger).Restore(etcdutl.RestoreConfig{
			SnapshotPath:        snapshot,
			Name:                o.config.Name,
			OutputDataDir:       dir,
			PeerURLs:            urlStrings(o.config.AdvertisePeerUrls),
			InitialCluster:      o.config.InitialCluster,
			InitialClusterToken: o.config.InitialClusterToken,
			RevisionBump:        bump,
			MarkCompacted:       true,
		})
	})
	return err
}
