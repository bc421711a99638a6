package system

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/gofrs/flock"
)

// The number of the holder is written and read while the file is locked.
func TestHolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lock")
	if got := Holder(file); got != "" {
		t.Errorf("of a file that is not there: %q", got)
	}
	lock := flock.New(file)
	if ok, err := lock.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	defer lock.Unlock()
	if got := Holder(file); got != "" {
		t.Errorf("before it is written: %q", got)
	}
	for range 2 {
		if err := NoteHolder(file); err != nil {
			t.Fatal(err)
		}
		if got := Holder(file); got != strconv.Itoa(os.Getpid()) {
			t.Errorf("it is %q", got)
		}
	}
}
