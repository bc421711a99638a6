package errno

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"
	"testing"
)

// What the system itself returns is recognized, and nothing else.
func TestOfTheSystem(t *testing.T) {
	var taken, refused error
	for refused == nil { // somebody else may listen there at once
		there, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, taken = net.Listen("tcp", there.Addr().String())
		if err := there.Close(); err != nil {
			t.Fatal(err)
		}
		_, refused = net.Dial("tcp", there.Addr().String())
	}
	_, noAddress := net.Listen("tcp", "192.0.2.1:0") // is for documentation
	for _, test := range []struct {
		name string
		err  error
		is   func(error) bool
	}{
		{"taken", taken, AddressTaken},
		{"refused", refused, Refused},
		{"no address", noAddress, NoAddress},
	} {
		if !test.is(test.err) {
			t.Errorf("%s: %v is not recognized", test.name, test.err)
		}
	}
	if AddressTaken(refused) || Refused(taken) || NoAddress(taken) || Reset(refused) || NotAllowed(taken) || NoSpace(taken) {
		t.Error("one is taken for another")
	}
}

// The numbers of Unix count on each system, also in an error around them.
func TestOfUnix(t *testing.T) {
	for n, is := range map[syscall.Errno]func(error) bool{
		syscall.EADDRINUSE: AddressTaken, syscall.EACCES: NotAllowed, syscall.EADDRNOTAVAIL: NoAddress, syscall.ECONNREFUSED: Refused,
		syscall.ECONNRESET: Reset, syscall.EPIPE: Reset, syscall.ENOSPC: NoSpace, syscall.EDQUOT: NoSpace,
	} {
		if err := fmt.Errorf("around: %w", &fs.PathError{Op: "write", Path: "file", Err: n}); !is(err) {
			t.Errorf("%v is not recognized", err)
		}
		if is(nil) || is(errors.New("other")) {
			t.Errorf("another error is taken for %v", n)
		}
	}
}
