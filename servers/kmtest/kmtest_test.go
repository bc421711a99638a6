package kmtest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"

	"github.com/seed-200a7251/km/servers/km"
	"github.com/seed-200a7251/km/servers/kmtest"
	"github.com/seed-200a7251/km/supervisor"
)

func TestMain(m *testing.M) { kmtest.Main(m, km.New) }

// patience is how long anything may take before a test gives up.
const patience = 2 * time.Minute

func client(t testing.TB, c *kmtest.Cluster) kubernetes.Interface {
	t.Helper()
	k, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// use has a cluster do something that takes the apiserver and etcd.
func use(t testing.TB, c *kmtest.Cluster) {
	t.Helper()
	namespace := c.Namespace(t)
	maps := client(t, c).CoreV1().ConfigMaps(namespace)
	if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "one"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	list, err := maps.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list.Items {
		if m.Name == "one" {
			return
		}
	}
	t.Fatalf("what was made is not among %d", len(list.Items))
}

// podRuns waits until a pod runs, which takes all servers.
func podRuns(t testing.TB, c *kmtest.Cluster) {
	t.Helper()
	pods := client(t, c).CoreV1().Pods(c.Namespace(t))
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "one"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example.invalid/c"}}}}
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		if pod.UID == "" { // the namespace's service account may not be there yet
			made, err := pods.Create(ctx, pod, metav1.CreateOptions{})
			if err != nil {
				return false, nil
			}
			pod = made
		}
		now, err := pods.Get(ctx, "one", metav1.GetOptions{})
		return err == nil && now.Status.Phase == corev1.PodRunning, err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func gone(t testing.TB, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there (%v)", path, err)
		}
	}
}

// Clusters of all servers follow one another in the process of the tests, and each is another one.
func TestOneAfterAnother(t *testing.T) {
	for i := range 2 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			c := kmtest.Start(t, kmtest.Config{New: km.New})
			podRuns(t, c)
			if err := c.Stop(); err != nil {
				t.Error(err)
			}
			if err := c.Err(); err == nil {
				t.Error("a cluster that was stopped has not ended")
			}
			gone(t, c.DataDir)
		})
	}
}

// What controllers write has upstream's names as managers of its fields, whatever the process is called.
func TestManagers(t *testing.T) {
	c := kmtest.Start(t, kmtest.Config{New: km.New, Servers: []string{"controller-manager"}})
	k, namespace := client(t, c), c.Namespace(t)
	labels := map[string]string{"app": "web"}
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "example.invalid/c"}}}},
	}}
	if _, err := k.AppsV1().Deployments(namespace).Create(t.Context(), deployment, metav1.CreateOptions{FieldManager: "test"}); err != nil {
		t.Fatal(err)
	}
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		sets, err := k.AppsV1().ReplicaSets(namespace).List(ctx, metav1.ListOptions{})
		if err != nil || len(sets.Items) == 0 {
			return false, err
		}
		deployment, err = k.AppsV1().Deployments(namespace).Get(ctx, "web", metav1.GetOptions{})
		for _, m := range slices.Concat(sets.Items[0].ManagedFields, deployment.ManagedFields) {
			if m.Manager != "kube-controller-manager" && m.Manager != "test" {
				t.Errorf("%q manages fields", m.Manager)
			}
		}
		return len(deployment.ManagedFields) > 1, err
	})
	if err != nil {
		t.Error(err)
	}
}

// A process can have several whole clusters at the same time, and they know nothing of each other.
func TestSeveralAtOnce(t *testing.T) {
	for i := range 3 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			c := kmtest.Start(t, kmtest.Config{New: km.New})
			use(t, c)
			podRuns(t, c)
			all, err := client(t, c).CoreV1().ConfigMaps("").List(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=one"})
			if err != nil || len(all.Items) != 1 {
				t.Errorf("%d objects, want the one of this test (%v)", len(all.Items), err)
			}
			for _, server := range []string{"controller-manager", "scheduler"} {
				notFailed(t, c, server)
			}
		})
	}
}

