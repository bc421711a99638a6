package etcd

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A database without its log is damaged, unless that is elsewhere.
func TestLostLog(t *testing.T) {
	dir := t.TempDir()
	err := os.MkdirAll(filepath.Dir(DatabaseIn(dir)), 0o700)
	if err == nil {
		err = os.WriteFile(DatabaseIn(dir), nil, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Present(dir); err == nil || !strings.Contains(err.Error(), "--etcd.wal-dir") || !errors.Is(err, errDamaged) {
		t.Error(err)
	}
}
