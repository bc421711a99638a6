package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/seed-200a7251/km/supervisor/internal/admin"
	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// topCommand is `top`.
func topCommand() *Command {
	flags := pflag.NewFlagSet("top", pflag.ContinueOnError)
	once := flags.BoolP("once", "1", false, "measure for an interval, show it once and end; so it is where standard output cannot be drawn on")
	interval := flags.DurationP("interval", "d", 2*time.Second, "time between two looks, of which the difference is shown")
	return &Command{
		Name:  "top",
		Short: "show what the servers of a run use up",
		Long: "Show what the servers of a run use up: CPU, in percent of one CPU; goroutines; lines in the log. What belongs to no server, such as " +
			"garbage collection, is the program's.\n\n" +
			"Servers that share the process share its threads, too: what each of them uses is an estimate, by the samples of a profile that is taken as " +
			"long as somebody looks. One sample is 10 ms of CPU time, so that a server that does little has none in two seconds; with --once it goes " +
			"on to measure, for up to five intervals, until there is one. What the process uses is exact. CPU TIME, since the beginning, is " +
			"known of processes only: that of the servers together, and that of a server with --SERVER.isolation=process.",
		Flags:    flags,
		Complete: completeNothing,
		Run: func(ctx context.Context, hk *HyperKube, p *Plan, args []string) error {
			if err := noArgs("top", args); err != nil {
				return err
			}
			if *interval < minInterval {
				return usageError(fmt.Errorf("--interval=%v: use %v or more", *interval, minInterval))
			}
			t := &top{client: hk.connect(p), interval: *interval}
			if *once || !system.Drawable(hk.Out()) {
				return t.once(ctx, hk.Out())
			}
			return t.live(ctx, hk)
		},
	}
}

// minInterval is the shortest time in which samples of a profile tell anything.
const minInterval = 200 * time.Millisecond

// top compares two looks at a run.
type top struct {
	client   *admin.Client
	interval time.Duration
	before   *admin.Usage
}

// look asks the run.
func (t *top) look(ctx context.Context) (*Status, *admin.Usage, error) {
	s, err := t.client.Status(ctx)
	if err != nil {
		return nil, nil, err
	}
	u, err := t.client.Usage(ctx)
	return s, u, err
}

// windows is how many intervals `top --once` measures at most, until there is a sample.
const windows = 5

// once prints one table, of the time since it was called.
func (t *top) once(ctx context.Context, w io.Writer) error {
	_, before, err := t.look(ctx)
	if err != nil {
		return err
	}
	t.before = before
	for n := 1; ; n++ {
		select {
		case <-time.After(t.interval):
		case <-ctx.Done():
			return nil
		}
		s, u, err := t.look(ctx)
		if err != nil {
			return err
		}
		if n == windows || u.Error != "" || sampled(before, u) {
			return t.table(w, s, u)
		}
	}
}

// sampled reports whether a server has been seen at work since the look before. The program itself, which comes last,
// always is: it measures.
func sampled(before, u *admin.Usage) bool {
	servers := u.Servers[:max(0, len(u.Servers)-1)]
	return slices.ContainsFunc(servers, func(s admin.ServerUsage) bool { return s.CPUSeconds > usageOf(before, s.Name).CPUSeconds })
}

