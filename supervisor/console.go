package supervisor

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// screen is where the state of the servers and the log lines meet. On a terminal the state is a table that is drawn
// again at each change; a log line moves it down.
type screen struct {
	mu    sync.Mutex
	out   io.Writer // the state
	err   io.Writer // the log
	table []byte    // as it was drawn last; empty when there is none
	size  func() (columns, rows int)
	tell  func(error) // is called once, if the state cannot be written; may be nil
}

// screen returns the one screen of hk.
func (hk *HyperKube) screen() *screen {
	if hk.theScreen == nil {
		out := hk.Out()
		hk.theScreen = &screen{out: out, err: hk.errOut(), size: func() (int, int) { return system.TerminalSize(out) }}
	}
	return hk.theScreen
}

// Write writes log lines.
func (sc *screen) Write(lines []byte) (int, error) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.erase()
	n, err := sc.err.Write(lines)
	_, _ = sc.out.Write(sc.table)
	return n, err
}

// draw shows the table in place of the one before. If it is the last one, it stays where it is.
func (sc *screen) draw(table []byte, last bool) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.erase()
	if sc.table = table; last {
		sc.table = nil
	}
	sc.show(table)
}

// erase takes the table off the terminal: it goes up as many lines as the table has, and clears from there. If the
// window has since become too small for these lines, the table stays as text: other lines would be lost.
func (sc *screen) erase() {
	n := bytes.Count(sc.table, []byte("\n"))
	if n == 0 {
		return
	}
	columns, rows := sc.size()
	widest := 0
	for line := range strings.Lines(string(sc.table)) {
		widest = max(widest, text.Cells(strings.TrimSuffix(line, "\n")))
	}
	if widest > columns || n >= rows {
		sc.table = nil
		return
	}
	fmt.Fprintf(sc.out, "\x1b[%dA\x1b[J", n)
}

// print leaves what is there, and goes on below it.
func (sc *screen) print(text string) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.table = nil
	sc.show([]byte(text))
}

// show writes to the standard output. The lock is held.
func (sc *screen) show(text []byte) {
	if _, err := sc.out.Write(text); err != nil && sc.tell != nil {
		sc.tell(err)
		sc.tell = nil
	}
}

// console shows people what happens. It reads events.
type console struct {
	screen *screen
	banner func(*Plan) string
	plan   *Plan
	begin  time.Time
	quiet  bool
	live   bool // the table is drawn again and again: standard output can be drawn on, and not all are ready yet
	width  int
	rows   []*row
	of     map[string]*row // by server
	wait   int             // how many have not been ready yet
}

type row struct {
	server  string
	state   State
	ready   bool // has been
	took    time.Duration
	address string
	err     error
	wait    time.Duration // until the next start
}

func newConsole(r *run) *console {
	hk, p := r.hk, r.plan
	c := &console{
		screen: hk.screen(),
		banner: hk.Banner,
		plan:   p,
		begin:  r.begin,
		quiet:  hk.settings.quiet,
		live:   system.Drawable(hk.screen().out),
		of:     map[string]*row{},
		wait:   len(p.Servers),
	}
	for _, s := range p.Servers {
		line := &row{server: s.Name()}
		c.rows, c.of[line.server] = append(c.rows, line), line
		c.width = max(c.width, len(line.server))
	}
	if c.quiet {
		return c
	}
	c.screen.mu.Lock()
	c.screen.tell = func(err error) {
		r.logs.Program().Zap().WithOptions(zap.WithCaller(false)).Warn("the state of the servers cannot be shown; they go on",
			zap.String("file", "standard output"), zap.Error(err))
	}
	c.screen.mu.Unlock()
	columns, _ := c.screen.size()
	if !system.IsTerminal(c.screen.out) {
		columns = math.MaxInt // whoever reads it takes lines as they are
	}
	var text strings.Builder
	text.WriteString(c.headline(hk.Name, columns))
	for _, j := range p.given.joined {
		fmt.Fprintf(&text, "%s: %v\n", hk.Name, j)
	}
	c.screen.print(text.String())
	return c
}

