package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.uber.org/zap"
	"golang.org/x/term"
)

// runServers is `run`: from the arguments to the end of the last server. If composite is not nil, it was called by its name,
// and its members are what is run.
func (hk *HyperKube) runServers(composite *Server, args []string) error {
	begin := now()
	word, usage := "run", hk.runUsage
	if composite != nil {
		word, usage = composite.Name(), func() { hk.compositeUsage(composite) }
	}
	p, err := hk.plan(composite, args)
	if err != nil {
		err = hk.wrongUsage(err, nil)
		fmt.Fprintf(hk.errOut(), "See '%s %s --help'.\n", hk.Name, word)
		return err
	}
	if p == nil { // help was asked for
		usage()
		return nil
	}
	return hk.runPlan(p, begin)
}

// plan makes the plan from the arguments, and gives all flags their values. Nothing is written or opened. It returns nil
// if the arguments ask for help.
func (hk *HyperKube) plan(composite *Server, args []string) (*Plan, error) {
	flags := hk.newRunFlags()
	if composite != nil {
		members, err := hk.choose([]string{composite.Name()})
		if err != nil {
			return nil, err
		}
		flags.addMembers(members)
	}
	list, err := flags.parse(args)
	if err != nil {
		return nil, err
	}
	if flags.help {
		return nil, nil
	}
	if composite != nil {
		if len(list) > 0 {
			return nil, fmt.Errorf("%s takes no arguments, but there is %q", composite.Name(), list[0])
		}
		list = []string{composite.Name()}
	}
	p, err := hk.settings.plan()
	if err != nil {
		return nil, err
	}
	if p.Servers, err = hk.choose(list); err != nil {
		return nil, err
	}
	if err := hk.join(p, composite); err != nil {
		return nil, err
	}
	if err := flags.unselected(p); err != nil {
		return nil, err
	}
	for _, s := range p.Servers {
		own := flags.own[s]
		s.GracePeriod, s.Restart, s.Isolation = own.grace, own.restart, own.isolation
		if s.GracePeriod <= 0 {
			return nil, fmt.Errorf("--%s.grace-period: %v is not a time to wait: use a positive one", s.Name(), s.GracePeriod)
		}
	}
	if err := hk.makeLogs(p, flags); err != nil {
		return nil, err
	}
	if err := giveValues(p, flags); err != nil {
		p.logs.Close()
		return nil, err
	}
	return p, nil
}

// giveValues gives the servers' flags their values.
func giveValues(p *Plan, flags *runFlags) error {
	// Before Defaults: there, too, what the user gave comes first.
	if err := flags.apply(p); err != nil {
		return err
	}
	for _, s := range p.Servers {
		if s.Defaults != nil {
			if err := s.Defaults(p, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// runPlan runs the planned servers until they have ended.
func (hk *HyperKube) runPlan(p *Plan, begin time.Time) (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := catchSignals()
	defer stopSignals(signals)

	defer outlive(func() {
		p.logs.Program().Zap().Warn("the terminal was closed; the servers go on until SIGTERM", zap.Int("pid", os.Getpid()))
	})()

	n := newNotifier(p)
	p.logs.TakeDefaults()
	release, err := hk.prepare(ctx, p)
	// What is logged comes before an error on the screen, and all of it before the folder may be removed.
	defer func() {
		if releaseErr := release(); err == nil && releaseErr != nil {
			err = hk.report(releaseErr)
		}
	}()
	defer p.logs.Close()
	defer func() { p.admin.close() }()
	if err != nil {
		p.logs.Close()
		return hk.wrongUsage(errors.Join(err, p.forget()), nil)
	}

	hk.isolate(p)
	g := newGroup(p.Servers)
	g.keepGoing = hk.settings.keepGoing
	p.admin.group, p.admin.began = g, begin
	g.beside = p.admin.serve
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		c := newConsole(hk, p, begin)
		q := newQuiet(p)
		g.events.read(ctx, 0, func(e Event) {
			p.recordEvent(hk.Name, e)
			c.show(e)
			n.show(e)
			q.show(e)
		})
		c.close()
	}()
	go n.watch(ctx, g)
	err = g.run(signals)
	if !errors.Is(err, errForced) {
		select {
		case <-shown:
		case <-time.After(showLimit):
		}
	}
	p.recordEnd()
	p.logs.Close()
	if forgetErr := p.forget(); err == nil {
		err = forgetErr
	}
	if err == nil {
		return nil
	}
	err = hk.report(err)
	if !p.Ephemeral {
		fmt.Fprintf(hk.errOut(), "See '%s logs%s'.\n", hk.Name, p.Location())
	}
	return err
}

// showLimit is how long the end waits for a screen that takes no more, such as a terminal on which Ctrl-S was typed.
const showLimit = 2 * time.Second

// prepare does all that comes before the start of the first server: an error here means that nothing was started. What it
// returns is to be called at the end, whatever happened.
func (hk *HyperKube) prepare(ctx context.Context, p *Plan) (release func() error, err error) {
	release = func() error { return nil }
	if hk.Setup != nil {
		// What is logged there is the program's own.
		p.logs.Program().Do(func() { err = hk.Setup(p) })
		if err != nil {
			return release, err
		}
	}
	var wrong []error
	for _, s := range p.Servers {
		if s.Check != nil {
			s.log.Do(func() { wrong = append(wrong, s.Check(s.context(ctx), p, s)) })
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return release, err
	}
	if release, err = hold(p, hk.Name); err != nil {
		return release, err
	}
	for _, s := range p.Servers {
		if s.Listen != nil {
			if err := s.Listen(p, s); err != nil {
				return release, err
			}
		}
	}
	hk.lookBack(p)
	if err := hk.openLogs(p); err != nil {
		return release, err
	}
	if p.admin, err = hk.openAdmin(p); err != nil {
		return release, err
	}
	for _, s := range p.Servers {
		if s.Prepare != nil {
			s.log.Do(func() { err = s.Prepare(s.context(ctx), p, s) })
			if err != nil {
				return release, err
			}
		}
	}
	return release, nil
}

// lookBack tells how the run before has ended, if that was not by a stop, and sees to it that the same can be told of this one.
func (hk *HyperKube) lookBack(p *Plan) {
	logger := p.logs.Program().Zap().WithOptions(zap.WithCaller(false))
	crash, forget, err := keepCrash(p)
	p.crash, p.forget = crash, forget
	if err != nil {
		logger.Warn("how the previous run has ended, or this one will, cannot be told", zap.Error(err))
	}
	if crash != nil {
		logger.Warn(crash.String())
	}
}

// colored reports whether w wants colour: it is a terminal, and NO_COLOR (https://no-color.org) is not set.
func colored(w io.Writer) bool {
	return os.Getenv("NO_COLOR") == "" && isTerminal(w)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// width is the number of columns that help for w may use.
func width(w io.Writer) int {
	if columns, _ := terminalSize(w); columns > 20 {
		return columns
	}
	return 80
}

// terminalSize is the size of a terminal; of one that does not tell, or of anything else, the usual one.
func terminalSize(w io.Writer) (columns, rows int) {
	columns, rows = 80, 24
	if f, ok := w.(*os.File); ok {
		if c, r, err := term.GetSize(int(f.Fd())); err == nil {
			if c > 0 {
				columns = c
			}
			if r > 0 {
				rows = r
			}
		}
	}
	return columns, rows
}
