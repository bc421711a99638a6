//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// results are what the file has in it.
type results struct {
	Machine machine      `json:"machine"`
	Runs    int          `json:"runs"`
	Rows    []*resultRow `json:"rows"`
	Notes   []string     `json:"notes,omitempty"`

	private *strings.Replacer // of folders, whose names are nobody's business
}

type resultRow struct {
	Name   string     `json:"name"`
	What   string     `json:"what"`
	Unit   string     `json:"unit,omitempty"`
	Better string     `json:"better"` // "less" or "more"
	Target string     `json:"target,omitempty"`
	Sides  []*figures `json:"sides"` // km first
}

// figures are of one side in one row. Without samples, Why says why there are none; with samples, it says what else
// happened.
type figures struct {
	Side string `json:"side"`
	*spread
	KMBy   float64 `json:"kmBy,omitempty"` // km's median divided by this one
	Failed int     `json:"failed,omitempty"`
	Why    string  `json:"why,omitempty"`
}

// spread is nil as long as there are no samples.
type spread struct {
	Median  float64   `json:"median"`
	Min     float64   `json:"min"`
	Max     float64   `json:"max"`
	Samples []float64 `json:"samples"`
}

// newResults has room for the rows that are selected.
func newResults(selected []string, work string) *results {
	hide := []string{work, "WORK"}
	if dir, err := os.Getwd(); err == nil {
		hide = append(hide, dir+string(filepath.Separator), "")
	}
	if home, err := os.UserHomeDir(); err == nil {
		hide = append(hide, home+string(filepath.Separator), "~/")
	}
	r := &results{private: strings.NewReplacer(hide...)}
	for _, row := range rows {
		if !slices.Contains(selected, row.name) {
			continue
		}
		result := &resultRow{Name: row.name, What: row.what, Unit: row.unit, Better: "less", Target: row.target}
		if row.more {
			result.Better = "more"
		}
		for _, side := range row.sides {
			result.Sides = append(result.Sides, &figures{Side: side})
		}
		r.Rows = append(r.Rows, result)
	}
	return r
}

// figures are those of a row's side; nil if the row is not selected, or does not have that side.
func (r *results) figures(row, side string) *figures {
	for _, candidate := range r.Rows {
		if candidate.Name != row {
			continue
		}
		for _, f := range candidate.Sides {
			if f.Side == side {
				return f
			}
		}
	}
	return nil
}

func (r *results) add(row, side string, value float64) {
	if f := r.figures(row, side); f != nil {
		if f.spread == nil {
			f.spread = &spread{}
		}
		f.Samples = append(f.Samples, value)
	}
}

// count is how many samples there are.
func (f *figures) count() int {
	if f.spread == nil {
		return 0
	}
	return len(f.Samples)
}

// failed notes for rows why there is no sample this time. The first reason is kept.
func (r *results) failed(side string, err error, names ...string) {
	for _, name := range names {
		if f := r.figures(name, side); f != nil {
			f.Failed++
			if f.Why == "" {
				f.Why = r.private.Replace(err.Error())
			}
		}
	}
}

// note adds a remark, once.
func (r *results) note(format string, args ...any) {
	if text := r.private.Replace(fmt.Sprintf(format, args...)); !slices.Contains(r.Notes, text) {
		r.Notes = append(r.Notes, text)
	}
}

// finish computes what follows from the samples.
func (r *results) finish(runs int) {
	r.Runs = runs
	r.Machine.LoadAfter = load()
	for _, row := range r.Rows {
		for i, f := range row.Sides {
			f.finish()
			if km := row.Sides[0]; i > 0 && km.count() > 0 && f.count() > 0 && km.Median > 0 && f.Median > 0 {
				f.KMBy = km.Median / f.Median
			}
		}
	}
}

func (f *figures) finish() {
	n := f.count()
	if n == 0 {
		return
	}
	sorted := slices.Sorted(slices.Values(f.Samples))
	f.Min, f.Max = sorted[0], sorted[n-1]
	f.Median = (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func (r *results) write(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
