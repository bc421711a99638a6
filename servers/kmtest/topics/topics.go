// Package topics has what is to be read about tests with km. It is a package of its own for the sake of the binary,
// which tests nothing.
package topics

import (
	_ "embed"

	"github.com/seed-200a7251/km/supervisor"
)

//go:embed envtest.md
var envtestText string

//go:embed kmtest.md
var kmtestText string

//go:embed tests.md
var testsText string

// Topics are about tests.
func Topics() []*supervisor.Topic {
	return []*supervisor.Topic{
		{Name: "envtest", Short: "a suite on controller-runtime's envtest", Text: envtestText},
		{Name: "kmtest", Short: "a test in Go that starts its own cluster", Text: kmtestText},
		{Name: "tests", Short: "which way your tests have a cluster", Text: testsText},
	}
}
