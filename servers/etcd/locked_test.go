package etcd

import (
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"
)

// A database counts as locked as long as bbolt has it open.
func TestLocked(t *testing.T) {
	database := filepath.Join(t.TempDir(), "db")
	if locked(database) {
		t.Error("what is not there is locked")
	}
	for range 2 {
		db, err := bbolt.Open(database, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !locked(database) {
			t.Error("one that is open is not locked")
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if locked(database) {
			t.Error("one that is closed is locked")
		}
	}
}
