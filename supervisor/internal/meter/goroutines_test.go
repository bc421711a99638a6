package meter

import (
	"sync"
	"testing"
)

func TestGoroutines(t *testing.T) {
	all := servers(t, "db", "api", "idle")
	end := make(chan struct{})
	var parked, started sync.WaitGroup
	park := func() { started.Done(); <-end }
	started.Add(8 + 2 + 20)
	all[0].Do(func() {
		for range 6 {
			parked.Go(park)
		}
		parked.Go(func() { parked.Go(park); park() }) // one that another one starts
	})
	all[1].Do(func() {
		for range 2 {
			parked.Go(park)
		}
	})
	for range 20 {
		parked.Go(park)
	}
	started.Wait()
	got, err := Goroutines()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{8, 2, 0} {
		if n := got[all[i].Name()]; n != want {
			t.Errorf("%s has %d, want %d", all[i].Name(), n, want)
		}
	}
	if n := got[""]; n < 20 { // and those of the tests
		t.Errorf("%d are nobody's, want 20 at least", n)
	}
	close(end)
	parked.Wait()
	if got, err := Goroutines(); err != nil || got[all[0].Name()] > 7 {
		t.Errorf("they are counted when they have ended: %v, %v", got, err)
	}
}

// BenchmarkGoroutines is for so many goroutines as the servers of Kubernetes have.
func BenchmarkGoroutines(b *testing.B) {
	end := make(chan struct{})
	var parked sync.WaitGroup
	for range 2000 {
		parked.Go(func() { <-end })
	}
	for b.Loop() {
		if _, err := Goroutines(); err != nil {
			b.Fatal(err)
		}
	}
	close(end)
	parked.Wait()
}
