package kmtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/seed-200a7251/km/supervisor"
)

var (
	mainCalled bool
	mainNew    func() *supervisor.HyperKube
	endersMu   sync.Mutex // guards enders
	enders     []ender
)

// Main is for TestMain, as its only line: it runs the tests, and ends the process.
//
//	func TestMain(m *testing.M) { kmtest.Main(m, km.New) }
//
// It stops what is Shared, and what waits in a Pool, when the tests have ended. And where the test's binary is called
// as km, for a cluster with Process or for a server with --SERVER.isolation=process, it is what newKM returns, and
// runs no tests; newKM may be nil if there are none of these.
func Main(m *testing.M, newKM func() *supervisor.HyperKube) {
	if newKM != nil {
		if hk := newKM(); filepath.Base(os.Args[0]) == hk.Name {
			_ = os.Unsetenv(variable) // it is not for what this process starts
			hk.RunToExit(os.Args)
		}
	}
	mainCalled, mainNew = true, newKM
	code := m.Run()
	for _, e := range enders {
		if err := e.end(code != 0); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// ender is what Main ends when the tests have ended; some of them may have failed.
type ender interface{ end(failed bool) error }

// atEnd has Main end it.
func atEnd(e ender) error {
	if !mainCalled {
		return errors.New("clusters that outlast a test take a TestMain that calls kmtest.Main, which stops them")
	}
	endersMu.Lock()
	defer endersMu.Unlock()
	enders = append(enders, e)
	return nil
}
