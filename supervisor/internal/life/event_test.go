package life

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

// numbered publishes n events, and returns their servers' names.
func numbered(es *events, n int) (names []string) {
	for i := range n {
		name := strconv.Itoa(i)
		es.publish(Event{Server: name})
		names = append(names, name)
	}
	return names
}

func TestSlowReaderLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		es := new(events)
		var fast, slow []string
		step := make(chan struct{})
		go es.read(t.Context(), 0, func(e Event) { fast = append(fast, e.Server) })
		go es.read(t.Context(), 0, func(e Event) {
			<-step
			slow = append(slow, e.Server)
		})
		want := numbered(es, 100)
		synctest.Wait()
		if diff := cmp.Diff(want, fast); diff != "" {
			t.Errorf("the slow reader holds the fast one up (-want +got):\n%s", diff)
		}
		if len(slow) > 0 {
			t.Errorf("the slow reader is fast: %v", slow)
		}
		es.close()
		close(step)
		synctest.Wait()
		if diff := cmp.Diff(want, slow); diff != "" {
			t.Errorf("slow reader (-want +got):\n%s", diff)
		}
	})
}

func TestLateReaderReadsFromTheFirstEvent(t *testing.T) {
	es := new(events)
	want := numbered(es, 3)
	es.close()
	var got []string
	es.read(t.Context(), 0, func(e Event) { got = append(got, e.Server) }) // returns: there are no more
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestReaderEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := false
		go func() {
			new(events).read(ctx, 0, func(Event) {})
			ended = true
		}()
		synctest.Wait()
		if ended {
			t.Fatal("it has ended by itself")
		}
		cancel()
		synctest.Wait()
		if !ended {
			t.Error("it has not ended")
		}
	})
}
