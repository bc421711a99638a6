package timeline

import (
	"bytes"
	"encoding/xml"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var drawAnalyses = flag.String("draw-analyses", "", "also write the pictures to this folder, to look at them")

func TestTickStep(t *testing.T) {
	for end, want := range map[time.Duration]time.Duration{
		time.Millisecond:        100 * time.Microsecond,
		time.Second:             100 * time.Millisecond,
		1900 * time.Millisecond: 200 * time.Millisecond,
		3312 * time.Millisecond: 500 * time.Millisecond,
		9 * time.Second:         time.Second,
		90 * time.Second:        10 * time.Second,
		1<<63 - 1:               1e9 * time.Second, // what a wrong clock may lead to
	} {
		if got := tickStep(end); got != want {
			t.Errorf("%v: %v, want %v", end, got, want)
		}
	}
}

// all are the elements of that name in e, and of that class, if it is not empty.
func (e *element) all(name, class string) []*element {
	var found []*element
	if e.XMLName.Local == name && (class == "" || slices.Contains(strings.Fields(e.attr("class")), class)) {
		found = append(found, e)
	}
	for _, child := range e.Children {
		found = append(found, child.all(name, class)...)
	}
	return found
}

func (e *element) attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (e *element) number(t *testing.T, name string) float64 {
	n, err := strconv.ParseFloat(e.attr(name), 64)
	if err != nil {
		t.Errorf("%s of %+v: %v", name, e, err)
	}
	return n
}

// draw draws and reads the picture.
func draw(t *testing.T, s *Run) *element {
	var b bytes.Buffer
	if err := WriteSVG(&b, s); err != nil {
		t.Fatal(err)
	}
	if dir := *drawAnalyses; dir != "" {
		write(t, filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", " ")+".svg"), b.String())
	}
	var svg element
	if err := xml.Unmarshal(b.Bytes(), &svg); err != nil {
		t.Fatalf("%v:\n%s", err, b.String())
	}
	return &svg
}

// row returns the group of elements whose name is this.
func (e *element) row(t *testing.T, name string) *element {
	var found []*element
	for _, g := range e.all("g", "") {
		for _, child := range g.Children {
			if child.XMLName.Local == "text" && strings.HasPrefix(child.attr("class"), "name") && child.Text == name {
				found = append(found, g)
			}
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d rows of %q", len(found), name)
	}
	return found[0]
}

func TestSVG(t *testing.T) {
	for name, s := range analyses() {
		t.Run(name, func(t *testing.T) {
			svg := draw(t, s)
			for _, server := range s.Servers {
				row := svg.row(t, shortName(server.Name))
				if titles := row.all("title", ""); len(titles) != 1 || !strings.HasPrefix(titles[0].Text, server.Name+": ") {
					t.Errorf("%s: titles %+v", server.Name, titles)
				}
			}
			insidePicture(t, svg)
		})
	}
}

// insidePicture fails the test if anything is outside of the picture, or a bar outside of the timeline.
func insidePicture(t *testing.T, svg *element) {
	width, height := svg.number(t, "width"), svg.number(t, "height")
	ticks := svg.all("text", "tick")
	for _, rect := range svg.all("rect", "") {
		x, y := rect.number(t, "x"), rect.number(t, "y")
		w, h := rect.number(t, "width"), rect.number(t, "height")
		if x < 0 || y < 0 || w <= 0 || h <= 0 || x+w > width || y+h > height {
			t.Errorf("%s: %v,%v, %v by %v in %v by %v", rect.attr("class"), x, y, w, h, width, height)
		}
		if h != svgBar {
			continue
		}
		if left, right := ticks[0].number(t, "x"), ticks[len(ticks)-1].number(t, "x"); x < left-.1 || x+w > right+.1 {
			t.Errorf("%s: from %v to %v in a timeline from %v to %v", rect.attr("class"), x, x+w, left, right)
		}
	}
	for _, text := range svg.all("text", "") {
		x, w := text.number(t, "x"), textWidth(text.Text)
		if strings.HasPrefix(text.attr("class"), "name") {
			x -= w
		}
		if text.attr("class") == "tick" {
			x -= w / 2
		}
		// a headline is wrapped, at a guess of its width
		if text.attr("class") != "headline" && (x < 0 || x+w > width) {
			t.Errorf("%q from %v to %v in %v", text.Text, x, x+w, width)
		}
	}
}

// The bars are where the times are, and each kind has its class.
func TestSVGBars(t *testing.T) {
	for _, test := range []struct{ analysis, server, want string }{
		{"usual", preparation, "critical 0.000s 0.412s"},
		{"usual", "etcd", "critical 0.412s 0.712s"},
		{"usual", "admission", "waiting 0.412s 0.413s starting 0.413s 0.600s"},
		{"usual", "apiserver", "waiting 0.412s 0.712s critical 0.712s 2.614s"},
		{"usual", "scheduler", "waiting 0.412s 2.614s starting 2.614s 3.100s"},
		{"usual", "controller-manager", "waiting 0.412s 2.614s critical 2.614s 3.312s"},
		{"unready", "apiserver", "waiting 0.400s 0.700s unready 0.700s 9.000s"},
		{"unready", "dns", "unready 0.400s 3.400s"},
		{"unready", "scheduler", "waiting 0.400s 9.000s"},
		{"unready", "executor", ""},
		{"later", "nodes", ""},
		{"later", "apiserver", "waiting 0.400s 0.700s critical 0.700s 2.000s"},
	} {
		t.Run(test.analysis+" "+test.server, func(t *testing.T) {
			svg := draw(t, analyses()[test.analysis])
			ticks := svg.all("text", "tick")
			last := ticks[len(ticks)-1]
			end, err := time.ParseDuration(last.Text)
			if err != nil {
				t.Fatal(err)
			}
			zero := ticks[0].number(t, "x")
			scale := end.Seconds() / (last.number(t, "x") - zero)
			wanted := strings.Fields(test.want)
			bars := svg.row(t, test.server).all("rect", "")
			if len(bars) != len(wanted)/3 {
				t.Fatalf("%d bars, want %s", len(bars), test.want)
			}
			for i, bar := range bars {
				from, _ := time.ParseDuration(wanted[3*i+1])
				to, _ := time.ParseDuration(wanted[3*i+2])
				x := (bar.number(t, "x") - zero) * scale
				w := bar.number(t, "width") * scale
				// Two pixels are the shortest bar.
				near := func(a, b float64) bool { return max(a-b, b-a) <= 2.2*scale }
				if bar.attr("class") != wanted[3*i] || !near(x, from.Seconds()) || !near(x+w, to.Seconds()) {
					t.Errorf("%s from %.3fs to %.3fs, want %s", bar.attr("class"), x, x+w, test.want)
				}
			}
		})
	}
}

// Whatever a name contains is text.
func TestSVGHostile(t *testing.T) {
	const evil = `<&"'>]]></text><script>`
	s := &Run{Program: evil, Version: evil, Name: evil, Began: at(0), Servers: []Server{
		startedAt(evil, 1, 2), startedAt("b\x00\x1b\xff", 2, 3, evil),
	}}
	svg := draw(t, s)
	row := svg.row(t, evil)
	contains(t, row.all("title", "")[0].Text, evil)
	contains(t, svg.row(t, "b\uFFFD\uFFFD\uFFFD").all("title", "")[0].Text, "needs "+evil)
	contains(t, svg.all("text", "note")[0].Text, evil+" "+evil)
	if scripts := svg.all("script", ""); len(scripts) > 0 {
		t.Errorf("%d scripts", len(scripts))
	}
	insidePicture(t, svg)
}

// What is written behind a bar covers none, and a server that is ready stays so until the end.
func TestSVGLabels(t *testing.T) {
	for name, s := range analyses() {
		t.Run(name, func(t *testing.T) {
			svg := draw(t, s)
			end := svg.number(t, "width")
			if grid := svg.all("line", "grid"); len(grid) > 0 {
				end = grid[len(grid)-1].number(t, "x1")
			}
			for _, f := range newAnalysis(s).rows {
				row := svg.row(t, shortName(f.Name))
				label := row.all("text", "label")[0]
				if strong := len(row.all("text", "strong")); strong != 0 != f.critical {
					t.Errorf("%s: %d strong words, critical: %v", f.Name, strong, f.critical)
				}
				for _, bar := range row.all("rect", "") {
					if label.number(t, "x") < bar.number(t, "x")+bar.number(t, "width") {
						t.Errorf("%s: %q is on a bar", f.Name, label.Text)
					}
				}
				from := label.number(t, "x") + textWidth(label.Text)
				lines := row.all("line", "ready")
				if wanted := f.ready && !f.later && from+svgGap < end; wanted != (len(lines) == 1) {
					t.Errorf("%s: %d lines, wanted %v", f.Name, len(lines), wanted)
				}
				for _, line := range lines {
					if x1, x2 := line.number(t, "x1"), line.number(t, "x2"); x1 < from || x2 != end {
						t.Errorf("%s: ready from %v to %v, with a label until %v and the end at %v", f.Name, x1, x2, from, end)
					}
				}
			}
		})
	}
}

// A link leads from each bar of the critical chain to the one that waited for it.
func TestSVGLinks(t *testing.T) {
	for analysis, chain := range map[string][]string{
		"usual":           {preparation, "etcd", "apiserver", "controller-manager"},
		"no-beginning":    {"etcd", "apiserver"},
		"one":             {preparation, "etcd"},
		"nothing-started": nil,
	} {
		t.Run(analysis, func(t *testing.T) {
			svg := draw(t, analyses()[analysis])
			middle := func(name string) float64 {
				bar := svg.row(t, name).all("rect", "critical")[0]
				return bar.number(t, "y") + svgBar/2
			}
			want := map[string]bool{}
			for i := range max(0, len(chain)-1) {
				want[fmt.Sprintf("from %.1f to %.1f", middle(chain[i]), middle(chain[i+1]))] = true
			}
			got := map[string]bool{}
			for _, path := range svg.all("path", "link") {
				var x1, y1, y2, x2 float64
				if _, err := fmt.Sscanf(path.attr("d"), "M%f %fV%fH%f", &x1, &y1, &y2, &x2); err != nil {
					t.Fatal(path.attr("d"), err)
				}
				if x2-x1 > 1 || x1-x2 > 1 { // each starts when the other is ready
					t.Errorf("from %v to the right until %v", x1, x2)
				}
				got[fmt.Sprintf("from %.1f to %.1f", y1, y2)] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			explained := slices.ContainsFunc(svg.all("text", "note"), func(e *element) bool { return strings.HasPrefix(e.Text, "critical chain: ") })
			if explained != (len(chain) > 0) {
				t.Errorf("the critical chain is explained: %v", explained)
			}
		})
	}
}
