package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/seed-200a7251/km/servers/etcd"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// inRun restores in a cluster that runs: all that can be done before is, then etcd and what needs it stop for as long
// as it takes to rename a folder.
func (r *restore) inRun(ctx context.Context, status *supervisor.Status) (err error) {
	if err := r.ask(ctx, status); err != nil {
		return err
	}
	asked := namesOf(affectedBy(status))
	unlock, err := r.lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	// Another restore may have had servers stopped when this one looked. From here on there is none.
	pid := status.PID
	if status, err = r.statusOf(ctx, pid); err != nil {
		return fmt.Errorf("nothing was restored: %w", err)
	}
	affected := affectedBy(status)
	if err := r.restartable(status, affected); err != nil {
		return err
	}
	stopped := namesOf(affected)
	untold := slices.DeleteFunc(slices.Clone(stopped), func(name string) bool { return slices.Contains(asked, name) })
	if !r.yes && len(untold) > 0 {
		return fmt.Errorf("nothing was restored: somebody has started %s meanwhile: try again", strings.Join(untold, ", "))
	}
	if err := r.stage(ctx, status); err != nil {
		return err
	}
	// From here on, who interrupts waits for the end: the servers are to run again. (A second signal ends the process,
	// and leaves them stopped, with the data of before or that of the snapshot.)
	aside, errSync, err := r.swapStopped(context.WithoutCancel(ctx), ctx, pid)
	started := r.start(context.WithoutCancel(ctx), stopped)
	if err != nil {
		return errors.Join(fmt.Errorf("nothing was restored: %w", err), os.RemoveAll(r.staged()), started)
	}
	r.tell(aside)
	if errSync != nil {
		return errors.Join(errSync, started)
	}
	if started != nil {
		// The restored data is not taken back: etcd has been started with it before, so the reason is likely to be
		// another one.
		return errors.Join(fmt.Errorf("not all servers have started again: %w", started), r.wayBack(aside))
	}
	if now := status.Server(names.Etcd); now.State.Ended() && len(stopped) == 0 {
		fmt.Fprintf(r.hk.Out(), "etcd is %v, as before: `%s` starts it\n", now.State, r.plan.Command("start", names.Etcd))
		return nil
	}
	fmt.Fprintf(r.hk.Out(), "ready again: %s\n", strings.Join(stopped, ", "))
	return nil
}

// ask asks whether to go on, unless that was said already, and refuses before that what cannot be done.
func (r *restore) ask(ctx context.Context, status *supervisor.Status) error {
	if r.yes {
		return nil
	}
	affected := affectedBy(status)
	if err := r.restartable(status, affected); err != nil {
		return err
	}
	lines := []string{r.warning()}
	if stopped := namesOf(affected); len(stopped) > 0 {
		all := strings.Join(stopped, ", ")
		lines = append(lines, fmt.Sprintf("These servers are stopped for it, and started again: %s.", all))
	}
	return r.hk.Confirm(ctx, lines, "restored")
}

// wayBack says how to undo the restore by hand.
func (r *restore) wayBack(aside string) error {
	if aside == "" {
		return nil
	}
	return fmt.Errorf("to go back to the state before the restore, stop %s, and: rm -r %s && mv %s %s", r.hk.Name,
		supervisor.ShellQuote(r.live), supervisor.ShellQuote(aside), supervisor.ShellQuote(r.live))
}

// swapStopped stops etcd and what needs it, and swaps, unless interrupted ends before. err says that nothing was
// swapped, errSync that it was, but a power failure may undo it.
func (r *restore) swapStopped(ctx, interrupted context.Context, pid int) (aside string, errSync, err error) {
	if err := r.hk.StopServers(ctx, r.plan, names.Etcd); err != nil {
		return "", nil, err
	}
	err = etcd.WhileNoneStarts(r.plan, func() error {
		if err := r.swappable(ctx, interrupted, pid); err != nil {
			return err
		}
		var err error
		if aside, err = r.swap(); err == nil {
			errSync = r.sync()
		}
		return err
	})
	return aside, errSync, err
}

// swappable reports why the data cannot be swapped, after etcd was stopped.
func (r *restore) swappable(ctx, interrupted context.Context, pid int) error {
	status, err := r.statusOf(ctx, pid)
	if err != nil {
		return err
	}
	running := namesOf(affectedBy(status))
	switch {
	case len(running) > 0:
		return fmt.Errorf("somebody else has started %s meanwhile: try again", strings.Join(running, ", "))
	case etcd.InUse(r.live): // what was left behind at a stop
		return r.inUse()
	case interrupted.Err() != nil:
		return errors.New("interrupted")
	}
	return r.etcd.RefuseSeveral(ctx, r.live, nil) // one may have joined meanwhile
}

// statusOf is the status of the run with that process, and an error if that is another one by now.
func (r *restore) statusOf(ctx context.Context, pid int) (*supervisor.Status, error) {
	status, err := r.hk.Status(ctx, r.plan)
	if err == nil && status.PID != pid {
		err = fmt.Errorf("%s was started anew meanwhile: try again", r.hk.Name)
	}
	return status, err
}

func (r *restore) inUse() error {
	return fmt.Errorf("%s is still in use: stop %s first", r.live, r.hk.Name)
}

// start starts servers again.
func (r *restore) start(ctx context.Context, servers []string) error {
	if len(servers) == 0 {
		return nil
	}
	return r.hk.StartServers(ctx, r.plan, servers...)
}

// affectedBy are etcd and the servers that need it, or need one of those, as far as they have not ended.
func affectedBy(status *supervisor.Status) (affected []supervisor.ServerStatus) {
	known := []string{names.Etcd}
	for more := true; more; {
		more = false
		for _, server := range status.Servers {
			needs := slices.ContainsFunc(server.Needs, func(need string) bool { return slices.Contains(known, need) })
			if needs && !slices.Contains(known, server.Name) {
				known, more = append(known, server.Name), true
			}
		}
	}
	for _, server := range status.Servers {
		if slices.Contains(known, server.Name) && !server.State.Ended() {
			affected = append(affected, server)
		}
	}
	return affected
}

func namesOf(servers []supervisor.ServerStatus) (names []string) {
	for _, server := range servers {
		names = append(names, server.Name)
	}
	return names
}

// restartable reports why the servers of the run cannot be stopped and started again with other data.
func (r *restore) restartable(status *supervisor.Status, affected []supervisor.ServerStatus) error {
	now := status.Server(names.Etcd)
	switch {
	case status.Stopping:
		return fmt.Errorf("%s is being stopped: wait for its end, and try again", r.hk.Name)
	case now.State == supervisor.Waiting || now.State == supervisor.Starting:
		return r.etcd.NotYet(now)
	case (now.State == supervisor.Ready || now.State == supervisor.Stopping) && !etcd.InUse(r.live):
		return fmt.Errorf("the data of the etcd that runs is not in %s, but where --etcd.data-dir or --etcd.config-file says: stop %s, and use `etcdutl snapshot restore`",
			r.live, r.hk.Name)
	case now.State.Ended() && etcd.InUse(r.live): // what a failure has left behind
		return r.inUse()
	}
	var once, flags []string
	for _, server := range affected {
		if server.StartsOnce {
			once, flags = append(once, server.Name), append(flags, "--"+server.Name+".isolation=process")
		}
	}
	if len(once) == 0 {
		return nil
	}
	return fmt.Errorf("a restore stops and starts what needs etcd, but %s can start only once in a process: stop %s first, or have it run with %s",
		strings.Join(once, ", "), r.hk.Name, strings.Join(flags, " "))
}