// In processes of their own all servers can run at the same time, beside others in the process of the tests.
func TestProcesses(t *testing.T) {
	inside := kmtest.Start(t, kmtest.Config{New: km.New})
	for i := range 2 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			c := kmtest.Start(t, kmtest.Config{New: km.New, Process: true, Flags: []string{"--feature-gates=APIServingWithRoutine=true"}})
			podRuns(t, c)
			if err := c.Stop(); err != nil {
				t.Error(err)
			}
			gone(t, c.DataDir)
		})
	}
	t.Run("inside", func(t *testing.T) { podRuns(t, inside) })
}

// A server of a cluster in this process can be a process of its own, which is this binary, too.
func TestIsolatedServer(t *testing.T) {
	c := kmtest.Start(t, kmtest.Config{New: km.New, Servers: []string{"apiserver"}, Flags: []string{"--apiserver.isolation=process"}})
	use(t, c)
}

// withOnce returns km with a server of which a process can have one.
func withOnce() *supervisor.HyperKube {
	hk := km.New()
	hk.AddServer(&supervisor.Server{
		SimpleUsage: "once",
		StartsOnce:  func(*supervisor.Server) bool { return true },
		Run: func(ctx context.Context, s *supervisor.Server, _ []string) error {
			s.MarkReady()
			<-ctx.Done()
			return nil
		},
	})
	return hk
}

// What a process cannot do is refused, with the way out.
func TestRefused(t *testing.T) {
	kmtest.Start(t, kmtest.Config{New: withOnce, Servers: []string{"once"}})
	t.Setenv("KM_LOG_LEVEL", "nonsense") // is for km's own users
	for _, test := range []struct {
		name   string
		config kmtest.Config
		want   []string
	}{
		{"a second one that starts once", kmtest.Config{New: withOnce, Servers: []string{"once"}}, []string{"once runs in this process already", "kmtest.Config.Process"}},
		{"other gates", kmtest.Config{New: km.New, Servers: []string{"apiserver"}, Flags: []string{"--feature-gates=APIServingWithRoutine=true"}},
			[]string{"--feature-gates", "APIServingWithRoutine=true", "kmtest.Config.Process"}},
		{"a flag that there is not", kmtest.Config{New: km.New, Flags: []string{"--nonsense"}}, []string{"unknown flag: --nonsense"}},
		{"the same in a process", kmtest.Config{New: km.New, Process: true, Flags: []string{"--nonsense"}}, []string{"unknown flag: --nonsense", "exit status 2"}},
		{"no binary", kmtest.Config{Binary: "/nowhere/km"}, []string{`no binary "/nowhere/km"`, "km.New"}},
		{"two ways", kmtest.Config{Binary: "km", New: km.New}, []string{"both New and Binary"}},
		{"a process of nothing", kmtest.Config{Process: true}, []string{"New to km.New"}},
		{"a manifest that there is not", kmtest.Config{New: km.New, Servers: []string{"apiserver"}, Apply: []string{"testdata/none"}}, []string{"testdata/none"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &recorder{TB: t}
			r.run(func() { kmtest.Start(r, test.config) })
			if !r.failed {
				t.Fatal("it was started")
			}
			for _, want := range test.want {
				if !strings.Contains(r.text, want) {
					t.Errorf("there is no %q in:\n%s", want, r.text)
				}
			}
		})
	}
}

// Why a cluster has not become ready may be in its logs.
func TestLogsOfAStart(t *testing.T) {
	keep := t.TempDir()
	r := &recorder{TB: t}
	r.run(func() {
		kmtest.Start(r, kmtest.Config{New: km.New, Servers: []string{"apiserver"}, KeepLogs: keep,
			Apply: []string{"testdata/wrong.yaml"}})
	})
	kept, err := filepath.Glob(filepath.Join(keep, "*", "manifests.log"))
	if err != nil {
		t.Fatal(err)
	}
	if !r.failed || len(kept) != 1 || !strings.Contains(r.text, "the logs of the servers are in "+filepath.Dir(kept[0])) || !strings.Contains(r.text, "testdata/wrong.yaml:1: ConfigMap wrong: ") {
		t.Errorf("kept: %v\n%s", kept, r.text)
	}
}

