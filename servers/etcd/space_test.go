package etcd

import (
	"math"
	"path/filepath"
	"strings"
	"testing"
)

// How much is free is known, also of a folder that is not there yet.
func TestSpaceIsKnown(t *testing.T) {
	dir := t.TempDir()
	if free, ok := freeIn(dir); !ok || free < 0 {
		t.Errorf("%d (%v)", free, ok)
	}
	if err := shortOf(filepath.Join(dir, "not", "there"), math.MaxInt64); err == nil || !strings.Contains(err.Error(), "etcd needs ") {
		t.Error(err)
	}
	if err := shortOf(dir, 0); err != nil {
		t.Error(err)
	}
}
