package supervisor

import (
	"errors"
	"fmt"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/supervisor/internal/kept"
)

// A run must not go on when its data folder is deleted, or files that a server keeps: what it reports as done would be
// lost. The run looks for these twice a second (adminSocket.keep). Servers look before they answer (Server.Lost), and
// can tell their clients.

// look ends the run if what it needs to go on is gone.
func (r *run) look() (gone bool) {
	folder := r.folder.Lost()
	if folder != nil && folder.Path == r.plan.DataDir {
		r.losing.Do(func() {
			r.leaveFolder(folder)
			r.lose(r.plan.withoutFolder(folder), true)
		})
		return true
	}
	for _, actor := range r.group.Actors() { // where the folder was emptied, this matters more than the lock
		if lost, ok := errors.AsType[*kept.LostError](actor.Lost()); ok {
			r.losing.Do(func() { r.lose(r.plan.without(lost, actor.Name()), true) })
			return true
		}
	}
	if folder != nil {
		r.losing.Do(func() { r.lose(r.plan.withoutFolder(folder), false) })
		return true
	}
	return false
}

// outcome is how the run has ended, of which err is what the group says. If the data folder was being deleted, err may
// come from what went first.
func (r *run) outcome(err error) error {
	gone := r.folder.Lost()
	if !r.group.HasLost() || r.lost.Load() || gone == nil || gone.Path != r.plan.DataDir {
		return err
	}
	r.leaveFolder(gone)
	return r.plan.withoutFolder(gone)
}

// leaveFolder stops all writing to the path of the data folder, which is gone.
func (r *run) leaveFolder(gone *kept.LostError) {
	r.moved = gone.Moved
	r.lost.Store(true)
	for _, f := range r.logFiles {
		if rel, err := filepath.Rel(r.plan.DataDir, f.path); err == nil && filepath.IsLocal(rel) {
			r.logs.Server(f.log).Discard()
		}
	}
}

// lose has the run fail. kept says that servers may have lost what they keep.
func (r *run) lose(err error, kept bool) {
	r.group.Lose(err, kept)
	r.logs.Program().Zap().WithOptions(zap.WithCaller(false)).Error("all servers are stopped: " + err.Error())
}

// withoutFolder says what to do when the data folder or its lock is gone.
func (p *Plan) withoutFolder(gone *kept.LostError) error {
	switch {
	case gone.Path != p.DataDir:
		return fmt.Errorf("%w while %s ran: without it another process could use the data folder, too; `%s` goes on with what is there",
			gone, p.hk.Name, p.Command("run"))
	case gone.Moved != "":
		return fmt.Errorf("the data folder %w while %s ran; nothing is lost: move it back, or go on there with `%s`",
			gone, p.hk.Name, p.CommandAt(gone.Moved, "run"))
	case gone.Deleted:
		return fmt.Errorf("the data folder %w while %s ran: all that was in it is lost; put a backup in its place, if there is one, "+
			"or begin anew with `%s`",
			gone, p.hk.Name, p.Command("run"))
	}
	return fmt.Errorf("the data folder %w, though %s ran: see whether it was deleted, or its file system unmounted, "+
		"before `%s`, which would begin anew",
		gone, p.hk.Name, p.Command("run"))
}

// without says what to do when something that a server keeps is gone.
func (p *Plan) without(gone *kept.LostError, server string) error {
	switch {
	case gone.Moved != "":
		return fmt.Errorf("%s: %w while it ran; nothing is lost: move it back, and go on with `%s`", server, gone, p.Command("run"))
	case gone.Deleted:
		return fmt.Errorf("%s: %w while it ran, and what was in it is lost; put a backup in its place, if there is one, "+
			"or begin anew with `%s` and `%s`",
			server, gone, p.Command("reset"), p.Command("run"))
	}
	return fmt.Errorf("%s: %w, though it ran: see whether it was deleted, or its file system unmounted, before `%s`",
		server, gone, p.Command("run"))
}
