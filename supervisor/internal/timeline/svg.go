package timeline

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-200a7251/km/supervisor/internal/life"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// Measures of the picture, in pixels.
const (
	svgMargin   = 24
	svgLine     = 20  // of text
	svgRow      = 28  // of a server
	svgBar      = 14  // height of a bar
	svgTimeline = 640 // width
	svgLetter   = 7.6 // width of a letter, on the safe side: fonts differ
	svgGap      = 10
)

// svgStyle is how the picture looks. Blue and orange are told apart by everyone.
const svgStyle = `
text { font-family: sans-serif; font-size: 13px; fill: #24292f; }
.headline { font-size: 17px; font-weight: bold; }
.note, .tick { fill: #57606a; font-size: 12px; }
.name { text-anchor: end; }
.tick { text-anchor: middle; }
.label { paint-order: stroke; stroke: #ffffff; stroke-width: 5px; stroke-linejoin: round; }
.strong { font-weight: bold; }
.background { fill: #ffffff; }
.stripe { fill: #f6f8fa; }
.grid { stroke: #d8dee4; stroke-width: 1px; }
.waiting { fill: #d0d7de; }
.starting { fill: #4c78a8; }
.critical { fill: #e36209; }
.unready { fill: #ffffff; stroke: #4c78a8; stroke-width: 1.5px; stroke-dasharray: 4 3; }
.ready { stroke: #2da44e; stroke-width: 2px; }
.link { fill: none; stroke: #e36209; stroke-width: 1.5px; stroke-dasharray: 3 3; }
`

// element is an element of the picture. Package xml writes it, which makes names harmless.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Children []*element `xml:",any"`
}

// newElement returns an element with these attributes: name, value, name, value. Numbers are rounded to what can be
// seen.
func newElement(name string, attrs ...any) *element {
	e := &element{XMLName: xml.Name{Local: name}}
	for i := 0; i < len(attrs); i += 2 {
		value := fmt.Sprint(attrs[i+1])
		if n, ok := attrs[i+1].(float64); ok {
			value = fmt.Sprint(math.Round(n*10) / 10)
		}
		e.Attrs = append(e.Attrs, xml.Attr{Name: xml.Name{Local: attrs[i].(string)}, Value: value})
	}
	return e
}

func (e *element) add(children ...*element) { e.Children = append(e.Children, children...) }

func svgText(class string, x, y float64, text string) *element {
	e := newElement("text", "class", class, "x", x, "y", y)
	e.Text = text
	return e
}

func svgRect(class string, x, y, width, height float64) *element {
	return newElement("rect", "class", class, "x", x, "y", y, "width", width, "height", height)
}

func svgStroke(class string, x1, y1, x2, y2 float64) *element {
	return newElement("line", "class", class, "x1", x1, "y1", y1, "x2", x2, "y2", y2)
}

// drawing is the picture of an analysis.
type drawing struct {
	*analysis
	lines []svgEntry
	// The timeline is from x left to x right, and all is within width. The first line begins at y top.
	left, right, width, top float64
	step                    time.Duration // between two ticks
	ticks                   int           // without that at zero
}

// svgEntry is a line of the picture: of a server, or, without one, of the preparation.
type svgEntry struct {
	name  string
	label string // stands behind the bar
	*firstStart
}