// Twenty clusters, some of them at the same time, leave no goroutines behind in the process of the tests, but those
// that upstream never ends.
func TestNoGoroutinesStay(t *testing.T) {
	if os.Getenv("KMTEST_ALONE") == "" { // clusters of other tests have goroutines, too
		p := exec.Command(os.Args[0], "-test.run=^TestNoGoroutinesStay$", "-test.timeout="+(5*patience).String())
		p.Env = append(os.Environ(), "KMTEST_ALONE=yes")
		if out, err := p.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	once := func(t *testing.T) {
		c := kmtest.Start(t, kmtest.Config{New: km.New, Servers: []string{"apiserver", "controller-manager", "scheduler"}})
		use(t, c)
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}
	once(t) // some are started once for a process
	before := goleak.IgnoreCurrent()
	for range 5 {
		t.Run("", func(t *testing.T) {
			for range 4 {
				t.Run("", func(t *testing.T) {
					t.Parallel()
					once(t)
				})
			}
		})
	}
	// of each log file; never ended
	removing := goleak.IgnoreTopFunction("gopkg.in/natefinch/lumberjack%2ev2.(*Logger).millRun")
	var left error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		// Those of requests that the apiserver holds back end when the requests would
		// (k8s.io/apiserver/pkg/storage/cacher).
		if left = goleak.Find(before, removing); left == nil {
			return
		}
	}
	t.Error(left)
}

// recorder is a test whose failure is expected.
type recorder struct {
	testing.TB
	text     string
	failed   bool
	cleanups []func()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(r)
}
func (r *recorder) Fatal(args ...any)                 { r.Fatalf("%s", fmt.Sprint(args...)) }
func (r *recorder) Error(args ...any)                 { r.Errorf("%s", fmt.Sprint(args...)) }
func (r *recorder) Errorf(format string, args ...any) { r.Logf(format, args...); r.failed = true }
func (r *recorder) Logf(format string, args ...any)   { r.text += fmt.Sprintf(format, args...) + "\n" }
func (r *recorder) Log(args ...any)                   { r.text += fmt.Sprintln(args...) }
func (r *recorder) Failed() bool                      { return r.failed }
func (r *recorder) Cleanup(f func())                  { r.cleanups = append(r.cleanups, f) }

// run runs a test to its end.
func (r *recorder) run(test func()) {
	func() {
		defer func() {
			if v := recover(); v != nil && v != any(r) {
				panic(v)
			}
		}()
		test()
	}()
	for len(r.cleanups) > 0 {
		last := r.cleanups[len(r.cleanups)-1]
		r.cleanups = r.cleanups[:len(r.cleanups)-1]
		last()
	}
}

// A test that fails keeps the logs of the servers, and says where; one that passes does not.
func TestLogsAreKept(t *testing.T) {
	for _, process := range []bool{false, true} {
		for _, fails := range []bool{false, true} {
			t.Run(fmt.Sprintf("process %v, fails %v", process, fails), func(t *testing.T) {
				keep := filepath.Join(t.TempDir(), "logs")
				r := &recorder{TB: t}
				r.run(func() {
					kmtest.Start(r, kmtest.Config{New: km.New, Process: process, Servers: []string{"apiserver"}, KeepLogs: keep})
					if fails {
						r.Errorf("as expected")
					}
				})
				kept, err := filepath.Glob(filepath.Join(keep, "*", "*.log"))
				if err != nil {
					t.Fatal(err)
				}
				if !fails {
					if r.text != "" || len(kept) != 0 {
						t.Errorf("kept: %v\n%s", kept, r.text)
					}
					return
				}
				if len(kept) != 3 || !strings.Contains(r.text, "the logs of the servers are in "+filepath.Dir(kept[0])) {
					t.Errorf("kept: %v\n%s", kept, r.text)
				}
			})
		}
	}
}

