package timeline

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-200a7251/km/supervisor/internal/life"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// timelineColumns is the width of the text: that of the narrowest terminal that people use.
const timelineColumns = 80

// WriteText prints how the servers became ready: when each was started, how long that took, and what the last one
// had to wait for.
func WriteText(w io.Writer, s *Run) error {
	a := newAnalysis(s)
	var b strings.Builder
	b.WriteString(text.Wrap(a.headline(), "", timelineColumns))
	if len(a.rows) > 0 {
		b.WriteString("\n")
		a.writeBars(&b)
	}
	if len(a.chain) > 0 {
		b.WriteString("\nCritical chain: @ is when the start began, + is how long it took until ready.\n\n")
		a.writeChain(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeBars prints a line for each server.
func (a *analysis) writeBars(b *strings.Builder) {
	names := len("SERVER")
	for _, f := range a.rows {
		names = max(names, utf8.RuneCountInString(shortName(f.Name)))
	}
	print := func(name, started, took, bar string) {
		b.WriteString(strings.TrimRight(fmt.Sprintf("%-*s  %8s  %8s  %s", names, name, started, took, bar), " ") + "\n")
	}
	columns := timelineColumns - (names + 2 + 8 + 2 + 8 + 2)
	print("SERVER", "STARTED", "TOOK", fmt.Sprintf("0s%*s", columns-2, millis(a.end)))
	for _, f := range a.rows {
		started, took := "-", f.State.String()
		if f.started {
			started = millis(f.start)
		}
		if f.ready {
			took = millis(f.took())
		}
		print(shortName(f.Name), started, took, a.bar(f, columns))
	}
	print("", "", "", "· waiting  █ starting")
}

// bar draws a server's line of the timeline.
func (a *analysis) bar(f *firstStart, columns int) string {
	column := func(d time.Duration) int {
		return int(math.Round(float64(d) / float64(a.end) * float64(columns)))
	}
	// Nobody waits before there are servers.
	wait := func(until int) string {
		none := min(column(a.prepared), until)
		return strings.Repeat(" ", none) + strings.Repeat("·", until-none)
	}
	switch {
	case f.later:
		return "(started later)"
	case !f.started && f.State != life.Waiting:
		return ""
	case !f.started:
		return wait(columns)
	}
	start := min(column(f.start), columns-1) // even the shortest start is visible
	end := max(column(f.end), start+1)
	return wait(start) + strings.Repeat("█", end-start)
}

// writeChain prints the critical chain as a tree, as systemd-analyze does.
func (a *analysis) writeChain(b *strings.Builder) {
	// Deeper servers stand straight below each other.
	const deepest = 10
	line := func(depth int, name string, at, took time.Duration) {
		if depth > 0 {
			b.WriteString(strings.Repeat("  ", min(depth, deepest)-1) + "└─")
		}
		fmt.Fprintf(b, "%s @%s +%s\n", name, millis(at), millis(took))
	}
	for i, f := range a.chain {
		line(i, shortName(f.Name), f.start, f.took())
	}
	if a.hasPreparation() {
		line(len(a.chain), preparation, 0, a.prepared)
	}
}
