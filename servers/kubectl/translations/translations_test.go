package translations_test

import (
	"strings"
	"testing"

	// It has texts in variables.
	_ "k8s.io/kubectl/pkg/cmd"

	"github.com/seed-200a7251/km/servers/kubectl/translations"
)

// It is all about being initialised before upstream's packages.
func TestComesFirst(t *testing.T) {
	if !translations.Skipped() {
		t.Error("kubectl has loaded its translations, or has no texts in variables any more")
	}
}

func TestCalled(t *testing.T) {
	for args, want := range map[string]bool{
		"":                      false,
		"km":                    false,
		"km version":            false,
		"km kubectl":            true,
		"km help kubectl":       true,
		"km --name a kubectl":   true,
		"kubectl":               true,
		"/usr/bin/kubectl get":  true,
		"kubectl.exe":           true,
		"km kubectl-like":       false,
		"/home/kubectl/km logs": false,
		"km run -- kubectl get": true,
	} {
		if got := translations.Called(strings.Fields(args)); got != want {
			t.Errorf("called(%q) = %v, want %v", args, got, want)
		}
	}
}
