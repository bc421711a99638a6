// Package skip has the rule for tests that a machine cannot run.
package skip

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// OrFail skips the test and says why. On CI, which skips nothing, the test fails. go test does not tell of skipped
// tests, so the reason is also appended to the file that KM_SKIPPED names, which `make test` shows.
func OrFail(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	if file := os.Getenv("KM_SKIPPED"); file != "" {
		f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			t.Fatal(err)
		}
		_, err = fmt.Fprintf(f, "%s: %s\n", t.Name(), why)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	t.Skip(why)
}
