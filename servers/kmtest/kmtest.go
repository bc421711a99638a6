// Package kmtest starts a cluster for a Go test: real Kubernetes servers, any selection of them, ready in seconds and
// gone with the test.
//
//	func TestController(t *testing.T) {
//		cluster := kmtest.Start(t, kmtest.Config{Servers: []string{"apiserver", "controller-manager"}})
//		client := kubernetes.NewForConfigOrDie(cluster.Config)
//		…
//	}
//
// Where the servers run is said by Config.New and Config.Process; all else is the same:
//
//   - By default in a process of the binary km, which is looked for as $KM and in the PATH. A test links nothing of
//     Kubernetes but its own client.
//   - With New: km.New in the process of the test. No binary has to be there, and a debugger that is on the test is on
//     the servers, too. The test links all of Kubernetes: 200 MB, and half a minute.
//   - With Process: true, too, in a process of its own of the test's binary. It needs Main.
//
// # Several at once
//
// Processes do not know of each other. Within the process of a test any number of clusters can be there at the same
// time, each with all of its servers; after the first, one with an apiserver alone takes well below a second and some
// 70 MB. What upstream keeps in variables they have together:
//
//   - Feature gates and the emulated version (k8s.io/component-base/compatibility) are the same for all clusters of a
//     process, also for those that follow. Others are refused, and the message names Process.
//   - The kubelet, the real proxy and dns can be there once. A second one is refused likewise; simulated nodes are not.
//   - /metrics of each server shows those of all, and /configz the configuration of the one that started last.
//     Informers of a cluster that is there when the next controller-manager starts are missing from /metrics from then
//     on.
//
// In the process of a test klog is km's from the first Start on: what the test itself logs with it comes on standard
// error, in km's format.
package kmtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/seed-200a7251/km/supervisor"
)

// Config says what to start. The zero value is the cluster of `km run`, in a process of km.
type Config struct {
	// Servers are the servers to run, by name; what they need joins. Default: those of `km run`. For a test that needs
	// no controllers and no nodes, "apiserver" is the fastest.
	Servers []string
	// Flags are further ones, as `km run` has them: "--apiserver.event-ttl=2h". The state is in a temporary folder in
	// any case, on ports that are free, and nothing is synced to disk.
	Flags []string
	// Apply names manifests, as files and folders, that are applied before the cluster is ready:
	// CustomResourceDefinitions, say.
	Apply []string

	// New, if not nil, makes the servers of the test's own process: km.New, or a function that adds servers to what
	// that returns.
	New func() *supervisor.HyperKube
	// Process, with New, has the servers run in a process of the test's binary that is theirs alone. They are those of
	// the function that TestMain has handed to Main.
	Process bool
	// Binary is the binary to run where New is nil. Default: $KM, else km in the PATH.
	Binary string

	// RecordRequests has the apiserver keep what it is asked, for Cluster.Requests. That costs it a line in a file for
	// each request.
	RecordRequests bool

	// LogToTest shows what the servers log in the log of the test (t.Log), each line with its server's name. Otherwise
	// it is in files, which are kept if the test fails; then the test's log says where.
	LogToTest bool
	// KeepLogs is the folder in which they are kept, each test's in one of its own. Default: that of `go test
	// -artifacts`, if it is called so, else a new temporary one.
	KeepLogs string
}

// Cluster is a cluster that is ready.
type Cluster struct {
	// Config is that of the cluster's admin, without a limit on the number of requests. Copy it (rest.CopyConfig) to
	// change it.
	Config *rest.Config
	// Kubeconfig is the path of the admin's kubeconfig. It is gone with the cluster.
	Kubeconfig string
	// DataDir is the folder of the cluster's state: km's commands find the cluster by it (km status --data-dir=…).
	DataDir string

	form   form
	logs   *logs
	record *record // nil if requests are not kept
	atStop func() error
	once   sync.Once
	err    error
}

// form is where a cluster runs.
type form interface {
	// start returns when all is ready: the folder of the state.
	start(ctx context.Context, args []string, screen *screen) (dataDir string, err error)
	// ended is closed when the servers have ended.
	ended() <-chan struct{}
	// stop stops the servers, if they still run, and returns when nothing is left of them. The error is why they ended,
	// if it was not this.
	stop() error
}

// Start starts a cluster, and returns when it is ready. It is stopped when the test ends. What goes wrong, also later,
// is an error of the test.
func Start(t testing.TB, c Config) *Cluster {
	t.Helper()
	screen := &screen{}
	screen.to(t, c.LogToTest)
	ctx, cancel := withDeadline(t.Context(), t)
	defer cancel()
	cluster, err := start(ctx, c, t.Name(), screen)
	if err != nil {
		screen.silence()
		t.Fatalf("no cluster: %v\n%s", err, screen.text())
	}
	cluster.endWith(t, c, screen)
	return cluster
}

// endWith has the cluster stopped when the test ends, of which what has gone wrong is an error.
func (c *Cluster) endWith(t testing.TB, config Config, screen *screen) {
	t.Cleanup(func() {
		t.Helper()
		died := c.Err() != nil
		err := c.Stop()
		screen.silence()
		switch {
		case err != nil && died:
			t.Errorf("the cluster has ended before the test: %v\n%s", err, screen.text())
		case err != nil:
			t.Errorf("the cluster has not been stopped as it should: %v\n%s", err, screen.text())
		}
		place := ""
		if config.KeepLogs == "" && t.Failed() {
			place = artifacts(t)
		}
		if where, err := c.logs.settle(t.Failed(), place); err != nil {
			t.Errorf("the logs of the servers: %v", err)
		} else if where != "" {
			t.Logf("the logs of the servers are in %s", where)
		}
	})
}

