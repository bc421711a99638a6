// Package snapshot is the command that saves the state of the cluster, which is etcd's, and goes back to it.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/servers/etcd"
	"github.com/seed-200a7251/km/supervisor"
)

// Command is `km snapshot`.
func Command() *supervisor.Command {
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
			s := &snapshots{hk: hk, plan: p, etcd: etcd.NewAccess(hk, p)}
			what, file, err := arguments(args, *force, *yes)
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

func arguments(args []string, force, yes bool) (what, file string, err error) {
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
	etcd *etcd.Access
	// silent is save without a word of what it has saved.
	silent bool
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
