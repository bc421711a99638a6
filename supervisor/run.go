package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/seed-200a7251/km/logging"
)

// runServers is `run`: from the arguments to the end of the last server.
func (hk *HyperKube) runServers(args []string) error {
	begin := now()
	p, err := hk.plan(args)
	if err != nil {
		err = hk.wrongUsage(err, nil)
		fmt.Fprintf(hk.errOut(), "See '%s run --help'.\n", hk.Name)
		return err
	}
	if p == nil { // help was asked for
		hk.runUsage()
		return nil
	}
	return hk.runPlan(p, begin)
}

// plan makes the plan from the arguments, and gives all flags their values. Nothing is written or opened. It returns nil
// if the arguments ask for help.
func (hk *HyperKube) plan(args []string) (*Plan, error) {
	flags := hk.newRunFlags()
	list, err := flags.parse(args)
	if err != nil {
		return nil, err
	}
	if flags.help {
		return nil, nil
	}
	p, err := hk.settings.plan()
	if err != nil {
		return nil, err
	}
	if p.Servers, err = hk.choose(list); err != nil {
		return nil, err
	}
	if err := hk.join(p); err != nil {
		return nil, err
	}
	if err := flags.unselected(p); err != nil {
		return nil, err
	}
	for _, s := range p.Servers {
		s.GracePeriod = *flags.graces[s]
		if s.GracePeriod <= 0 {
			return nil, fmt.Errorf("--%s.grace-period: %v is not a time to wait: use a positive one", s.Name(), s.GracePeriod)
		}
	}
	if err := hk.openLogs(p, flags); err != nil {
		return nil, err
	}
	// Before Defaults: there, too, what the user gave comes first.
	if err := flags.apply(p); err != nil {
		return nil, err
	}
	for _, s := range p.Servers {
		if s.Defaults != nil {
			if err := s.Defaults(p, s); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// openLogs makes the loggers of the plan's servers.
func (hk *HyperKube) openLogs(p *Plan, flags *runFlags) error {
	level, err := logging.ParseLevel(hk.settings.logLevel)
	if err != nil {
		return fmt.Errorf("--log-level: %w", err)
	}
	format, err := logging.ParseFormat(hk.settings.logFormat)
	if err != nil {
		return fmt.Errorf("--log-format: %w", err)
	}
	p.logs = logging.New(logging.Config{
		Out:     hk.screen(),
		Level:   level,
		Format:  format,
		Color:   colored(hk.errOut()),
		Program: hk.Name,
		// Whoever asks for a level wants to see everything of it.
		Quiet: !flags.Changed("log-level") && !flags.levelGiven(),
	})
	for _, s := range p.Servers {
		s.log = p.logs.Server(s.Name())
		if text := flags.level(s); text != "" {
			level, err := logging.ParseLevel(text)
			if err != nil {
				return fmt.Errorf("--%s.log-level: %w", s.Name(), err)
			}
			s.log.Level().SetLevel(level)
		}
	}
	return nil
}

// level is the log level that the user gave for a server, or "".
func (r *runFlags) level(s *Server) string {
	if text := *r.levels[s]; text != "" || s.VerbosityFlag == "" || !s.Given(s.VerbosityFlag) {
		return text
	}
	return "v=" + s.Value(s.VerbosityFlag)
}

// levelGiven reports whether the user gave a level for a server.
func (r *runFlags) levelGiven() bool {
	for s := range r.levels {
		if r.level(s) != "" {
			return true
		}
	}
	return false
}

// newLogs is for a binary that is one server: lines go to standard error as they come.
func newLogs(hk *HyperKube) *logging.Logs {
	return logging.New(logging.Config{Out: hk.errOut(), Color: colored(hk.errOut()), Program: hk.Name})
}

// runPlan runs the planned servers until they have ended.
func (hk *HyperKube) runPlan(p *Plan, begin time.Time) (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signals := catchSignals()
	defer stopSignals(signals)

	n := newNotifier(p)
	release, err := hk.prepare(ctx, p)
	defer func() {
		if releaseErr := release(); err == nil && releaseErr != nil {
			err = hk.report(releaseErr)
		}
	}()
	if err != nil {
		return hk.wrongUsage(err, nil)
	}

	g := newGroup(p.Servers)
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		c := newConsole(hk, p, begin)
		g.events.read(ctx, func(e Event) { c.show(e); n.show(e) })
		c.close()
	}()
	err = g.run(signals)
	if errors.Is(err, errForced) {
		return hk.report(err)
	}
	<-shown
	if err != nil {
		return hk.report(err)
	}
	return nil
}

// prepare does all that comes before the start of the first server: an error here means that nothing was started. What it
// returns is to be called at the end, whatever happened.
func (hk *HyperKube) prepare(ctx context.Context, p *Plan) (release func() error, err error) {
	release = func() error { return nil }
	if hk.Setup != nil {
		if err := hk.Setup(p); err != nil {
			return release, err
		}
	}
	var wrong []error
	for _, s := range p.Servers {
		if s.Check != nil {
			s.log.Do(func() { wrong = append(wrong, s.Check(ctx, p, s)) })
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
	for _, s := range p.Servers {
		if s.Prepare != nil {
			s.log.Do(func() { err = s.Prepare(ctx, p, s) })
			if err != nil {
				return release, err
			}
		}
	}
	return release, nil
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
	if f, ok := w.(*os.File); ok {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 20 {
			return columns
		}
	}
	return 80
}