// show is called with each event, in order.
func (c *console) show(e Event) {
	r := c.of[e.Server]
	if c.quiet || r == nil {
		return
	}
	if e.IsDegradation() {
		c.showDegraded(r, e)
		return
	}
	r.state, r.took, r.err, r.wait = e.To, e.Time.Sub(c.begin), e.Err, e.Wait
	last := false
	if e.To == Ready {
		if !r.ready {
			c.wait--
			last = c.wait == 0
		}
		r.ready, r.address = true, e.Address
	}
	if e.Err != nil {
		c.plan.run.logs.Flush() // what it has said comes before
	}
	switch {
	case c.live && c.draw(last || ends(e.To)):
	case e.To == Starting, e.To == Waiting:
		// What is not redrawn shows results only.
	default:
		c.screen.print(c.line(r))
	}
	if last {
		c.finish(e)
	}
	if ends(e.To) {
		c.live = false
	}
}

// showDegraded shows that a ready server lacks something, or no longer does. A line of the log tells in full what it
// lacks, so only the table shows it here.
func (c *console) showDegraded(r *row, e Event) {
	r.err = e.Err
	if c.live && c.draw(false) || e.Err != nil {
		return
	}
	r.took = e.Time.Sub(c.begin)
	c.screen.print(c.line(r))
}

// ends reports whether, from this state on, lines tell more than a table: the order in which servers stop, for one.
func ends(s State) bool { return s == Stopping || s == Failed || s == Backoff }

// headline says what is started, and where. A folder that does not fit behind it has a line of its own, to be copied
// from there.
func (c *console) headline(program string, columns int) string {
	begin, what := program+": ", fmt.Sprintf("starting %s in", nameList(c.plan.Servers))
	if c.plan.Ephemeral {
		what += " a temporary folder,"
	}
	folder := text.VisibleWord(c.plan.DataDir)
	if text.Cells(begin+what+" "+folder) <= columns {
		return begin + what + " " + folder + "\n"
	}
	indent := strings.Repeat(" ", text.Cells(begin))
	return begin + strings.TrimPrefix(text.Wrap(what, indent, columns), indent) + indent + folder + "\n"
}

// finish is called when the last server has become ready.
func (c *console) finish(e Event) {
	c.live = false
	text := fmt.Sprintf("%s: ready after %s\n", c.plan.run.logs.Program().Name(), seconds(e.Time.Sub(c.begin)))
	if c.banner != nil && c.plan.run.foreground == nil {
		if banner := strings.Trim(c.banner(c.plan), "\n"); banner != "" {
			text += "\n" + banner + "\n\n"
		}
	}
	c.screen.print(text)
}

// draw draws the table. If the terminal has become too small for it, lines tell from here on what happens. The last
// table has whole lines, since these may wrap.
func (c *console) draw(last bool) bool {
	columns, rows := c.screen.size()
	if len(c.rows) >= rows || c.width+stateWidth > columns {
		c.live = false
		return false
	}
	var table bytes.Buffer
	for _, r := range c.rows {
		line := strings.TrimSuffix(c.line(r), "\n")
		if !last {
			line = text.Cut(line, columns)
		}
		table.WriteString(line + "\n")
	}
	c.screen.draw(table.Bytes(), last)
	return true
}

// stateWidth is how many columns a line needs for the state alone, without the name, the address and the error.
const stateWidth = 2 + 2 + 8 + 2 + 6

func (c *console) line(r *row) string {
	line := fmt.Sprintf("  %-*s  %-8s", c.width, r.server, r.state)
	if r.state != Waiting {
		line += fmt.Sprintf("  %6s", seconds(r.took))
	}
	switch {
	case r.err != nil:
		line += "  " + text.OneLine(r.err)
	case r.state == Ready && r.address != "":
		line += "  " + text.VisibleWord(r.address)
	}
	if r.state == Backoff {
		line += fmt.Sprintf("  (starts again in %s)", seconds(r.wait))
	}
	return strings.TrimRight(line, " ") + "\n"
}

// close leaves the table where it is.
func (c *console) close() { c.screen.print("") }

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }
