package logging

import (
	"bytes"
	"io"
	"slices"
	"sync"
)

// display is where lines are shown: Config.Out, with what Config.Brief keeps from it.
type display struct {
	renderer *Renderer
	queue    *queue
	mu       sync.Mutex // guards phase and held of each Log, and repeats
	repeats  repeats
}

func newDisplay(c Config, ls *Logs) *display {
	t := &trouble{
		broke:  "the screen cannot be written to; the servers go on, and the log files have what they log",
		works:  "the screen can be written to again",
		slow:   "the screen could not be written to for a while, and does not show all; the log files have it",
		logs:   ls,
		broken: map[string]bool{},
	}
	d := &display{
		renderer: &Renderer{Format: c.Format, Color: c.Color},
		queue:    newQueue("standard error", t.tell),
		repeats:  repeats{},
	}
	d.queue.open(&rendering{renderer: d.renderer, out: c.Out})
	return d
}

// put shows a line, or holds it if the server is starting. It returns false if the line is lost; a line that is not to
// be shown does not count as lost.
func (d *display) put(l *Log, line []byte) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case l.all.Load():
		return d.queue.put(line)
	case l.phase == Running:
		return d.show(l, line)
	case l.phase == Starting || l.phase == Started:
		if len(l.held) == heldLines {
			l.held = l.held[1:]
		}
		l.held = append(l.held, slices.Clone(line))
	}
	return true
}

// rendering writes lines of JSON as a Renderer renders them.
type rendering struct {
	renderer *Renderer
	out      io.Writer
	rest     []byte // the rest of the first line, if its beginning has been shown already
}

// Write returns how many bytes of the lines it has shown, so that the rest can be tried again. They are shown with one
// write, for a terminal's sake.
func (rg *rendering) Write(lines []byte) (int, error) {
	if rg.renderer.Format == FormatJSON {
		return rg.out.Write(lines)
	}
	text := rg.rest
	var ends []int // of each line, in text
	for line := range bytes.Lines(lines) {
		if len(ends) > 0 || rg.rest == nil {
			text = rg.renderer.Append(text, line)
		}
		ends = append(ends, len(text))
	}
	n, err := rg.out.Write(text)
	rg.rest = nil
	if err == nil {
		return len(lines), nil
	}
	shown := 0
	for line := range bytes.Lines(lines) {
		if n < ends[0] {
			rg.rest = text[n:ends[0]:ends[0]]
			break
		}
		ends = ends[1:]
		shown += len(line)
	}
	return shown, err
}
