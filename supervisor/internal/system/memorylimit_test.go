package system

import "testing"

// A margin is left for what the runtime does not count.
func TestHeapLimit(t *testing.T) {
	for limit, want := range map[uint64]uint64{100: 50, 300: 236, 640: 576, 4000: 3600} {
		if got := HeapLimit(limit << 20); got != want<<20 {
			t.Errorf("of %d MiB it is %d, want %d", limit, got>>20, want)
		}
	}
}
