package process

import (
	"context"
	"testing"
	"testing/synctest"
)

// Of one component only one start is in its turn, and others do not wait for it; who is to stop does not, either.
func TestTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end, err := Turn(t.Context(), "one")
		if err != nil {
			t.Fatal(err)
		}
		other, err := Turn(t.Context(), "other")
		if err != nil {
			t.Fatal(err)
		}
		other()
		stopped, stop := context.WithCancel(t.Context())
		refused := make(chan error, 1)
		go func() { _, err := Turn(stopped, "one"); refused <- err }()
		had := make(chan func(), 1)
		go func() {
			end, err := Turn(t.Context(), "one")
			if err != nil {
				t.Error(err)
			}
			had <- end
		}()
		synctest.Wait()
		if len(had)+len(refused) > 0 {
			t.Fatal("two are in their turn")
		}
		stop()
		synctest.Wait()
		if len(had) > 0 || <-refused == nil {
			t.Error("one that is to stop has its turn")
		}
		end()
		end() // again
		(<-had)()
	})
}