// beforeDeadline is how long before go test would end the process it is given up, so that what has come of it can
// be told.
const beforeDeadline = 10 * time.Second

// withDeadline is a context in which something has the time that a test has.
func withDeadline(ctx context.Context, t testing.TB) (context.Context, context.CancelFunc) {
	if timed, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if end, ok := timed.Deadline(); ok {
			return context.WithDeadlineCause(ctx, end.Add(-beforeDeadline), errors.New("it was not ready in the time that the test has"))
		}
	}
	return context.WithCancel(ctx)
}

// Run is Start for what is no test, such as a TestMain or a suite: the caller stops the cluster. With Config.LogToTest
// what the servers log comes on standard error; their files are kept if Config.KeepLogs says where.
func Run(ctx context.Context, c Config) (*Cluster, error) {
	screen := newScreen(c)
	cluster, err := start(ctx, c, "run", screen)
	if err != nil {
		return nil, fmt.Errorf("no cluster: %w\n%s", err, screen.text())
	}
	cluster.atStop = func() error {
		_, err := cluster.logs.settle(c.KeepLogs != "", "")
		return err
	}
	return cluster, nil
}

// start is Start without a test.
func start(ctx context.Context, c Config, name string, screen *screen) (_ *Cluster, err error) {
	if os.Getenv(variable) != "" {
		return nil, errors.New("this process was to be km, for another one's cluster with Process, and runs tests: its TestMain is to call kmtest.Main with km.New")
	}
	cluster := &Cluster{}
	if cluster.form, err = c.form(); err != nil {
		return nil, err
	}
	if cluster.logs, err = newLogs(c.KeepLogs, name); err != nil {
		return nil, err
	}
	args, err := cluster.args(c)
	if err == nil {
		cluster.DataDir, err = cluster.form.start(ctx, args, screen)
	}
	if err == nil {
		err = cluster.connect()
	}
	if err != nil {
		_ = cluster.Stop() // it is the same, or follows from it
		wanted := !errors.Is(context.Cause(ctx), errUnwanted)
		if where, logsErr := cluster.logs.settle(wanted, ""); logsErr != nil {
			err = errors.Join(err, logsErr)
		} else if where != "" {
			err = fmt.Errorf("%w (the logs of the servers are in %s)", err, where)
		}
		return nil, err
	}
	return cluster, nil
}

// args are those of `km run`.
func (c *Cluster) args(config Config) (args []string, err error) {
	args = []string{"--ephemeral", "--free-ports", "--log-dir=" + c.logs.dir}
	if config.LogToTest {
		args = append(args, "--verbose")
	}
	if len(config.Servers) > 0 {
		args = append(args, strings.Join(config.Servers, ","))
	}
	if config.RecordRequests {
		if c.record, err = newRecord(c.logs.dir); err != nil {
			return nil, err
		}
		args = append(args, c.record.flags()...)
	}
	for _, path := range config.Apply {
		if path, err = filepath.Abs(path); err != nil {
			return nil, err
		}
		args = append(args, "--apply="+path)
	}
	return append(args, config.Flags...), nil
}

// connect finds out how clients reach the cluster.
func (c *Cluster) connect() (err error) {
	c.Kubeconfig = filepath.Join(c.DataDir, "kubeconfig", "admin.conf")
	if _, err := os.Stat(c.Kubeconfig); errors.Is(err, os.ErrNotExist) {
		c.Kubeconfig = "" // there is no apiserver
		return nil
	}
	if c.Config, err = clientcmd.BuildConfigFromFlags("", c.Kubeconfig); err != nil {
		return fmt.Errorf("the cluster's kubeconfig: %w", err)
	}
	c.Config.QPS = -1 // its server is the test's own
	return nil
}

// Err is nil while the cluster runs. Then it is why it has ended.
func (c *Cluster) Err() error {
	select {
	case <-c.form.ended():
	default:
		return nil
	}
	if err := c.Stop(); err != nil {
		return err
	}
	return errors.New("it was stopped")
}

// Stop stops the cluster before the test ends. Called again, it does nothing and returns the same.
func (c *Cluster) Stop() error {
	c.once.Do(func() {
		c.err = c.form.stop()
		if c.atStop != nil {
			c.err = errors.Join(c.err, c.atStop())
		}
	})
	return c.err
}

// Namespace makes a namespace for the test alone, and returns its name. It is deleted at the end of the test, unless
// the cluster has gone by then; how long that takes is not waited for.
func (c *Cluster) Namespace(t testing.TB) string {
	t.Helper()
	if c.Config == nil {
		t.Fatal("no namespace: the cluster has no apiserver")
	}
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	namespaces := client.CoreV1().Namespaces()
	made, err := namespaces.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("no namespace: %v", err)
	}
	c.cleanUp(t, func(ctx context.Context) {
		if err := namespaces.Delete(ctx, made.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("namespace %s: %v", made.Name, err)
		}
	})
	return made.Name
}

// cleanUp has something done in the cluster when the test ends, in the time that it has, unless the cluster has gone by
// then.
func (c *Cluster) cleanUp(t testing.TB, do func(context.Context)) {
	t.Cleanup(func() {
		if c.Err() != nil {
			return
		}
		ctx, cancel := withDeadline(context.WithoutCancel(t.Context()), t)
		defer cancel()
		do(ctx)
	})
}
