package envtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// Twenty starts and stops, half of them with controllers, leave no process, port, folder or goroutine behind. No other
// test runs beside this one.
func TestNothingStays(t *testing.T) {
	places := t.TempDir()
	links := []string{linksWith(t, "TMPDIR="+places, "KM_WITH="), linksWith(t, "TMPDIR="+places, "KM_WITH=controller-manager,scheduler,executor")}
	before := runtime.NumGoroutine()
	descendants := descendantsOf(os.Getpid())
	var all sync.WaitGroup
	turns := make(chan struct{}, 3)
	for i := range 20 {
		all.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			env := &envtest.Environment{BinaryAssetsDirectory: links[i%2], ControlPlaneStartTimeout: upstream, ControlPlaneStopTimeout: upstream}
			if _, err := env.Start(); err != nil {
				t.Error(err)
				return
			}
			found := tracesOf(t, &env.ControlPlane)
			if err := env.Stop(); err != nil {
				t.Error(err)
			}
			found.wantNone(t)
		})
	}
	if err := within(t, "20 starts", func() error { all.Wait(); return nil }); err != nil {
		t.Fatal(err)
	}
	poll(t, "end of processes", func(context.Context) (bool, error) { return len(descendantsOf(os.Getpid())) == len(descendants), nil })
	if left, err := os.ReadDir(places); err != nil || len(left) > 0 {
		t.Errorf("folders: %v, %v", left, err)
	}
	poll(t, "end of goroutines", func(context.Context) (bool, error) { return runtime.NumGoroutine() <= before, nil })
}

// What a suite has started ends with it, also if it is killed; as upstream's commands, the servers would go on.
func TestKilledSuite(t *testing.T) {
	if os.Getenv("KM_VICTIM") != "" {
		victim(t)
		return
	}
	t.Parallel()
	for _, variable := range []string{"KM_WITH=", "KM_WITH=controller-manager"} {
		t.Run(variable, func(t *testing.T) {
			t.Parallel()
			places := t.TempDir()
			suite := exec.Command(os.Args[0], "-test.run=^TestKilledSuite$", "-test.v")
			suite.Env = append(os.Environ(), "KM_VICTIM="+linksWith(t, variable), "TMPDIR="+places, "KM="+binary)
			var stderr bytes.Buffer
			suite.Stderr = &stderr
			out, err := suite.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := suite.Start(); err != nil {
				t.Fatal(err)
			}
			// It prints its stacks then.
			quit := time.AfterFunc(patience, func() { _ = suite.Process.Signal(syscall.SIGQUIT) })
			dirs, err := told(out)
			quit.Stop()
			if err != nil {
				_ = suite.Process.Kill() // it may have ended
				t.Fatalf("%v\n%s", err, stderr.String())
			}
			if n := len(usersOf(dirs)); n < 2 {
				t.Errorf("%d processes, want those of etcd and the apiserver", n)
			}
			if err := suite.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = suite.Wait() // killed
			poll(t, "end of the servers", func(context.Context) (bool, error) { return len(usersOf(dirs)) == 0, nil })
			// envtest's own stay, as nobody is left to remove them.
			poll(t, "end of the run's folder", func(context.Context) (bool, error) {
				left, err := filepath.Glob(filepath.Join(places, "*", "km-*"))
				return len(left) == 0, err
			})
		})
	}
}

// victim starts an environment, tells where it is and waits to be killed.
func victim(t *testing.T) {
	env := &envtest.Environment{BinaryAssetsDirectory: os.Getenv("KM_VICTIM"), ControlPlaneStartTimeout: upstream}
	start(t, env)
	text, err := json.Marshal([]string{env.ControlPlane.Etcd.DataDir, env.ControlPlane.APIServer.CertDir})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("HERE", string(text))
	select {}
}

// told is what a victim says.
func told(out io.Reader) (dirs []string, err error) {
	for {
		var line string
		if _, err := fmt.Fscanln(out, &line, &line); err == nil && strings.HasPrefix(line, "[") {
			return dirs, json.Unmarshal([]byte(line), &dirs)
		} else if err == io.EOF {
			return nil, fmt.Errorf("the suite has ended: %w", err)
		}
	}
}

// usersOf are the processes, whoever their parent is, that have one of these in their arguments.
func usersOf(texts []string) (pids []string) {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	for _, dir := range all {
		line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err == nil && slices.ContainsFunc(texts, func(text string) bool { return bytes.Contains(line, []byte(text)) }) {
			pids = append(pids, filepath.Base(dir))
		}
	}
	return pids
}

// Both may be told to stop at the same time, as by a script: the apiserver does not wait for an etcd that is going.
func TestStopBothAtOnce(t *testing.T) {
	t.Parallel()
	env := environment(t)
	var said output
	env.ControlPlane.GetAPIServer().Err = &said
	start(t, env)
	found := tracesOf(t, &env.ControlPlane)
	for _, c := range []child{found.etcd, found.apiserver} {
		if err := syscall.Kill(c.pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []child{found.etcd, found.apiserver} {
		poll(t, fmt.Sprintf("end of process %d", c.pid), func(context.Context) (bool, error) { return !mine(c.pid), nil })
	}
	if text := said.String(); strings.Contains(text, "RemoveEndpoints() timed out") {
		t.Errorf("it has waited for etcd as long as it may:\n%s", text)
	}
}
