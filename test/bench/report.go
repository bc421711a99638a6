//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
)

// results are what the file has in it.
type results struct {
	Machine    machine         `json:"machine"`
	Runs       int             `json:"runs"`
	Apart      string          `json:"apart"`
	Check      readyCheck      `json:"readyCheck"`
	Rows       []*resultRow    `json:"rows"`
	Unmeasured []unmeasuredRow `json:"notMeasuredYet"`
	Notes      []string        `json:"notes,omitempty"`

	work string // the temporary folder, whose name is nobody's business
}

// readyCheck are two views of the same start, in seconds.
type readyCheck struct {
	OwnLine     float64 `json:"kmOwnLine,omitempty"`
	FromOutside float64 `json:"fromOutside,omitempty"`
}

type resultRow struct {
	Name   string   `json:"name"`
	What   string   `json:"what"`
	Unit   string   `json:"unit"`
	Target string   `json:"target,omitempty"`
	KM     *figures `json:"km,omitempty"`
	Apart  *figures `json:"apart,omitempty"`
	Ratio  float64  `json:"ratio,omitempty"` // km's median by apart's
}

// figures are of one side in one row. Without samples, Why says why there are none; with samples, it says what else
// happened.
type figures struct {
	Median  float64   `json:"median,omitempty"`
	Min     float64   `json:"min,omitempty"`
	Max     float64   `json:"max,omitempty"`
	Samples []float64 `json:"samples,omitempty"`
	Failed  int       `json:"failed,omitempty"`
	Why     string    `json:"why,omitempty"`
}

type unmeasuredRow struct {
	What   string `json:"what"`
	Target string `json:"target"`
	Why    string `json:"why"`
}

// newResults has room for the rows that are selected.
func newResults(selected []string, work string) *results {
	r := &results{Unmeasured: unmeasured, work: work}
	for _, row := range rows {
		if slices.Contains(selected, row.name) {
			r.Rows = append(r.Rows, &resultRow{Name: row.name, What: row.what, Unit: row.unit, Target: row.target,
				KM: &figures{}, Apart: &figures{}})
		}
	}
	return r
}

// figures are those of a row's side; nil if the row is not selected.
func (r *results) figures(row, side string) *figures {
	for _, candidate := range r.Rows {
		if candidate.Name != row {
			continue
		}
		if side == "km" {
			return candidate.KM
		}
		return candidate.Apart
	}
	return nil
}

func (r *results) add(row, side string, value float64) {
	if f := r.figures(row, side); f != nil {
		f.Samples = append(f.Samples, value)
	}
}

// failed notes for rows why there is no sample this time. The first reason is kept.
func (r *results) failed(side string, err error, names ...string) {
	for _, name := range names {
		if f := r.figures(name, side); f != nil {
			f.Failed++
			if f.Why == "" {
				f.Why = strings.ReplaceAll(err.Error(), r.work, "WORK")
			}
		}
	}
}

// note adds a remark, once.
func (r *results) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.Notes, text) {
		r.Notes = append(r.Notes, text)
	}
}

// finish computes what follows from the samples.
func (r *results) finish(runs int, separate bool) {
	r.Runs = runs
	r.Machine.LoadAfter = load()
	r.Apart = "separate processes of the km binary, through its soft links, with upstream's defaults"
	if separate {
		r.Apart = "separate binaries, with upstream's defaults"
	}
	if c := r.Check; c.OwnLine > 0 && (c.FromOutside > 1.1*c.OwnLine || c.OwnLine > 1.1*c.FromOutside) {
		r.note("first start: km said that it was ready after %.2f s; asked all the time from outside, it was after %.2f s",
			c.OwnLine, c.FromOutside)
	}
	for _, row := range r.Rows {
		row.KM.finish()
		row.Apart.finish()
		if row.KM.Median > 0 && row.Apart.Median > 0 {
			row.Ratio = row.KM.Median / row.Apart.Median
		}
	}
}

func (f *figures) finish() {
	n := len(f.Samples)
	if n == 0 {
		return
	}
	sorted := slices.Sorted(slices.Values(f.Samples))
	f.Min, f.Max = sorted[0], sorted[n-1]
	f.Median = (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// explain adds why there is no figure, or why there are fewer than there should be.
func (f *figures) explain(why *strings.Builder, what string) {
	if f.Why != "" {
		fmt.Fprintf(why, "  %s: %s\n", what, f.Why)
	}
}

func (f *figures) text(unit string) string {
	if len(f.Samples) == 0 {
		return "–"
	}
	text := fmt.Sprintf("%s %s (%s–%s)", number(f.Median), unit, number(f.Min), number(f.Max))
	if f.Failed > 0 {
		text += fmt.Sprintf(", %d failed", f.Failed)
	}
	return text
}

// number has three digits that count: more would be noise.
func number(n float64) string {
	switch {
	case n >= 100:
		return fmt.Sprintf("%.0f", n)
	case n >= 10:
		return fmt.Sprintf("%.1f", n)
	case n >= 1:
		return fmt.Sprintf("%.2f", n)
	}
	return fmt.Sprintf("%.3f", n)
}

func (r *results) print(out io.Writer) {
	m := r.Machine
	fmt.Fprintf(out, "\n%s\n%s, %d cores, %d MB, Linux %s, load before %s, after %s\n", m.KM, m.CPU, m.Cores, m.MemoryMB, m.Kernel,
		m.LoadBefore, m.LoadAfter)
	fmt.Fprintf(out, "median (min–max) of %d runs of each side, in turns; apart = %s\n\n", r.Runs, r.Apart)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "row\twhat\tkm\tapart\tkm/apart\ttarget")
	var why strings.Builder
	for _, row := range r.Rows {
		ratio := "–"
		if row.Ratio > 0 {
			ratio = fmt.Sprintf("%.2f", row.Ratio)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", row.Name, row.What, row.KM.text(row.Unit), row.Apart.text(row.Unit), ratio, row.Target)
		row.KM.explain(&why, row.Name+", km")
		row.Apart.explain(&why, row.Name+", apart")
	}
	_ = table.Flush()
	if why.Len() > 0 {
		fmt.Fprintf(out, "\nwithout a number, or with fewer:\n%s", why.String())
	}
	if len(r.Notes) > 0 {
		fmt.Fprintf(out, "\nnotes:\n  %s\n", strings.Join(r.Notes, "\n  "))
	}
	fmt.Fprintln(out, "\nnot measured yet:")
	for _, u := range r.Unmeasured {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", u.What, u.Target, u.Why)
	}
	_ = table.Flush()
}

func (r *results) write(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
