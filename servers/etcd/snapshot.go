package etcd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"

	"github.com/seed-200a7251/km/servers/cluster"
	"github.com/seed-200a7251/km/servers/component"
	"github.com/seed-200a7251/km/supervisor"
)

// SnapshotCommand is `km snapshot`.
func SnapshotCommand() *supervisor.Command {
	flags := pflag.NewFlagSet("snapshot", pflag.ContinueOnError)
	force := flags.Bool("force", false, "save: replace FILE if it is there")
	yes := flags.BoolP("yes", "y", false, "restore: do not ask")
	return &supervisor.Command{
		Name:  "snapshot",
		Args:  "save|restore FILE",
		Short: "save the state of the cluster in a file, or go back to it",
		Long: "Save all objects of the cluster in FILE, or have the cluster go back to those in it, whether it runs or not. FILE is a " +
			"snapshot of etcd, as those of `etcdctl snapshot save`. With `save -` it goes to standard output.\n\n" +
			"A restore in a cluster that runs stops etcd and what needs it, and starts them again. Revisions go on far above those of before, so " +
			"that clients notice. What was there is kept in a folder beside the restored one, whose name is printed; remove it when you do not " +
			"need it any more.\n\n" +
			"FILE has the cluster's Secrets in it, so it is readable for you alone. The keys in pki/ of the data folder are not in it: in a cluster " +
			"with other keys, tokens of service accounts from before are void. So are Secrets that a run with --hardened has encrypted, " +
			"unless pki/encryption.yaml is brought along.",
		Flags: flags,
		Complete: func(_ *supervisor.HyperKube, args []string) []string {
			switch len(args) {
			case 0:
				return []string{"save\tsave the state in a file", "restore\tgo back to the state in a file"}
			case 1:
				return nil // files
			}
			return []string{}
		},
		Run: func(ctx context.Context, hk *supervisor.HyperKube, p *supervisor.Plan, args []string) error {
			s := &snapshots{hk: hk, plan: p}
			what, file, err := snapshotArguments(args, *force, *yes)
			switch {
			case err != nil:
				return &supervisor.ExitError{Code: 2, Err: fmt.Errorf("%w; see `%s`", err, p.Command("snapshot", "--help"))}
			case what == "save" && file == standard:
				return s.print(ctx)
			case what == "save":
				return s.save(ctx, file, *force)
			case file == standard:
				return errors.New("restore reads its file several times, which standard input is not: write that to a file first (the name of one called - is ./-)")
			}
			return s.restore(ctx, file, *yes)
		},
	}
}

// standard is the name that stands for standard output.
const standard = "-"

func snapshotArguments(args []string, force, yes bool) (what, file string, err error) {
	switch {
	case len(args) == 0:
		return "", "", errors.New("snapshot takes two arguments, save or restore and a file")
	case args[0] != "save" && args[0] != "restore":
		return "", "", fmt.Errorf("snapshot: %q is neither save nor restore", args[0])
	case len(args) != 2 || args[1] == "":
		return "", "", fmt.Errorf("snapshot %s takes one file", args[0])
	case args[0] == "save" && yes:
		return "", "", errors.New("--yes is for restore; save replaces a file with --force")
	case args[0] == "restore" && force:
		return "", "", errors.New("--force is for save; restore does not ask with --yes")
	}
	return args[0], args[1], nil
}

// snapshots saves and restores the state of the cluster that the plan names.
type snapshots struct {
	hk   *supervisor.HyperKube
	plan *supervisor.Plan
	// silent is save without a word of what it has saved.
	silent bool
}

// dir is the folder with etcd's data.
func (s *snapshots) dir() (string, error) {
	at, err := lastPlace(s.plan)
	switch {
	case err != nil:
		return "", err
	case at.Log != "":
		return "", fmt.Errorf("etcd's log is in %s (--etcd.wal-dir), apart from its data: save and repair while etcd runs; to restore, stop %s, move %s and %s away, and use "+
			"`etcdutl snapshot restore FILE --data-dir=%s --wal-dir=%s --bump-revision=%d --mark-compacted`", at.Log, s.hk.Name, at.Data, at.Log,
			supervisor.ShellQuote(at.Data), supervisor.ShellQuote(at.Log), revisionBump)
	}
	return at.Data, whole(at.Data)
}

// offline is an etcd that runs for a moment, beside no other server.
type offline struct {
	server *supervisor.Server
	config *embed.Config
	fatal  fatalHook
	logger *zap.Logger
}

// offline returns an etcd over the folder that is what `run` makes of it, but for where it listens.
func (s *snapshots) offline(dir, socket string) (*offline, error) {
	server := New(cluster.New())
	err := server.Defaults(s.plan, server)
	if err == nil {
		err = component.Defaults(server, "data-dir", dir, "listen-client-urls", "unix://"+socket)
	}
	if err != nil {
		return nil, err
	}
	config, err := load(server)
	if err != nil {
		return nil, err
	}
	o := &offline{server: server, config: config, fatal: make(fatalHook, 1)}
	o.logger = zap.NewNop().WithOptions(zap.WithFatalHook(o.fatal), zap.WithPanicHook(o.fatal))
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(o.logger)
	return o, nil
}

// with starts an etcd over the folder, calls f with its address when it is ready, and stops it.
func (s *snapshots) with(ctx context.Context, dir string, f func(endpoint string) error) (err error) {
	if locked(databaseIn(dir)) {
		return fmt.Errorf("another process has %s open: end that one", databaseIn(dir))
	}
	if err := (place{Data: dir}).sound(); err != nil {
		return err
	}
	remove, err := s.plan.MakePaths()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	// Upstream removes it, and one that a killed process has left. While a cluster runs, this is not its own.
	socket := s.plan.SocketPath(Name + ".snapshot.sock")
	o, err := s.offline(dir, socket)
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
		etcd.Close()
		return err
	}
	select {
	case err := <-o.fatal:
		return err // what the goroutine that has ended had locked stays locked: Close would wait for it
	case err := <-etcd.Err():
		etcd.Close()
		return err
	case <-ctx.Done():
		etcd.Close()
		return ctx.Err()
	case <-etcd.Server.ReadyNotify():
		defer etcd.Close()
		return f("unix://" + socket)
	}
}

// present reports whether there is data of etcd's in the folder. An error says that not all of it is there.
func present(dir string) (bool, error) {
	_, err := os.Stat(databaseIn(dir))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return wal.Exist(walIn(dir)), nil
	case err != nil:
		return false, err
	case !wal.Exist(walIn(dir)):
		return false, fmt.Errorf("%w: its log, %s, is missing beside the database; if that is elsewhere (--etcd.wal-dir), use etcdctl and etcdutl",
			errDamaged, walIn(dir))
	}
	return true, nil
}

func walIn(dir string) string { return filepath.Join(dir, "member", "wal") }

// find returns the etcd of a run, or nil.
func find(status *supervisor.Status) *supervisor.ServerStatus {
	for i, server := range status.Servers {
		if server.Name == Name {
			return &status.Servers[i]
		}
	}
	return nil
}

// reason is err without what names a temporary file.
func reason(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}

// size is a number of bytes, for people.
func size(n int64) string {
	units := []string{"B", "kB", "MB", "GB"}
	value := float64(n)
	for len(units) > 1 && value >= 1000 {
		value, units = value/1000, units[1:]
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + " " + units[0]
}
