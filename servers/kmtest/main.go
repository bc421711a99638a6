package kmtest

import (
	"context"
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
	sharedMu   sync.Mutex // guards shared
	shared     []*Shared
)

// Main is for TestMain, as its only line: it runs the tests, and ends the process.
//
//	func TestMain(m *testing.M) { kmtest.Main(m, km.New) }
//
// It stops what is Shared when the tests have ended. And where the test's binary is called as km, for a cluster with
// Process or for a server with --SERVER.isolation=process, it is what newKM returns, and runs no tests; newKM may be
// nil if there are none of these.
func Main(m *testing.M, newKM func() *supervisor.HyperKube) {
	if newKM != nil {
		if hk := newKM(); filepath.Base(os.Args[0]) == hk.Name {
			_ = os.Unsetenv(variable) // it is not for what this process starts
			hk.RunToExit(os.Args)
		}
	}
	mainCalled, mainNew = true, newKM
	code := m.Run()
	for _, s := range shared {
		if err := s.end(code != 0); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// Shared is a cluster that the tests of a package have together. It is started when the first of them asks for it, and
// stopped by Main.
//
//	var shared = kmtest.Shared{Config: kmtest.Config{Servers: []string{"apiserver"}}}
//
//	func TestMain(m *testing.M) { kmtest.Main(m, nil) }
//
//	func TestOne(t *testing.T) {
//		cluster := shared.Cluster(t)
//		namespace := cluster.Namespace(t)
//		…
//	}
//
// With Config.LogToTest its logs are shown on standard error: which test they are of, nobody can tell.
type Shared struct {
	Config Config

	once    sync.Once
	cluster *Cluster
	screen  screen
	err     error
}

// Cluster is the cluster, when it is ready. If it cannot be started, that is an error of each of the tests; if it has
// ended meanwhile, too.
func (s *Shared) Cluster(t testing.TB) *Cluster {
	t.Helper()
	if !mainCalled {
		t.Fatal("a Shared cluster takes a TestMain that calls kmtest.Main, which stops it")
	}
	s.once.Do(func() {
		sharedMu.Lock()
		shared = append(shared, s)
		sharedMu.Unlock()
		if s.Config.LogToTest {
			s.screen.show = func(line string) { fmt.Fprintln(os.Stderr, line) }
		}
		s.cluster, s.err = start(context.Background(), s.Config, "shared", &s.screen)
	})
	if s.err != nil {
		t.Fatalf("no cluster: %v\n%s", s.err, s.screen.text())
	}
	if err := s.cluster.Err(); err != nil {
		t.Fatalf("the cluster has ended: %v\n%s", err, s.screen.text())
	}
	return s.cluster
}

// end stops it, when all tests have ended.
func (s *Shared) end(failed bool) error {
	if s.cluster == nil {
		return nil // each test has told why
	}
	err := s.cluster.Stop()
	if err != nil {
		err = fmt.Errorf("the shared cluster: %w\n%s", err, s.screen.text())
	}
	where, logsErr := s.cluster.logs.settle(failed || err != nil, "")
	if where != "" {
		fmt.Fprintln(os.Stderr, "the logs of the shared cluster's servers are in", where)
	}
	return errors.Join(err, logsErr)
}
