package supervisor

import (
	"fmt"
	"path/filepath"

	"go.uber.org/zap"
)

// A run whose data folder is deleted, or what one of its servers keeps, must not go on as if nothing had happened: what
// is said to be done would be lost. It is looked for twice a second (admin.keepSocket), and by servers, which can say
// so to their clients, before they answer (Server.Lost).

// Lost is an error if something of what the server Keeps is gone, and it must not say of anything that it is done. It
// costs one stat for each path. It is nil before the server is ready.
func (s *Server) Lost() error {
	a := s.actor.Load()
	if a == nil {
		return nil
	}
	if lost := a.kept.Load().lost(); lost != nil {
		return lost
	}
	return nil
}

// look ends the run if what it needs to go on is gone.
func (a *admin) look() (lost bool) {
	folder := a.plan.folder.lost()
	if folder != nil && folder.path == a.plan.DataDir {
		a.losing.Do(func() {
			a.plan.leaveFolder(folder)
			a.lose(a.plan.withoutFolder(folder), true)
		})
		return true
	}
	for _, actor := range a.group.actors { // where the folder was emptied, this matters more than the lock
		if gone := actor.kept.Load().lost(); gone != nil {
			a.losing.Do(func() { a.lose(a.plan.without(gone, actor.s.Name()), true) })
			return true
		}
	}
	if folder != nil {
		a.losing.Do(func() { a.lose(a.plan.withoutFolder(folder), false) })
		return true
	}
	return false
}

// outcome is how the run has ended, with this error. It may have ended while the data folder was being deleted, because
// of what went first.
func (a *admin) outcome(err error) error {
	gone := a.plan.folder.lost()
	if !a.group.hasLost() || a.plan.lost.Load() || gone == nil || gone.path != a.plan.DataDir {
		return err
	}
	a.plan.leaveFolder(gone)
	return a.plan.withoutFolder(gone)
}

// leaveFolder has nothing written any more at the path of the data folder, which is gone.
func (p *Plan) leaveFolder(gone *lostError) {
	p.moved = gone.moved
	p.lost.Store(true)
	for _, f := range p.logFiles {
		if rel, err := filepath.Rel(p.DataDir, f.path); err == nil && filepath.IsLocal(rel) {
			p.logs.Server(f.log).Discard()
		}
	}
}

// lose has the run fail. kept says that servers may have lost what they keep.
func (a *admin) lose(err error, kept bool) {
	a.group.lose(err, kept)
	a.plan.logs.Program().Zap().WithOptions(zap.WithCaller(false)).Error("all servers are stopped: " + err.Error())
}

// lose stops all servers: those first that may have lost what they keep, if some have, which are not to wait for
// others.
func (g *group) lose(err error, kept bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lost == nil {
		g.lost, g.lostKept, g.closing = err, kept, true
	}
	g.change.give()
	for _, a := range g.actors {
		a.change.give()
	}
}

func (g *group) hasLost() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.lost != nil
}

// withoutFolder says what is to be done when the data folder is gone, or its lock.
func (p *Plan) withoutFolder(gone *lostError) error {
	switch {
	case gone.path != p.DataDir:
		return fmt.Errorf("%w while %s ran: without it another process could use the data folder, too; `%s` goes on with what is there",
			gone, p.hk.Name, p.Command("run"))
	case gone.moved != "":
		return fmt.Errorf("the data folder %w while %s ran; nothing is lost: move it back, or go on there with `%s`",
			gone, p.hk.Name, p.CommandAt(gone.moved, "run"))
	case gone.deleted:
		return fmt.Errorf("the data folder %w while %s ran: all that was in it is lost; put a backup in its place, if there is one, "+
			"or begin anew with `%s`",
			gone, p.hk.Name, p.Command("run"))
	}
	return fmt.Errorf("the data folder %w, though %s ran: see whether it was deleted, or its file system unmounted, "+
		"before `%s`, which would begin anew",
		gone, p.hk.Name, p.Command("run"))
}

// without says what is to be done when something is gone that a server keeps.
func (p *Plan) without(gone *lostError, server string) error {
	switch {
	case gone.moved != "":
		return fmt.Errorf("%s: %w while it ran; nothing is lost: move it back, and go on with `%s`", server, gone, p.Command("run"))
	case gone.deleted:
		return fmt.Errorf("%s: %w while it ran, and what was in it is lost; put a backup in its place, if there is one, "+
			"or begin anew with `%s` and `%s`",
			server, gone, p.Command("reset"), p.Command("run"))
	}
	return fmt.Errorf("%s: %w, though it ran: see whether it was deleted, or its file system unmounted, before `%s`",
		server, gone, p.Command("run"))
}
