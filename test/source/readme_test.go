package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the README shows of test/monitoring is what stands there.
func TestReadmeShowsMonitoring(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(filepath.Join(root, "test", "monitoring", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "Its main function, and one of its servers:\n\n```go\n")
	shown, _, ended := strings.Cut(rest, "```\n")
	if !found || !ended {
		t.Fatal("the README does not show it")
	}
	for part := range strings.SplitSeq(strings.TrimSpace(shown), "\n}\n") {
		if part = strings.TrimSuffix(strings.TrimSpace(part), "\n}"); !strings.Contains(string(code), part+"\n}\n") {
			t.Errorf("this is not in main.go:\n%s", part)
		}
	}
}
