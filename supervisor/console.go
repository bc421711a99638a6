package supervisor

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
)

// screen is where the state of the servers and the log lines meet. On a terminal the state is a table that is drawn again
// at each change; a log line moves it down.
type screen struct {
	mu    sync.Mutex
	out   io.Writer   // the state
	err   io.Writer   // the log
	table []byte      // as it was drawn last; empty when there is none
	tell  func(error) // is called once, if the state cannot be written; may be nil
}

// screen returns the one screen of hk.
func (hk *HyperKube) screen() *screen {
	if hk.theScreen == nil {
		hk.theScreen = &screen{out: hk.Out(), err: hk.errOut()}
	}
	return hk.theScreen
}

// Write writes log lines.
func (s *screen) Write(lines []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	n, err := s.err.Write(lines)
	_, _ = s.out.Write(s.table)
	return n, err
}

// draw shows the table in place of the one before.
func (s *screen) draw(table []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.table = table
	s.show(table)
}

// erase takes the table off the terminal: up as many lines as it has, and clear from there.
func (s *screen) erase() {
	if n := bytes.Count(s.table, []byte("\n")); n > 0 {
		fmt.Fprintf(s.out, "\x1b[%dA\x1b[J", n)
	}
}

// print leaves what is there, and goes on below it.
func (s *screen) print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.table = nil
	s.show([]byte(text))
}

// show writes to the standard output. The lock is held.
func (s *screen) show(text []byte) {
	if _, err := s.out.Write(text); err != nil && s.tell != nil {
		s.tell(err)
		s.tell = nil
	}
}

// console shows people what happens. It reads events.
type console struct {
	screen *screen
	banner func(*Plan) string
	plan   *Plan
	begin  time.Time
	quiet  bool
	live   bool // the table is drawn again and again: standard output is a terminal, and not all are ready yet
	width  int
	rows   []*row
	of     map[string]*row // by server
	wait   int             // for how many that have not been ready yet
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

func newConsole(hk *HyperKube, p *Plan, begin time.Time) *console {
	c := &console{
		screen: hk.screen(),
		banner: hk.Banner,
		plan:   p,
		begin:  begin,
		quiet:  hk.settings.quiet,
		live:   isTerminal(hk.screen().out),
		of:     map[string]*row{},
		wait:   len(p.Servers),
	}
	for _, s := range p.Servers {
		r := &row{server: s.Name()}
		c.rows, c.of[r.server] = append(c.rows, r), r
		c.width = max(c.width, len(r.server))
	}
	if c.quiet {
		return c
	}
	c.screen.mu.Lock()
	c.screen.tell = func(err error) {
		p.logs.Program().Zap().WithOptions(zap.WithCaller(false)).Warn("the state of the servers cannot be shown; they go on",
			zap.String("file", "standard output"), zap.Error(err))
	}
	c.screen.mu.Unlock()
	var text strings.Builder
	if p.Ephemeral {
		fmt.Fprintf(&text, "%s: starting %s in a temporary folder, %s\n", hk.Name, nameList(p.Servers), p.DataDir)
	} else {
		fmt.Fprintf(&text, "%s: starting %s in %s\n", hk.Name, nameList(p.Servers), p.DataDir)
	}
	for _, j := range p.joined {
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
		c.plan.logs.Flush() // what it has said comes before
	}
	switch {
	case c.live:
		c.draw()
	case e.To == Starting, e.To == Waiting:
		// What is not redrawn shows results only.
	default:
		c.screen.print(c.line(r))
	}
	if last {
		c.finish(e)
	}
	if e.To == Stopping || e.To == Failed || e.To == Backoff {
		// From here on lines tell more than a table: in which order the servers stop.
		c.live = false
	}
}

// finish is called when the last server has become ready.
func (c *console) finish(e Event) {
	c.live = false
	text := fmt.Sprintf("%s: ready after %s\n", c.plan.logs.Program().Name(), seconds(e.Time.Sub(c.begin)))
	if c.banner != nil && c.plan.job == nil {
		if banner := strings.Trim(c.banner(c.plan), "\n"); banner != "" {
			text += "\n" + banner + "\n\n"
		}
	}
	c.screen.print(text)
}

func (c *console) draw() {
	var table bytes.Buffer
	for _, r := range c.rows {
		table.WriteString(c.line(r))
	}
	c.screen.draw(table.Bytes())
}

func (c *console) line(r *row) string {
	text := fmt.Sprintf("  %-*s  %-8s", c.width, r.server, r.state)
	if r.state != Waiting {
		text += fmt.Sprintf("  %6s", seconds(r.took))
	}
	switch {
	case r.state == Ready && r.address != "":
		text += "  " + r.address
	case r.err != nil:
		text += "  " + oneLine(r.err)
	}
	if r.state == Backoff {
		text += fmt.Sprintf("  (starts again in %s)", seconds(r.wait))
	}
	return strings.TrimRight(text, " ") + "\n"
}

// close leaves the table where it is.
func (c *console) close() { c.screen.print("") }

func seconds(d time.Duration) string { return fmt.Sprintf("%.1fs", d.Seconds()) }

// oneLine is the error on one line, short enough for the table. The whole of it comes at the end of the screen.
func oneLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	if r := []rune(text); len(r) > 100 {
		text = string(r[:99]) + "…"
	}
	return text
}
