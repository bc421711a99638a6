package conformance

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// spec is what became of one.
type spec struct {
	Name    string `json:"name"`
	State   string `json:"state"`            // as Ginkgo has it: passed, failed, timedout, …; or left out
	Reason  string `json:"reason,omitempty"` // why it cannot pass
	message string
}

// outcome is what became of specs, by name.
type outcome map[string]spec

func (o outcome) add(more outcome) { maps.Copy(o, more) }

func (o outcome) names() []string { return slices.Sorted(maps.Keys(o)) }

// readReport reads what Ginkgo has written.
func readReport(file string) (outcome, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var reports []struct {
		SpecReports []struct {
			ContainerHierarchyTexts           []string
			LeafNodeType, LeafNodeText, State string
			Failure                           struct{ Message, ForwardedPanic string }
		}
	}
	if err := json.Unmarshal(text, &reports); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	o := outcome{}
	for _, r := range reports {
		for _, s := range r.SpecReports {
			name := strings.Join(append(s.ContainerHierarchyTexts, s.LeafNodeText), " ")
			switch {
			case s.LeafNodeType != "It" && s.State == "passed": // of the suite's own steps only what fails is a result
			case s.LeafNodeType != "It":
				o["["+s.LeafNodeType+"] "+name] = spec{State: s.State, message: s.Failure.Message + s.Failure.ForwardedPanic}
			case s.State == "skipped" && s.Failure.Message == "": // not chosen
			default:
				o[name] = spec{State: s.State, message: s.Failure.Message + s.Failure.ForwardedPanic}
			}
		}
	}
	return o, nil
}

var sig = regexp.MustCompile(`\[(sig-[a-z-]+)\]`)

// print prints a table by SIG.
func (o outcome) print(to io.Writer) {
	type row struct{ passed, unable, other int }
	rows, sum := map[string]*row{}, &row{}
	for name, s := range o {
		of := "others"
		if m := sig.FindStringSubmatch(name); m != nil {
			of = m[1]
		}
		if rows[of] == nil {
			rows[of] = &row{}
		}
		for _, r := range []*row{rows[of], sum} {
			switch {
			case s.State == "passed":
				r.passed++
			case reasonOf(name) != "":
				r.unable++
			default:
				r.other++
			}
		}
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SIG\tpassed\tcannot\tfailed\t")
	for _, of := range slices.Sorted(maps.Keys(rows)) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t\n", of, rows[of].passed, rows[of].unable, rows[of].other)
	}
	fmt.Fprintf(w, "all\t%d\t%d\t%d\t\n", sum.passed, sum.unable, sum.other)
	_ = w.Flush() // it is printed for people
}

// leftOut is the state of a spec that cannot pass and was not run.
const leftOut = "left out"

// keep writes what became of each spec of the conformance suite.
func (o outcome) keep(file, km string) error {
	version, err := exec.Command(km, "version").Output()
	if err != nil {
		return fmt.Errorf("km version: %w", err)
	}
	kept := struct {
		Versions []string `json:"versions"`
		Date     string   `json:"date"`
		Nodes    string   `json:"nodes"`
		Specs    int      `json:"specs"`
		Passed   int      `json:"passed"`
		Results  []spec   `json:"results"`
	}{Versions: strings.Split(strings.TrimSpace(string(version)), "\n"), Date: time.Now().UTC().Format(time.DateOnly), Nodes: "simulated"}
	for _, u := range unable {
		for _, name := range u.specs {
			if _, ran := o[name]; !ran {
				o[name] = spec{State: leftOut}
			}
		}
	}
	for _, name := range o.names() {
		s := o[name]
		s.Name = name
		if s.State != "passed" {
			s.Reason = reasonOf(name)
		} else {
			kept.Passed++
		}
		kept.Specs++
		kept.Results = append(kept.Results, s)
	}
	text, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