// WriteSVG draws what WriteText prints.
func WriteSVG(w io.Writer, s *Run) error {
	text, err := xml.MarshalIndent(newDrawing(newAnalysis(s)).picture(), "", " ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	return err
}

func newDrawing(a *analysis) *drawing {
	d := &drawing{analysis: a}
	if a.hasPreparation() {
		d.lines = append(d.lines, svgEntry{name: preparation, label: millis(a.prepared)})
	}
	for _, f := range a.rows {
		d.lines = append(d.lines, svgEntry{name: shortName(f.Name), label: a.label(f), firstStart: f})
	}
	names := 0
	for _, l := range d.lines {
		names = max(names, utf8.RuneCountInString(l.name))
	}
	d.left = svgMargin + float64(names)*svgLetter + svgGap
	d.right = d.left + svgTimeline
	d.step = tickStep(a.end)
	d.ticks = int(math.Ceil(float64(a.end) / float64(d.step)))
	d.width = d.right
	for _, l := range d.lines {
		d.width = max(d.width, d.labelX(l)+textWidth(l.label))
	}
	d.width += svgMargin
	return d
}

// tickStep is 1, 2 or 5 times a power of ten, so that there are about ten steps at most up to the end.
func tickStep(end time.Duration) time.Duration {
	for step := time.Microsecond; ; step *= 10 {
		for _, times := range []time.Duration{1, 2, 5} {
			if end/10 <= times*step {
				return times * step
			}
		}
	}
}

// label is what stands behind a server's bar.
func (a *analysis) label(f *firstStart) string {
	switch {
	case f.later && f.ready:
		return fmt.Sprintf("started later: %s after the start, took %s", millis(f.start), millis(f.took()))
	case f.later:
		return fmt.Sprintf("started later: %s after the start, %v", millis(f.start), f.State)
	case f.ready:
		return millis(f.took())
	case f.started:
		return fmt.Sprintf("%v, not ready after %s", f.State, millis(f.took()))
	}
	return f.State.String()
}

// hint is what is shown when the pointer is on a server.
func (a *analysis) hint(f *firstStart) string {
	text := f.Name + ": " + a.label(f)
	if f.ready && !f.later {
		text = fmt.Sprintf("%s: its start began %s after that of %s and took %s; ready after %s",
			f.Name, millis(f.start), a.run.Program, millis(f.took()), millis(f.end))
	}
	if len(f.Needs) > 0 {
		text += "; needs " + strings.Join(f.Needs, ", ")
	}
	return text
}

// x is where on the timeline that time is.
func (d *drawing) x(t time.Duration) float64 {
	return d.left + float64(t)/(float64(d.step)*float64(d.ticks))*svgTimeline
}

// y is the middle of a line.
func (d *drawing) y(line int) float64 { return d.top + (float64(line)+0.5)*svgRow }

func (d *drawing) labelX(l svgEntry) float64 {
	switch {
	case l.firstStart == nil:
		return d.x(d.prepared) + svgGap
	case !l.started && l.State == life.Waiting:
		return d.x(d.end) + svgGap
	case !l.started || l.later:
		return d.left + svgGap
	}
	return d.x(l.end) + svgGap
}

func textWidth(text string) float64 { return float64(utf8.RuneCountInString(text)) * svgLetter }

// picture draws from back to front.
func (d *drawing) picture() *element {
	head := newElement("g")
	y := float64(svgMargin)
	for line := range strings.Lines(text.Wrap(d.headline(), "", int(d.width/10))) {
		y += svgLine
		head.add(svgText("headline", svgMargin, y, strings.TrimSpace(line)))
	}
	y += svgLine + 4
	head.add(svgText("note", svgMargin, y, d.note()))
	if len(d.lines) > 0 {
		head.add(d.legend(&y))
	}
	d.top = y + 3*svgLine
	bottom := d.top + float64(len(d.lines))*svgRow
	height := bottom + svgMargin
	style := newElement("style")
	style.Text = svgStyle
	svg := newElement("svg", "xmlns", "http://www.w3.org/2000/svg", "width", d.width, "height", height,
		"viewBox", fmt.Sprintf("0 0 %.0f %.0f", math.Ceil(d.width), height), "role", "img")
	svg.add(svgTitle(d.headline()), style, svgRect("background", 0, 0, d.width, height), head)
	if len(d.lines) > 0 {
		svg.add(d.stripes(), d.axis(bottom), d.links())
		for i, l := range d.lines {
			svg.add(d.line(i, l))
		}
	}
	return svg
}

func svgTitle(text string) *element {
	e := newElement("title")
	e.Text = text
	return e
}

// note says of which program and which run this is.
func (d *drawing) note() string {
	text := strings.Join(strings.Fields(d.run.Program+" "+d.run.Version), " ")
	if t := d.run.Began; !t.IsZero() {
		text += ", started " + t.Local().Format("2006-01-02 15:04:05 MST")
	}
	return text
}

// legend tells what the colours mean, one below the other from y on.
func (d *drawing) legend(y *float64) *element {
	g := newElement("g")
	x := float64(svgMargin)
	item := func(text string, swatch ...*element) {
		g.add(swatch...)
		g.add(svgText("note", x+34, *y, text))
		x += 34 + textWidth(text) + svgGap
	}
	swatch := func(class string) *element { return svgRect(class, x, *y-10, 26, 11) }
	*y += svgLine + 8
	item("waiting", swatch("waiting"))
	item("starting", swatch("starting"))
	item("ready", svgStroke("ready", x, *y-4, x+26, *y-4))
	if slices.ContainsFunc(d.rows, func(f *firstStart) bool { return f.started && !f.ready }) {
		item("not ready yet", swatch("unready"))
	}
	if len(d.chain) > 0 {
		x = svgMargin
		*y += svgLine
		item("critical chain: the last server had to wait for these, one after the other", swatch("critical"))
	}
	return g
}

// stripes help the eye from the name to the bar.
func (d *drawing) stripes() *element {
	g := newElement("g")
	for i := 0; i < len(d.lines); i += 2 {
		g.add(svgRect("stripe", svgMargin/2, d.y(i)-svgRow/2, d.width-svgMargin, svgRow))
	}
	return g
}

// axis is the time, in seconds.
func (d *drawing) axis(bottom float64) *element {
	g := newElement("g")
	for i := range d.ticks + 1 {
		t := time.Duration(i) * d.step
		g.add(svgStroke("grid", d.x(t), d.top-6, d.x(t), bottom),
			svgText("tick", d.x(t), d.top-12, strconv.FormatFloat(t.Seconds(), 'f', -1, 64)+"s"))
	}
	return g
}

// links lead from each server of the critical chain to the one that waited for it.
func (d *drawing) links() *element {
	g := newElement("g")
	link := func(from, to int, end, start time.Duration) {
		g.add(newElement("path", "class", "link", "d",
			fmt.Sprintf("M%.1f %.1fV%.1fH%.1f", d.x(end), d.y(from), d.y(to), d.x(start))))
	}
	line := func(f *firstStart) int {
		return slices.IndexFunc(d.lines, func(l svgEntry) bool { return l.firstStart == f })
	}
	for i, f := range d.chain {
		if i+1 < len(d.chain) {
			link(line(d.chain[i+1]), line(f), d.chain[i+1].end, f.start)
		} else if d.hasPreparation() {
			link(0, line(f), d.prepared, f.start)
		}
	}
	return g
}

// line is a line of the picture: its name, its bar, and how long that is.
func (d *drawing) line(i int, l svgEntry) *element {
	y, f := d.y(i), l.firstStart
	g := newElement("g")
	bar := func(class string, from, to time.Duration) {
		// Even the shortest start is visible, and inside the timeline.
		x := min(d.x(from), d.right-2)
		g.add(svgRect(class, x, y-svgBar/2, max(d.x(to)-x, 2), svgBar))
	}
	strong := " strong"
	if f == nil {
		g.add(svgTitle("from the start of " + d.run.Program + " to that of the first server"))
		bar("critical", 0, d.prepared)
	} else {
		g.add(svgTitle(d.hint(f)))
		d.serverBar(f, bar)
		if from := d.labelX(l) + textWidth(l.label) + svgGap; f.ready && !f.later && from < d.right {
			g.add(svgStroke("ready", from, y, d.right, y))
		}
		if !f.critical {
			strong = ""
		}
	}
	g.add(svgText("name"+strong, d.left-svgGap, y+4.5, l.name), svgText("label"+strong, d.labelX(l), y+4.5, l.label))
	return g
}

// serverBar draws the bar of a server, from left to right.
func (d *drawing) serverBar(f *firstStart, bar func(class string, from, to time.Duration)) {
	if f.later {
		return
	}
	if !f.started {
		if f.State == life.Waiting {
			bar("waiting", d.prepared, d.end)
		}
		return
	}
	if f.start > d.prepared {
		bar("waiting", d.prepared, f.start)
	}
	switch {
	case !f.ready:
		bar("unready", f.start, f.end)
	case f.critical:
		bar("critical", f.start, f.end)
	default:
		bar("starting", f.start, f.end)
	}
}