// What servers log is in the log of the test, if it wants that, each line with its server.
func TestLogToTest(t *testing.T) {
	for _, process := range []bool{false, true} {
		r := &recorder{TB: t}
		r.run(func() {
			kmtest.Start(r, kmtest.Config{New: km.New, Process: process, Servers: []string{"apiserver"}, LogToTest: true})
		})
		for _, want := range []string{" I apiserver ", " I etcd "} {
			if r.failed || !strings.Contains(r.text, want) {
				t.Errorf("process %v: there is no %q in:\n%s", process, want, r.text)
			}
		}
	}
}

// A cluster that ends before its test is an error of the test.
func TestClusterThatEnds(t *testing.T) {
	for _, process := range []bool{false, true} {
		r := &recorder{TB: t}
		r.run(func() {
			c := kmtest.Start(r, kmtest.Config{New: km.New, Process: process, Servers: []string{"apiserver"}, KeepLogs: t.TempDir(),
				Flags: []string{"--etcd.isolation=process", "--etcd.restart=never", "--apiserver.grace-period=1s"}})
			kill(t, c, "etcd")
			deadline := time.Now().Add(patience)
			for c.Err() == nil && time.Now().Before(deadline) {
				time.Sleep(10 * time.Millisecond)
			}
		})
		if !r.failed || !strings.Contains(r.text, "the cluster has ended before the test") || !strings.Contains(r.text, "etcd failed") {
			t.Errorf("process %v: %s", process, r.text)
		}
	}
}

// The process of a cluster ends with that of the test, however that ends.
func TestKilledTest(t *testing.T) {
	if os.Getenv("KMTEST_VICTIM") != "" {
		c := kmtest.Start(t, kmtest.Config{New: km.New, Process: os.Getenv("KMTEST_VICTIM") == "process", Servers: []string{"apiserver"},
			KeepLogs: os.Getenv("KMTEST_KEEP")})
		fmt.Println("DATA", c.DataDir)
		select {}
	}
	for _, where := range []string{"process", "inside"} {
		victim := exec.Command(os.Args[0], "-test.run=^TestKilledTest$", "-test.v")
		victim.Env = append(os.Environ(), "KMTEST_VICTIM="+where, "KMTEST_KEEP="+t.TempDir())
		out, err := victim.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		victim.Stderr = os.Stderr
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		// What hangs prints its stacks, and then nothing more.
		quit := time.AfterFunc(patience, func() { _ = victim.Process.Signal(syscall.SIGQUIT) })
		var dir string
		for dir == "" {
			var word string
			if _, err := fmt.Fscan(out, &word); err != nil {
				t.Fatalf("%s: it has not told where its cluster is: %v", where, err)
			}
			if word == "DATA" {
				if _, err := fmt.Fscan(out, &dir); err != nil {
					t.Fatal(err)
				}
			}
		}
		quit.Stop()
		if err := victim.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = victim.Wait() // killed
		err = wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, patience, true, func(context.Context) (bool, error) {
			_, err := os.Lstat(dir)
			return errors.Is(err, os.ErrNotExist), nil
		})
		if err != nil {
			t.Errorf("%s: the folder of the cluster stays: %v", where, err)
		}
	}
}

// Manifests are there when a cluster is ready.
func TestApply(t *testing.T) {
	c := kmtest.Start(t, kmtest.Config{New: km.New, Servers: []string{"apiserver"}, Apply: []string{"testdata/settings.yaml"}})
	if _, err := client(t, c).CoreV1().ConfigMaps("default").Get(t.Context(), "settings", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
}

var shared = kmtest.Shared{Config: kmtest.Config{New: km.New, Servers: []string{"apiserver"}}}

// Two tests have one cluster together.
func TestSharedOne(t *testing.T) { use(t, shared.Cluster(t)) }

func TestSharedTwo(t *testing.T) {
	c := shared.Cluster(t)
	use(t, c)
	if again := shared.Cluster(t); again != c {
		t.Error("another cluster")
	}
}
