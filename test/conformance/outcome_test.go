package conformance

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed-200a7251/km/test/conformance/images"
)

// spec is what became of one.
type spec struct {
	Name    string `json:"name"`
	State   string `json:"state"`            // as Ginkgo has it: passed, failed, timedout, …; or left out
	Reason  string `json:"reason,omitempty"` // why it cannot pass, or why it has not
	message string
}

// outcome is what became of specs, by name.
type outcome map[string]spec

func (o outcome) names() []string { return slices.Sorted(maps.Keys(o)) }

// reportName is that of the file in which the tests themselves report, in JUnit's form.
const reportName = "junit_01.xml"

// readReport reads what they have written.
func readReport(file string) (outcome, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	type failure struct {
		Text string `xml:",chardata"`
	}
	var report struct {
		Cases []struct {
			Name    string `xml:"name,attr"`
			Status  string `xml:"status,attr"`
			Skipped *struct {
				Message string `xml:"message,attr"`
			} `xml:"skipped"`
			Failure, Error failure
		} `xml:"testsuite>testcase"`
	}
	if err := xml.Unmarshal(text, &report); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	o := outcome{}
	for _, c := range report.Cases {
		s := spec{State: c.Status, message: strings.TrimSpace(c.Failure.Text + c.Error.Text)}
		name, isSpec := strings.CutPrefix(c.Name, "[It] ")
		switch {
		case !isSpec && s.State == "passed": // of the suite's own steps only what fails is a result
		case c.Skipped != nil && c.Skipped.Message == "skipped": // not chosen
		default:
			if c.Skipped != nil {
				s.message = c.Skipped.Message
			}
			o[name] = s
		}
	}
	return o, nil
}

var sig = regexp.MustCompile(`\[(sig-[a-z-]+)\]`)

// print prints a table by SIG.
func (o outcome) print(to io.Writer, kind string) {
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
			case reasonOf(kind, name) != "":
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

// kept is what a file of results has of one kind of nodes.
type kept struct {
	Versions []string `json:"versions"`
	Date     string   `json:"date"`
	Specs    int      `json:"specs"`
	Passed   int      `json:"passed"`
	// Images are what the containers ran, where the published ones could not be had.
	Images  []images.Image `json:"images,omitempty"`
	Results []spec         `json:"results"`
}

// keep writes what became of each spec of the conformance suite, beside what there is of other nodes.
func (o outcome) keep(file string, r *run) error {
	version, err := exec.Command(r.km, "version").Output()
	if err != nil {
		return fmt.Errorf("km version: %w", err)
	}
	k := kept{Versions: strings.Split(strings.TrimSpace(string(version)), "\n"), Date: time.Now().UTC().Format(time.DateOnly), Images: r.images}
	for _, u := range unableOn[r.kind] {
		for _, name := range u.specs {
			if _, ran := o[name]; !ran {
				o[name] = spec{State: leftOut}
			}
		}
	}
	for _, name := range o.names() {
		s := o[name]
		s.Name = name
		switch {
		case s.State == "passed":
			k.Passed++
		case reasonOf(r.kind, name) != "":
			s.Reason = reasonOf(r.kind, name)
		default:
			s.Reason = s.message
		}
		k.Specs++
		k.Results = append(k.Results, s)
	}
	byKind := map[string]kept{}
	switch text, err := os.ReadFile(file); {
	case err == nil:
		if err := json.Unmarshal(text, &byKind); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	byKind[r.kind] = k
	text, err := json.MarshalIndent(byKind, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
