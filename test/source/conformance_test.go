package source

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the README says of the conformance suite is what the kept results say.
func TestReadmeTellsOfConformance(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "test", "conformance", "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	var results struct {
		Real, Simulated struct{ Specs, Passed int }
	}
	if err := json.Unmarshal(text, &results); err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	words := strings.Join(strings.Fields(string(readme)), " ")
	for _, want := range []string{
		fmt.Sprintf("%d of %d specs pass on two machines with real containers", results.Real.Passed, results.Real.Specs),
		fmt.Sprintf("%d of %d on simulated nodes", results.Simulated.Passed, results.Simulated.Specs),
	} {
		if !strings.Contains(words, want) {
			t.Errorf("the README does not say %q", want)
		}
	}
}
