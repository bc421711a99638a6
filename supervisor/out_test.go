package supervisor

import (
	"bytes"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
)

// A plain buffer is enough for SetOut, although log lines come from other goroutines than what is printed.
func TestSetOutTakesAPlainBuffer(t *testing.T) {
	const writers, lines = 8, 2000
	var out bytes.Buffer
	hk := &HyperKube{Name: "hk"}
	hk.SetOut(&out)
	screen := hk.screen()
	var g errgroup.Group
	for range writers {
		g.Go(func() error {
			for range lines {
				if _, err := hk.Out().Write([]byte("a line\n")); err != nil {
					return err
				}
				if _, err := screen.Write([]byte("a line\n")); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if diff := strings.Count(out.String(), "a line\n") - 2*writers*lines; diff != 0 || out.Len() != 2*writers*lines*len("a line\n") {
		t.Errorf("%d lines more or less than were written, of %d bytes", diff, out.Len())
	}
}
