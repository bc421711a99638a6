//go:build unix

package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// print shows the results as a table: a line for each side of each row.
func (r *results) print(out io.Writer) {
	m := r.Machine
	fmt.Fprintf(out, "\n%s\n%s, %d cores, %d MB, Linux %s, load before %s, after %s\n", m.KM, m.CPU, m.Cores, m.MemoryMB, m.Kernel,
		m.LoadBefore, m.LoadAfter)
	fmt.Fprintf(out, "median (min–max) of %d runs of each side, in turns\n\n", r.Runs)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "row\twhat\tside\tmeasured\tkm/side\ttarget")
	var why strings.Builder
	for _, row := range r.Rows {
		name, what, target := row.Name, row.What, row.Target
		for _, f := range row.Sides {
			ratio := ""
			if f.KMBy != 0 {
				ratio = fmt.Sprintf("%.2f", f.KMBy)
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", name, what, f.Side, f.text(row.Unit), ratio, target)
			name, what, target = "", "", ""
			if f.Why != "" {
				fmt.Fprintf(&why, "  %s, %s: %s\n", row.Name, f.Side, f.Why)
			}
		}
	}
	_ = table.Flush()
	if why.Len() > 0 {
		fmt.Fprintf(out, "\nwithout a number, or with fewer:\n%s", why.String())
	}
	if len(r.Notes) > 0 {
		fmt.Fprintf(out, "\nnotes:\n  %s\n", strings.Join(r.Notes, "\n  "))
	}
}

func (f *figures) text(unit string) string {
	if f.count() == 0 {
		return "–"
	}
	text := number(f.Median)
	if unit != "" {
		text += " " + unit
	}
	if f.Min != f.Max {
		text += fmt.Sprintf(" (%s–%s)", number(f.Min), number(f.Max))
	}
	if f.Failed > 0 {
		text += fmt.Sprintf(", %d failed", f.Failed)
	}
	return text
}

// number has three digits that count: more would be noise.
func number(n float64) string {
	digits := 3
	switch size := math.Abs(n); {
	case size >= 100 || n == math.Trunc(n):
		digits = 0
	case size >= 10:
		digits = 1
	case size >= 1:
		digits = 2
	}
	return fmt.Sprintf("%.*f", digits, n)
}
