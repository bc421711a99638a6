package etcd

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-200a7251/km/supervisor"
)

// While a restore replaces the data, etcd does not start, and the other way round.
func TestNoStartDuringSwap(t *testing.T) {
	p := &supervisor.Plan{DataDir: t.TempDir()}
	none := func() error { return nil }
	failed := errors.New("failed")

	started := make(chan error, 1)
	var swapping atomic.Bool
	swapping.Store(true)
	err := WhileNoneStarts(p, func() error {
		ended, end := context.WithCancel(t.Context())
		end()
		if err := whileNotReplaced(ended, startingLock(p), func() error { t.Error("started"); return nil }); err != nil {
			t.Error(err)
		}
		go func() {
			started <- whileNotReplaced(t.Context(), startingLock(p), func() error {
				if swapping.Load() {
					t.Error("started while the data was replaced")
				}
				return failed
			})
		}()
		if err := WhileNoneStarts(p, none); err == nil {
			t.Error("two swaps at once")
		}
		swapping.Store(false)
		return failed
	})
	if !errors.Is(err, failed) {
		t.Error(err)
	}
	if err := <-started; !errors.Is(err, failed) {
		t.Error(err)
	}
	err = whileNotReplaced(t.Context(), startingLock(p), func() error {
		if err := WhileNoneStarts(p, none); err == nil || !strings.Contains(err.Error(), "etcd is being started") {
			t.Error(err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if err := WhileNoneStarts(p, none); err != nil {
		t.Error(err)
	}
}
