package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
	"github.com/seed-200a7251/km/supervisor/mounts"
)

// resetCommand is `reset`.
func resetCommand() *Command {
	flags := pflag.NewFlagSet("reset", pflag.ContinueOnError)
	yes := flags.BoolP("yes", "y", false, "do not ask")
	return &Command{
		Name:  "reset",
		Short: "delete all state, to begin anew",
		Long: "Delete the data folder, which --name or --data-dir names, with what is in it, so that the next `PROGRAM run` begins anew. " +
			"It is shown and asked for first. Nothing is deleted while servers run with the folder.\n\n" +
			"What PROGRAM has not made in the folder stays, and is named: what was there before the first run, and what is called otherwise than what PROGRAM " +
			"makes. So does the folder then.\n\n" +
			"Log files that --log-dir or --SERVER.log-file has put elsewhere stay, as does what other flags have put elsewhere. If the folder is a soft " +
			"link, what is in the folder behind it is deleted, and both stay.",
		Flags:    flags,
		Complete: completeNothing,
		Run: func(ctx context.Context, hk *HyperKube, p *Plan, args []string) error {
			if len(args) > 0 {
				return usageError(fmt.Errorf("reset takes no arguments, but there is %q; --name and --data-dir say what is deleted", args[0]))
			}
			return hk.reset(ctx, p, *yes)
		},
	}
}

// reset is `reset`.
func (hk *HyperKube) reset(ctx context.Context, p *Plan, yes bool) error {
	b, err := hk.deletable(p)
	if err != nil {
		return err
	}
	if b == nil {
		hk.forgetElsewhere(ctx, p, hk.Out()) // somebody may have deleted the folder by hand
		fmt.Fprintf(hk.Out(), "there is nothing to delete in %s\n", p.DataDir)
		return nil
	}
	if !yes {
		if err := hk.Confirm(ctx, []string{b.warning(p, hk.Name)}, "deleted"); err != nil {
			return err
		}
	}
	release, err := hk.hold(p)
	if err == nil {
		hk.forgetElsewhere(ctx, p, hk.Out())
		err = hk.empty(p, release)
	}
	return errors.Join(err, release())
}

// forgetElsewhere calls Forget, and tells what is gone.
func (hk *HyperKube) forgetElsewhere(ctx context.Context, p *Plan, tell io.Writer) {
	if hk.Forget == nil {
		return
	}
	gone, err := hk.Forget(ctx, p)
	for _, line := range gone {
		fmt.Fprintln(tell, text.Visible(line))
	}
	if err == nil {
		return
	}
	for _, err := range text.Errors(err) {
		fmt.Fprintf(hk.errOut(), "Warning: %s\n", text.Visible(err.Error()))
	}
}

// warning says what is about to be deleted.
func (b *belongings) warning(p *Plan, program string) string {
	var names []string
	for _, own := range b.own {
		name, _, _ := strings.Cut(own, "/")
		names = append(names, name)
	}
	names = slices.Compact(names)
	if len(b.others) == 0 {
		return fmt.Sprintf("All in %s is deleted: %s", p.DataDir, strings.Join(names, ", "))
	}
	return fmt.Sprintf("What %s has made in %s is deleted: %s. What it has not made stays: %s.",
		program, p.DataDir, strings.Join(names, ", "), few(b.others))
}

// deletable is what is in the data folder; nil if there is nothing, or no folder. An error says why it is not to be
// deleted.
func (hk *HyperKube) deletable(p *Plan) (*belongings, error) {
	entries, err := os.ReadDir(p.DataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, cannotDelete(p, err)
	case len(entries) == 0:
		return nil, nil
	}
	lock := p.Path(hk.Name + ".lock")
	if info, err := os.Lstat(lock); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no data folder of %s, for there is no file %s in it: name another one with --name or --data-dir, or remove it by other means",
			p.DataDir, hk.Name, filepath.Base(lock))
	}
	real, err := filepath.EvalSymlinks(p.DataDir)
	if err != nil {
		return nil, cannotDelete(p, err)
	}
	// Somebody may have run servers there by mistake: then it has a lock.
	if home, err := os.UserHomeDir(); err == nil && within(home, real) {
		return nil, fmt.Errorf("your home folder, %s, is in %s: delete there by hand what is of %s", home, p.DataDir, hk.Name)
	}
	if held(p, hk.Name) {
		who := holder(lock, hk.Name)
		stop := "stop it first, with Ctrl-C"
		if pid, ok := strings.CutPrefix(who, "process "); ok {
			stop += " or `kill " + pid + "`"
		}
		return nil, fmt.Errorf("the data folder %s is in use by %s: %s", p.DataDir, who, stop)
	}
	if err := hk.safe(p); err != nil { // others could make this delete something elsewhere
		return nil, err
	}
	b, err := hk.survey(p)
	if err != nil {
		return nil, cannotDelete(p, err)
	}
	// mounts.RemoveAll would refuse it, too, but only after deleting things that the servers may need to unmount it.
	return b, mounts.Check(p.DataDir)
}

func cannotDelete(p *Plan, err error) error {
	return fmt.Errorf("the data folder %s cannot be deleted: %w; name another one with --name or --data-dir", p.DataDir, withoutPath(err))
}

// within reports whether path is folder, or below it. folder has no symlinks in it.
func within(path, folder string) bool {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false // it is not there
	}
	rel, err := filepath.Rel(folder, real)
	return err == nil && filepath.IsLocal(rel)
}

// empty deletes what is the program's in the data folder, which is held, and the folder itself, if that is the
// program's. The lock goes last: until then nobody else uses the folder, and if this is killed, it can be called again.
// release is what hold has returned, and may be called again.
func (hk *HyperKube) empty(p *Plan, release func() error) error {
	b, err := hk.survey(p) // again: the answer to the question may have taken a while
	if err != nil {
		return cannotDelete(p, err)
	}
	lock := p.Path(hk.Name + ".lock")
	_, foundErr := os.Lstat(p.Path(foundList))
	system.RemoveUnix(p.socketFile(hk.Name)) // it may be a symlink to one in a temporary folder
	if err := b.remove(p, lock); err != nil {
		return err
	}
	if runtime.GOOS == "windows" { // there a file that somebody has open cannot be removed
		if err := release(); err != nil {
			return err
		}
	}
	// On Windows somebody may have begun anew, and have it open: it stays then, with the folder.
	if err := os.Remove(lock); err != nil && runtime.GOOS != "windows" {
		return err
	}
	if len(b.others) > 0 {
		fmt.Fprintf(hk.Out(), "what %s has made in %s is deleted; what it has not made stays: %s\n", hk.Name, p.DataDir, few(b.others))
		return nil
	}
	info, err := os.Lstat(p.DataDir)
	switch {
	case err == nil && !info.IsDir():
		fmt.Fprintf(hk.Out(), "all in %s is deleted; the link and its folder stay\n", p.DataDir)
		return nil
	case foundErr == nil: // it was there before
	default:
		err := os.Remove(p.DataDir)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(hk.Out(), "%s is deleted\n", p.DataDir)
			return nil
		}
		// Something is mounted at it, its parent may not be changed, or somebody has begun anew.
	}
	fmt.Fprintf(hk.Out(), "all in %s is deleted; the folder itself stays\n", p.DataDir)
	return nil
}
