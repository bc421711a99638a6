package robustness

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// outcome is what `make robustness` has found last; results.json keeps it.
type outcome struct {
	Version    string         `json:"version"`
	Seed       uint64         `json:"seed"`
	Rounds     int            `json:"rounds"`
	Operations int            `json:"operations"` // that were answered
	Changes    int            `json:"changes"`    // in etcd's histories
	Events     int            `json:"events"`     // of watches
	Faults     map[string]int `json:"faults"`     // how often each was injected in runs in which all promises held
}

var rewrite = flag.Bool("update", false, "write the results into the table of faults")

// row of the table of faults: fault, what is promised, test, last result.
var row = regexp.MustCompile(`(?m)^\| ([^|\n]+) \| ([^|\n]+) \| ([^|\n]+) \| ([^|\n]+) \|$`)

var named = regexp.MustCompile("`([a-z0-9/]+): (Test\\w+)`")

// Each row of the table of faults names a test that there is, and no result in it is typed in: those of `make
// robustness` are from results.json, and all others are tests of the gate.
func TestTableOfFaults(t *testing.T) {
	root := filepath.Join("..", "..")
	file := filepath.Join(root, "test", "README.md")
	readme, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("results.json")
	if err != nil {
		t.Fatal(err)
	}
	var last outcome
	if err := json.Unmarshal(text, &last); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(string(readme), -1) {
		name, tests, result := m[1], m[3], m[4]
		if name == "fault" || strings.HasPrefix(name, "--") {
			continue
		}
		seen[name] = true
		there := named.FindAllStringSubmatch(tests, -1)
		if len(there) == 0 {
			t.Errorf("%s: %q names no test as `folder: TestName`", name, tests)
		}
		for _, n := range there {
			if !hasTest(t, filepath.Join(root, n[1]), n[2]) {
				t.Errorf("%s: there is no %s in %s", name, n[2], n[1])
			}
		}
		want := "`make test`"
		if times, ok := last.Faults[name]; ok {
			want = fmt.Sprintf("held, %d times", times)
		}
		if *rewrite {
			readme = bytes.Replace(readme, []byte(m[0]), []byte(strings.TrimSuffix(m[0], result+" |")+want+" |"), 1)
		} else if result != want {
			t.Errorf("%s: the last result is %q, and the table has %q", name, want, result)
		}
	}
	if *rewrite {
		if err := os.WriteFile(file, readme, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) == 0 {
		t.Error("the table has no rows")
	}
	for name := range last.Faults {
		if !seen[name] {
			t.Errorf("the table has no row for %q", name)
		}
	}
}

// hasTest is whether the folder's tests have one of that name.
func hasTest(t *testing.T, dir, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}
