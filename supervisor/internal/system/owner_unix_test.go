//go:build unix

package system

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A socket in a temporary folder may be gone, and somebody else's be there: commands do not talk to that.
func TestUnixSocketOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("it takes root to give files away")
	}
	dir := longFolder(t)
	path := filepath.Join(dir, "hk.sock")
	l, err := ListenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	defer RemoveUnix(path)
	defer l.Close()
	real, err := UnixAddress(path)
	if err != nil {
		t.Fatal(err)
	}
	const somebody = 12345 // a number that nobody has
	if err := os.Lchown(filepath.Dir(real), somebody, somebody); err != nil {
		t.Fatal(err)
	}
	if _, err := UnixAddress(path); !os.IsNotExist(errors.Unwrap(err)) {
		t.Errorf("the error is %v", err)
	}
	if err := os.Lchown(filepath.Dir(real), 0, 0); err != nil {
		t.Fatal(err)
	}
}
