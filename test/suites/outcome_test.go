package suites

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
)

// A verdict is what became of a spec.
type verdict struct {
	state   string // passed, failed or skipped
	message string // why it failed
}

// An outcome is what became of a suite: its specs by name, where a test in plain Go is a spec, too.
type outcome struct {
	specs   map[string]verdict
	ended   error // how the process has ended
	seconds float64
}

// add adds a spec. Where several have the same text, their order tells them apart.
func (o *outcome) add(name string, v verdict) {
	unique := name
	for n := 2; ; n++ {
		if _, taken := o.specs[unique]; !taken {
			break
		}
		unique = fmt.Sprintf("%s #%d", name, n)
	}
	o.specs[unique] = v
}

func (o *outcome) count(state string) (n int) {
	for _, v := range o.specs {
		if v.state == state {
			n++
		}
	}
	return n
}

// readTests reads what tests in plain Go have printed. Where Ginkgo has reported, the test that runs it is none: it
// fails with its specs.
func (o *outcome) readTests(output string, reported bool) error {
	text, err := os.ReadFile(output)
	if err != nil {
		return err
	}
	convert := exec.Command("go", "tool", "test2json")
	convert.Stdin = bytes.NewReader(text)
	events, err := convert.Output()
	if err != nil {
		return fmt.Errorf("go tool test2json: %w", err)
	}
	printed, states := map[string]*strings.Builder{}, map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(events))
	lines.Buffer(nil, len(events)+1)
	for lines.Scan() {
		var e struct{ Action, Test, Output string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("go tool test2json: %w", err)
		}
		if e.Test == "" {
			continue
		}
		if printed[e.Test] == nil {
			printed[e.Test] = &strings.Builder{}
		}
		switch e.Action {
		case "run":
			states[e.Test] = "failed" // unless it ends
		case "output":
			printed[e.Test].WriteString(e.Output)
		case "pass", "skip":
			states[e.Test] = map[string]string{"pass": "passed", "skip": "skipped"}[e.Action]
		}
	}
	for name, state := range states {
		text := printed[name].String()
		ginkgo := reported && strings.Contains(text, "\nRunning Suite: ")
		if subtests, failed := within(name, states); !ginkgo && (!subtests || state == "failed" && !failed) {
			o.add(name, verdict{state, text})
		}
	}
	return lines.Err()
}

// within tells whether a test has subtests, and whether one has failed. These are specs instead of it, unless it fails
// by itself.
func within(name string, states map[string]string) (subtests, failed bool) {
	for other, state := range states {
		if strings.HasPrefix(other, name+"/") {
			subtests, failed = true, failed || state == "failed"
		}
	}
	return subtests, failed
}

// readReport reads Ginkgo's report, if there is one.
func (o *outcome) readReport(file string) (found bool, err error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var reports []struct {
		SpecialSuiteFailureReasons []string
		SpecReports                []struct {
			ContainerHierarchyTexts           []string
			LeafNodeType, LeafNodeText, State string
			Failure                           struct{ Message, ForwardedPanic string }
		}
	}
	if err := json.Unmarshal(text, &reports); err != nil {
		return false, fmt.Errorf("Ginkgo's report: %w", err)
	}
	for _, r := range reports {
		for _, reason := range r.SpecialSuiteFailureReasons {
			o.add("[suite]", verdict{"failed", reason})
		}
		for _, s := range r.SpecReports {
			v := verdict{s.State, s.Failure.Message + s.Failure.ForwardedPanic}
			switch s.State {
			case "passed", "skipped":
			case "pending":
				v.state = "skipped"
			default: // panicked, timedout, interrupted, aborted
				v.state, v.message = "failed", s.State+": "+v.message
			}
			name := strings.Join(append(s.ContainerHierarchyTexts, s.LeafNodeText), " ")
			switch {
			case s.LeafNodeType == "It":
				o.add(name, v)
			case v.state == "failed": // of the suite's own steps only what fails is a result
				o.add("["+s.LeafNodeType+"] "+name, v)
			}
		}
	}
	return true, nil
}
