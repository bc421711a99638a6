package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed-200a7251/km/supervisor/internal/admin"
	"github.com/seed-200a7251/km/supervisor/internal/life"
	"github.com/seed-200a7251/km/supervisor/internal/text"
	"github.com/spf13/pflag"
)

// statusFlags are the flags of `status`.
type statusFlags struct {
	output  string
	wait    string
	timeout time.Duration
}

// statusCommand is `status`.
func statusCommand() *Command {
	var f statusFlags
	flags := pflag.NewFlagSet("status", pflag.ContinueOnError)
	flags.StringVarP(&f.output, "output", "o", "table", "shape of the answer: table, wide or json")
	flags.StringVar(&f.wait, "wait", "", "wait until all servers are in this state, ready or stopped, before answering")
	flags.DurationVar(&f.timeout, "timeout", 2*time.Minute, "how long to wait; 0 for ever")
	return &Command{
		Name:  "status",
		Short: "show the servers of a run, and how they are",
		Long: "Show the servers of a run, and how they are. With --wait=ready it also waits for a run to begin that has just been " +
			"started; if a server fails for good, it does not wait any longer.",
		Flags:      flags,
		Complete:   completeNothing,
		FlagValues: valuesByFlag(map[string][]string{"output": {"table", "wide", "json"}, "wait": {"ready", "stopped"}}),
		Run:        f.run,
	}
}

func (f *statusFlags) run(ctx context.Context, hk *HyperKube, p *Plan, args []string) error {
	if err := noArgs("status", args); err != nil {
		return err
	}
	write, ok := map[string]func(io.Writer, *Status) error{"table": writeTable, "wide": writeWide, "json": writeJSON}[f.output]
	switch {
	case !ok:
		return usageError(fmt.Errorf("--output: %q is no shape: use table, wide or json", f.output))
	case f.wait != "" && f.wait != "ready" && f.wait != "stopped":
		return usageError(fmt.Errorf("--wait: %q cannot be waited for: use ready or stopped", f.wait))
	}
	c := hk.connect(p)
	if f.wait != "" {
		if err := f.await(ctx, c); err != nil {
			return err
		}
		if f.wait == "stopped" {
			return nil // there is nothing to show
		}
	}
	s, err := c.Status(ctx)
	if errors.Is(err, admin.ErrNotRunning) && !held(p, hk.Name) { // or it is just beginning
		// An error of lastCrash is no news here; the next run tells of it.
		if crash, _ := lastCrash(p); crash != nil {
			err = fmt.Errorf("%w\n%v", err, crash)
		}
	}
	if err != nil {
		return err
	}
	var details *Details
	if hk.Details != nil {
		details = hk.Details(ctx, p, s)
	}
	switch {
	case details == nil:
		return write(hk.Out(), s)
	case f.output == "json":
		return writeIndented(hk.Out(), withDetails{s, details})
	}
	return errors.Join(write(hk.Out(), s), details.write(hk.Out()))
}

// statusPoll is the time between two looks whether a run has begun, or ended.
const statusPoll = 50 * time.Millisecond

// await waits as --wait says.
func (f *statusFlags) await(ctx context.Context, c *admin.Client) error {
	if f.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.timeout)
		defer cancel()
	}
	lacking := errors.New(c.Program + " has not answered yet")
	impatient := *c // it asks again and again anyway
	impatient.Patience = 0
	c = &impatient
	for seen := false; ; {
		s, err := c.Status(ctx)
		switch {
		case err == nil:
			seen = true
			var over bool
			if over, lacking = f.there(s); over {
				return lacking
			}
		case ctx.Err() != nil: // below
		case errors.Is(err, admin.ErrNotRunning) && f.wait == "stopped":
			return nil
		case errors.Is(err, admin.ErrNoSocket):
			// At the very end it answers no more, but the folder is still its own: the next run would be refused.
			lacking = errors.New("it is about to end, or has just begun")
		case errors.Is(err, admin.ErrNotRunning) && !seen:
			lacking = errors.New(c.Program + " has not begun to run")
		case errors.Is(err, admin.ErrGone):
		default:
			return err
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("not %s after %v: %w", f.wait, f.timeout, lacking)
			}
			return ctx.Err()
		case <-time.After(statusPoll):
		}
	}
}

