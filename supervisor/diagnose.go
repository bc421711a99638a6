package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Way is a call of `run` beside the plain one, for something that not every machine can do.
type Way struct {
	// Name says in a word or two what is had by it.
	Name string
	// Args are the arguments of `run`.
	Args []string
}

// diagnose plans and checks what `run` would, and looks at what else keeps it from working well.
func (hk *HyperKube) diagnose(ctx context.Context, empty *Plan) *diagnosis {
	d := &diagnosis{run: empty.Command("run")}
	defer func() {
		d.found(hk.checkClock())
		d.found(hk.checkPath())
		d.found(hk.checkCompletion())
	}()
	at := hk.locationArgs()
	p, err := hk.try(ctx, at)
	if p == nil {
		d.found(Finding{Name: "servers", Err: err, Needed: true})
		return d
	}
	d.found(Finding{Name: "servers", Text: nameList(p.Servers), Err: err, Needed: true})
	taken := held(p, hk.Name)
	d.found(hk.findFolder(p, taken))
	if !taken {
		d.found(findPorts(p))
	}
	if err == nil { // otherwise what they find may only follow from that
		for _, s := range p.Servers {
			d.ask(ctx, p, s)
		}
	}
	_ = p.run.abandon(nil) // what a process has only once is for the ways then
	if hk.New != nil {
		for _, w := range hk.Ways {
			d.found(hk.findWay(ctx, w, at, !taken))
		}
	}
	return d
}

// locationArgs are the arguments of `run` for the folder that the command means.
func (hk *HyperKube) locationArgs() (args []string) {
	if name := hk.settings.name; name != hk.Name || os.Getenv(hk.variableOf("name")) != "" {
		args = append(args, "--name="+name)
	}
	if dir := hk.settings.dataDir; dir != "" {
		args = append(args, "--data-dir="+dir)
	}
	return args
}

// try plans a run with these arguments and the environment, and has its servers check their flags. The plan is nil if
// it is not known which servers are meant; otherwise its run is to be abandoned.
func (hk *HyperKube) try(ctx context.Context, args []string) (*Plan, error) {
	p, err := hk.plan(nil, args, os.Environ())
	if p == nil {
		return nil, err
	}
	p.Embedded = true // the process goes on
	return p, p.run.check(ctx)
}

// findFolder looks at the data folder. taken says that another run has it.
func (hk *HyperKube) findFolder(p *Plan, taken bool) Finding {
	f := Finding{Name: "data folder", Text: p.DataDir, Needed: true}
	made, err := hk.checkFolder(p)
	switch {
	case err != nil:
		f.Err, f.Commands = err, []string{hk.typed("run", "--ephemeral")}
	case made:
		f.Text += ", which is made at the first start"
	case taken:
		f.Err = inUse(p, hk.Name)
		f.Commands = []string{p.Command("status"), hk.typed("run", "--ephemeral", "--free-ports")}
	}
	return f
}

// findPorts looks whether the ports of the servers are free.
func findPorts(p *Plan) Finding {
	f := Finding{Name: "ports", Needed: true}
	var all []string
	all, f.Err = tryPorts(p)
	switch {
	case f.Err != nil:
		f.Commands = []string{p.Command("run", "--free-ports")}
	case len(all) > 0:
		f.Text = strings.Join(all, ", ")
	default:
		f.Text = "none of the servers needs a certain one"
	}
	return f
}

// tryPorts is that of a server, for all of a plan.
func tryPorts(p *Plan) (open []string, err error) {
	var errs []error
	for _, s := range p.Servers {
		of, err := s.tryPorts(p)
		open, errs = append(open, of...), append(errs, err)
	}
	return open, errors.Join(errs...)
}

// ask has a server tell what it finds.
func (d *diagnosis) ask(ctx context.Context, p *Plan, s *Server) {
	if s.Diagnose == nil {
		return
	}
	s.Log().Do(func() {
		for _, f := range s.Diagnose(s.context(ctx), p, s) {
			d.found(f)
		}
	})
}

// findWay looks whether a run would start with further arguments.
func (hk *HyperKube) findWay(ctx context.Context, w Way, at []string, ports bool) Finding {
	other := hk.New()
	other.calledAs, other.out = hk.calledAs, hk.out
	other.Flags() // gives the settings their defaults
	p, err := other.try(ctx, slices.Concat(at, w.Args))
	f := Finding{Name: w.Name, Err: err}
	if p == nil {
		return f
	}
	defer func() { _ = p.run.abandon(nil) }()
	if ports {
		_, errPorts := tryPorts(p)
		f.Err = errors.Join(err, errPorts)
	}
	if f.Err == nil {
		f.Text, f.Commands = "possible", []string{p.Command(append([]string{"run"}, w.Args...)...)}
	}
	return f
}

// clockSlack is how far clocks of machines are apart that are taken to be right.
const clockSlack = 10 * time.Minute

// checkClock looks whether the binary is older than what the clock says. Certificates that are made by a clock that is
// behind are not valid elsewhere, and those of others are not valid here.
func (hk *HyperKube) checkClock() Finding {
	says := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 MST") }
	f := Finding{Name: "clock", Text: says(now())}
	self, err := os.Executable()
	if err != nil {
		return f
	}
	info, err := os.Stat(self)
	if err == nil && info.ModTime().After(now().Add(clockSlack)) {
		f.Err = fmt.Errorf("the clock of this machine says %s, but %s was written there at %s: set the clock, if that is behind, or certificates "+
			"will not be valid when they should", says(now()), self, says(info.ModTime()))
	}
	return f
}