// live draws the table again and again, until q or Ctrl-C.
func (t *top) live(ctx context.Context, hk *HyperKube) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer keys(cancel)()
	// On the terminal's other screen, so that the user's own is there again afterwards; without the cursor.
	fmt.Fprint(hk.Out(), "\x1b[?1049h\x1b[?25l")
	defer fmt.Fprint(hk.Out(), "\x1b[?25h\x1b[?1049l")
	for wait := minInterval; ; wait = t.interval { // the first difference comes soon
		s, u, err := t.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		var text bytes.Buffer
		fmt.Fprintf(&text, "%s %s   process %d   up %s   %s   q ends it\n\n", s.Program, s.Name, s.PID, age(s.Began), now().Format(time.TimeOnly))
		if err := t.table(&text, s, u); err != nil {
			return err
		}
		t.before = u
		columns, rows := system.TerminalSize(hk.Out()) // each time: it may have been resized
		if _, err := io.WriteString(hk.Out(), frame(text.String(), columns, rows)); err != nil {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
}

// frame draws a text over what is on the screen. What does not fit is left out: the terminal would scroll. If lines are
// left out, the last line that is shown says how many.
func frame(shown string, columns, rows int) string {
	lines := strings.Split(strings.TrimRight(shown, "\n"), "\n")
	if len(lines) > rows {
		more := len(lines) - (rows - 1)
		lines = append(lines[:rows-1:rows-1], fmt.Sprintf("… %d more lines: enlarge the window, or use --once", more))
	}
	var b strings.Builder
	b.WriteString("\x1b[H")
	for _, line := range lines {
		// The line is cleared before it is written: clearing after a full line would erase its last column. In raw mode
		// a line ends with a return, too.
		b.WriteString("\x1b[K" + text.Cut(line, columns) + "\r\n")
	}
	shown = b.String()
	if len(lines) == rows {
		return strings.TrimSuffix(shown, "\r\n")
	}
	return shown + "\x1b[J"
}

// keys calls stop when q, Ctrl-C or Ctrl-D is typed. What it returns ends that.
func keys(stop func()) (restore func()) {
	in := int(os.Stdin.Fd())
	state, err := term.MakeRaw(in)
	if err != nil {
		return func() {} // it is not a terminal: signals end it
	}
	go func() {
		for key := make([]byte, 1); ; {
			if n, err := os.Stdin.Read(key); err != nil || n == 1 && slices.Contains([]byte{'q', 'Q', 3, 4}, key[0]) {
				stop()
				return
			}
		}
	}()
	return func() { _ = term.Restore(in, state) }
}

// table prints what has been used up since the look before.
func (t *top) table(w io.Writer, s *Status, u *admin.Usage) error {
	states := map[string]ServerStatus{}
	for _, server := range s.Servers {
		states[server.Name] = server
	}
	seconds := 0.0
	if t.before != nil {
		seconds = u.Time.Sub(t.before.Time).Seconds()
	}
	process := fmt.Sprintf("process %d", s.PID)
	names := max(len("SERVER"), len(process))
	for _, server := range u.Servers {
		names = max(names, len(server.Name))
	}
	// Numbers stand on the right, names on the left. It is to fit into 80 columns.
	var rows bytes.Buffer
	const gap = 2
	table := tabwriter.NewWriter(&rows, 0, 8, gap, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "%-*s\tSTATE\tRESTARTS\tCPU %%\tCPU TIME\tGOROUTINES\tLINES/s\tLOST\t\n", names, "SERVER")
	all := admin.ServerUsage{Name: process, TotalCPUSeconds: u.CPUSeconds} // in this process
	for _, server := range u.Servers {
		state, restarts, cpu, lines := "-", "-", "-", "-"
		if status, ok := states[server.Name]; ok {
			state, restarts = status.State.String(), fmt.Sprint(status.Restarts)
		}
		if b := usageOf(t.before, server.Name); b.Name != "" && seconds > 0 {
			cpu = percent(u, server, b, seconds)
			lines = fmt.Sprintf("%.1f", float64(server.LogLines-b.LogLines)/seconds)
		}
		fmt.Fprintf(table, "%-*s\t%s\t%s\t%s\t%s\t%d\t%s\t%d\t\n", names, server.Name, state, restarts, cpu, cpuTime(server),
			server.Goroutines, lines, server.LostLines)
		if server.TotalCPUSeconds == 0 {
			all.Goroutines += server.Goroutines
		}
	}
	cpu := "-"
	if u.CPUSeconds > 0 && seconds > 0 {
		cpu = fmt.Sprintf("%.1f", 100*max(0, u.CPUSeconds-t.before.CPUSeconds)/seconds)
	}
	fmt.Fprintf(table, "%-*s\t-\t-\t%s\t%s\t%d\t-\t-\t\n", names, process, cpu, cpuTime(all), all.Goroutines)
	if err := table.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(rows.String()) {
		fmt.Fprint(w, strings.TrimPrefix(line, strings.Repeat(" ", gap)))
	}
	if u.Error != "" {
		fmt.Fprintf(w, "\n%s\n", text.OneLine(errors.New(u.Error)))
	}
	return nil
}

// usageOf is what a server used up; nothing, without a name, if that is not known.
func usageOf(u *admin.Usage, server string) admin.ServerUsage {
	if u != nil {
		for _, s := range u.Servers {
			if s.Name == server {
				return s
			}
		}
	}
	return admin.ServerUsage{}
}

// percent is how much of one CPU a server has used in so many seconds, if that was measured.
func percent(u *admin.Usage, server, before admin.ServerUsage, seconds float64) string {
	used := max(0, server.CPUSeconds-before.CPUSeconds)
	if used == 0 && u.Error != "" && server.TotalCPUSeconds == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", 100*used/seconds)
}

// cpuTime is all CPU time that it has used, if that is known.
func cpuTime(s admin.ServerUsage) string {
	if s.TotalCPUSeconds == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fs", s.TotalCPUSeconds)
}
