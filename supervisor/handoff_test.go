package supervisor

import (
	"context"
	"testing"
)

// What Ready did not take is gone when Run returns. The next Run does not block on it.
func TestHandoff(t *testing.T) {
	h := NewHandoff[string]()
	h.Put("not taken")()
	if n := len(h); n > 0 {
		t.Fatalf("%d are left when Run has returned", n)
	}
	clear := h.Put("taken")
	if v, err := h.Get(t.Context()); v != "taken" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	clear()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if v, err := h.Get(ctx); v != "" || err == nil {
		t.Errorf("%q, %v", v, err)
	}
}