// there reports whether the wait is over. lacking says what is missing, so far or for good.
func (f *statusFlags) there(s *Status) (over bool, lacking error) {
	if f.wait == "stopped" {
		return false, errors.New("it still runs")
	}
	if s.Stopping {
		return true, life.ErrClosing
	}
	var not []string
	for _, server := range s.Servers {
		if server.State == Ready {
			continue
		}
		text := fmt.Sprintf("%s is %v", server.Name, server.State)
		switch {
		case server.Error != "":
			text += ": " + server.Error
		case tries(server) != "":
			text += " (" + tries(server) + ")"
		}
		not = append(not, text)
		over = over || server.State == Failed
	}
	if len(not) == 0 {
		return true, nil
	}
	return over, errors.New(strings.Join(not, "; "))
}

func noArgs(command string, args []string) error {
	if len(args) > 0 {
		return usageError(fmt.Errorf("%s takes no arguments, but there is %q", command, args[0]))
	}
	return nil
}

func writeJSON(w io.Writer, s *Status) error { return writeIndented(w, s) }

func writeIndented(w io.Writer, s any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(s)
}

func writeTable(w io.Writer, s *Status) error { return writeServers(w, s, false) }
func writeWide(w io.Writer, s *Status) error  { return writeServers(w, s, true) }

// writeServers prints a line for each server, as kubectl would.
func writeServers(w io.Writer, s *Status, wide bool) error {
	if s.Crash != nil {
		fmt.Fprintf(w, "%s: %s\n\n", s.Program, text.Visible(s.Crash.String()))
	}
	var rows bytes.Buffer
	table := tabwriter.NewWriter(&rows, 0, 8, 3, ' ', 0)
	heads := []string{"SERVER", "STATE", "SINCE", "RESTARTS"}
	if wide {
		heads = append(heads, "START", "NEEDS", "POLICY", "ISOLATION", "PID", "LOG-LEVEL")
	}
	fmt.Fprintln(table, strings.Join(append(heads, "ADDRESS"), "\t"))
	for _, server := range s.Servers {
		columns := []string{server.Name, server.State.String(), age(server.Since), restarts(server)}
		if wide {
			columns = append(columns, text.Dash(startTime(server)), text.Dash(strings.Join(server.Needs, ",")), string(server.Restart),
				server.Isolation, strconv.Itoa(s.ProcessOf(server)), server.LogLevel)
		}
		what := text.VisibleWord(server.Address)
		switch {
		case server.Error != "":
			what = text.OneLine(errors.New(server.Error))
		case tries(server) != "":
			what = text.OneLine(errors.New(tries(server)))
		}
		fmt.Fprintln(table, strings.Join(append(columns, what), "\t"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	// Trimmed only now: for tabwriter, a row without its last cell would end the column above it.
	for line := range strings.Lines(rows.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	for _, server := range s.Servers {
		lead := toldAs[server.State]
		if lead == "" || server.Error == "" {
			continue
		}
		// The whole text: people have to do something about it.
		if _, err := fmt.Fprintf(w, "\n%s %s: %s\n", server.Name, lead, server.Error); err != nil {
			return err
		}
	}
	return nil
}

// tries says which start it is of a server that starts again after a failure, and why the one before failed.
func tries(s ServerStatus) string {
	if s.State != Starting || s.LastFailure == nil {
		return ""
	}
	return fmt.Sprintf("start %d; failed before: %s", s.Restarts+1, s.LastFailure.Error)
}

func startTime(s ServerStatus) string {
	if s.StartSeconds == 0 {
		return ""
	}
	return fmt.Sprintf("%.2fs", s.StartSeconds)
}

// restarts is their number, and when the last failure was, as kubectl has it for containers.
func restarts(s ServerStatus) string {
	text := strconv.Itoa(s.Restarts)
	if s.LastFailure != nil {
		text += fmt.Sprintf(" (failed %s ago)", age(s.LastFailure.Time))
	}
	return text
}

// age is how long ago that was, short.
func age(t time.Time) string { return text.Age(now().Sub(t)) }
