package kmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
)

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
// Packages that are tested at the same time have one each. With USE_EXISTING_CLUSTER=true in the environment, as
// envtest has it, they have one together, which is there already:
//
//	USE_EXISTING_CLUSTER=true km run --ephemeral --free-ports -- go test ./...
//
// It is the one that KUBECONFIG names. Its servers and their flags are its own; if it is that of `km run`, those of
// Config.Servers have to run there. Config.Apply is applied to it. Its requests are not recorded.
//
// With Config.LogToTest the logs of a Shared cluster are shown on standard error: which test they are of, nobody can
// tell.
type Shared struct {
	Config Config

	once    sync.Once
	cluster *Cluster
	screen  *screen
	err     error
}

// existingVariable has envtest use a cluster that is there.
const existingVariable = "USE_EXISTING_CLUSTER"

// Cluster is the cluster, when it is ready. If it cannot be started, that is an error of each of the tests; if it has
// ended meanwhile, too.
func (s *Shared) Cluster(t testing.TB) *Cluster {
	t.Helper()
	s.once.Do(func() {
		s.screen = newScreen(s.Config)
		ctx, cancel := withDeadline(context.Background(), t)
		defer cancel()
		if os.Getenv(existingVariable) == "true" {
			s.cluster, s.err = existing(ctx, s.Config)
			return
		}
		if s.err = atEnd(s); s.err == nil {
			s.cluster, s.err = start(ctx, s.Config, "shared", s.screen)
		}
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
