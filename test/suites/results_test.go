package suites

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"text/tabwriter"
	"time"
)

// A result is that of a suite on a kind of links.
type result struct {
	KM      string `json:"km"` // of which the links were
	Module  string `json:"module"`
	Suite   string `json:"suite"`
	With    string `json:"with,omitempty"` // the servers beside the kube-apiserver
	Specs   int    `json:"specs"`
	Passed  int    `json:"passed"`
	Skipped int    `json:"skipped"`
	Differ  int    `json:"differ"` // fail as is listed
	seconds float64
	failed  bool
}

// kept is what results.json has.
type kept struct {
	Kubernetes string   `json:"kubernetes"`
	Date       string   `json:"date"`
	Results    []result `json:"results"`
}

type table []result

// finished are the suites that have run. They run one after the other.
var finished table

func (t *table) add(r result) { *t = append(*t, r) }

// print prints the table.
func (t table) print(to io.Writer) {
	if len(t) == 0 {
		return
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "suite\tlinks\tspecs\tpassed\tskipped\tdiffer\tseconds\t")
	total := map[string]*result{}
	row := func(r result, mark string) {
		links := "plain"
		if r.With != "" {
			links = "with"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%.0f\t%s\n",
			r.Suite, links, r.Specs, r.Passed, r.Skipped, r.Differ, r.seconds, mark)
	}
	for _, r := range t {
		mark := ""
		if r.failed {
			mark = "failed"
		}
		row(r, mark)
		sum := total[r.With]
		if sum == nil {
			sum = &result{Suite: "all", With: r.With}
			total[r.With] = sum
		}
		sum.Specs, sum.Passed, sum.Skipped = sum.Specs+r.Specs, sum.Passed+r.Passed, sum.Skipped+r.Skipped
		sum.Differ, sum.seconds = sum.Differ+r.Differ, sum.seconds+r.seconds
	}
	for _, with := range []string{"", companions} {
		if sum := total[with]; sum != nil {
			row(*sum, "")
		}
	}
	_ = w.Flush() // it is printed for people
}

// keep puts the results into the file. Those of suites that have not run, or have not passed, stay.
func (t table) keep(file string) error {
	all, err := read(file)
	if err != nil {
		return err
	}
	km, kubernetes, err := versions()
	if err != nil {
		return err
	}
	all.Kubernetes = kubernetes
	all.Date = time.Now().UTC().Format(time.DateOnly)
	for _, r := range t {
		r.KM = km
		switch i := slices.IndexFunc(all.Results, r.same); {
		case r.failed:
		case i >= 0:
			all.Results[i] = r
		default:
			all.Results = append(all.Results, r)
		}
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

func (r result) same(o result) bool { return o.Suite == r.Suite && o.With == r.With }

// done is how many specs have passed, or differ as is listed.
func (r result) done() int { return r.Passed + r.Differ }

// read reads results. Without the file there are none.
func read(file string) (all kept, err error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return all, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return all, fmt.Errorf("%s: %w", file, err)
	}
	return all, nil
}

// fewer tells whether specs of the same version are missing that passed, or differed, the last time. A suite that
// leaves them out by itself does not get by.
func (r result) fewer() error {
	all, err := read("results.json")
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all.Results, r.same)
	if i < 0 || all.Results[i].Module != r.Module || r.done() >= all.Results[i].done() {
		return nil
	}
	return fmt.Errorf("%d specs have passed or differ, and %d did when results.json was written",
		r.done(), all.Results[i].done())
}
