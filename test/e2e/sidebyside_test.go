package e2e

import (
	"testing"

	"golang.org/x/sync/errgroup"
)

// subtest is one, by its name.
type subtest struct {
	name string
	test func(t *testing.T)
}

const unlimited = -1

// sideBySide runs parts of a test at the same time, no more than limit at once, and returns when all have ended. With
// testing's own Parallel each would wait for a turn among all tests of the package, while the cluster runs that they
// share.
func sideBySide(t *testing.T, limit int, parts ...subtest) {
	t.Helper()
	var g errgroup.Group
	g.SetLimit(limit)
	for _, p := range parts {
		g.Go(func() error {
			t.Run(p.name, p.test)
			return nil
		})
	}
	_ = g.Wait() // there is none
}
