package suites

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A difference is why specs of a suite fail where controllers run beside the kube-apiserver.
type difference struct {
	suite string

	// plain tells that they fail on plain links: for what is not there here, and no controller does.
	plain bool

	// why is what a controller does there.
	why string

	// says are parts of failures. Each failure has one of them: a spec that fails for another reason is not listed.
	says []string

	// specs are those that fail so, or all that may if there are none. Which ones do depends on who is first, the
	// controller or the spec; one does at least.
	specs []string

	// may tells that they may all pass.
	may bool

	// hang tells that a spec which fails so waits for ever. They are left out.
	hang bool
}

func (d *difference) names(spec string) bool {
	return len(d.specs) == 0 || slices.Contains(d.specs, spec)
}

// explains tells whether a spec fails as it is listed.
func (d *difference) explains(spec, message string) bool {
	return d.names(spec) && slices.ContainsFunc(d.says, func(part string) bool { return strings.Contains(message, part) })
}

// listed are the differences of a suite.
func listed(suite string, k *kind) (found []*difference) {
	for i := range differences {
		if (k.with == "") == differences[i].plain && differences[i].suite == suite {
			found = append(found, &differences[i])
		}
	}
	return found
}

// skipped is the pattern of specs that are left out, of Ginkgo's.
func skipped(listed []*difference) string {
	var patterns []string
	for _, d := range listed {
		for _, spec := range d.specs {
			if d.hang {
				patterns = append(patterns, regexp.QuoteMeta(spec))
			}
		}
	}
	return strings.Join(patterns, "|")
}

// A judgement has what is wrong about an outcome, and the specs that differ as the list says.
type judgement struct {
	problems []string
	differ   []string
}

// judge compares an outcome with the list.
func judge(o *outcome, listed []*difference) (j judgement) {
	problem := func(format string, args ...any) { j.problems = append(j.problems, fmt.Sprintf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(o.specs)) {
		v := o.specs[name]
		if v.state != "failed" {
			continue
		}
		if slices.ContainsFunc(listed, func(d *difference) bool { return d.explains(name, v.message) }) {
			j.differ = append(j.differ, name)
		} else if slices.ContainsFunc(listed, func(d *difference) bool { return d.names(name) }) {
			problem("it fails otherwise than differences_test.go lists it: %s\n%s", name, v.message)
		} else {
			problem("it fails: %s\n%s", name, v.message)
		}
	}
	for _, d := range listed {
		for _, name := range d.specs {
			if _, ran := o.specs[name]; !ran {
				problem("differences_test.go lists a spec that there is not: %s", name)
			}
		}
		explained := func(name string) bool { return d.explains(name, o.specs[name].message) }
		if !d.may && !d.hang && !slices.ContainsFunc(j.differ, explained) {
			problem("differences_test.go lists what no spec has failed for: %s", d.why)
		}
	}
	if o.ended != nil && o.count("failed") == 0 {
		problem("no spec has failed, but the suite ended with %v", o.ended)
	}
	return j
}

func TestJudge(t *testing.T) {
	specs := func(states ...string) *outcome {
		o := &outcome{specs: map[string]verdict{}}
		for _, s := range states {
			name, state, _ := strings.Cut(s, "=")
			state, message, _ := strings.Cut(state, ":")
			o.add(name, verdict{state, message})
		}
		return o
	}
	ended := specs("a=passed")
	ended.ended = errors.New("exit status 2")
	b := &difference{says: []string{"modified"}, specs: []string{"b"}}
	mayB := &difference{says: []string{"modified"}, specs: []string{"b"}, may: true}
	all := &difference{says: []string{"modified"}}
	for _, test := range []struct {
		name   string
		o      *outcome
		listed *difference
		want   string // a part of the only problem
		differ int
	}{
		{"all pass", specs("a=passed", "b=skipped"), nil, "", 0},
		{"one fails", specs("a=passed", "b=failed:modified"), nil, "it fails: b", 0},
		{"a listed one fails", specs("a=passed", "b=failed:modified"), b, "", 1},
		{"a listed one fails otherwise", specs("b=failed:gone"), mayB, "otherwise", 0},
		{"one more fails", specs("a=failed:modified", "b=failed:modified"), b, "it fails: a", 1},
		{"a listed one passes", specs("a=passed", "b=passed"), b, "no spec has failed for", 0},
		{"a listed one may pass", specs("b=passed"), mayB, "", 0},
		{"a listed one is gone", specs("a=passed"), mayB, "there is not: b", 0},
		{"any may fail", specs("a=failed:modified", "b=passed"), all, "", 1},
		{"any may fail, but not so", specs("a=failed:gone", "b=failed:modified"), all, "otherwise", 1},
		{"any may fail, and none does", specs("a=passed"), all, "no spec has failed for", 0},
		{"the second of a name fails", specs("b=passed", "b=failed"), nil, "it fails: b #2", 0},
		{"the process fails", ended, nil, "exit status 2", 0},
	} {
		var listed []*difference
		if test.listed != nil {
			listed = append(listed, test.listed)
		}
		j := judge(test.o, listed)
		right := len(j.problems) == 0
		if test.want != "" {
			right = len(j.problems) == 1 && strings.Contains(j.problems[0], test.want)
		}
		if !right || len(j.differ) != test.differ {
			t.Errorf("%s: %d differ, want %d; the problems are %q, want %q",
				test.name, len(j.differ), test.differ, j.problems, test.want)
		}
	}
}

// The list names suites that there are, each spec once for a reason, and each reason with what failures say.
func TestDifferences(t *testing.T) {
	for _, d := range differences {
		if d.why == "" || len(d.says) == 0 {
			t.Errorf("a reason, or what failures say, is missing: %+v", d)
		}
		seen := map[string]bool{}
		for _, spec := range d.specs {
			if seen[spec] {
				t.Errorf("%s: listed twice: %s", d.suite, spec)
			}
			seen[spec] = true
		}
		if !slices.ContainsFunc(modules, func(m *module) bool {
			return slices.ContainsFunc(m.packages, func(p string) bool { return m.name+"/"+p == d.suite })
		}) {
			t.Errorf("listed is a suite that there is not: %s", d.suite)
		}
	}
}
