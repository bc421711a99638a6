package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"

	"github.com/seed-200a7251/km/supervisor"
)

// TestMain runs the tests, or, where one of them calls this binary as hk, the binary with the server faulty.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hk": func() { faultyBinary().RunToExit(os.Args) }})
}

// faultyBinary is a binary of three servers. One of them does something wrong when it is told to.
func faultyBinary() *supervisor.HyperKube {
	hk := &supervisor.HyperKube{Name: "hk", Setup: Setup}
	idle := func(ctx context.Context, _ *supervisor.Server, _ []string) error {
		<-ctx.Done()
		return nil
	}
	needsDB := []supervisor.Need{{Server: "db"}}
	hk.AddServer(&supervisor.Server{SimpleUsage: "db", Run: idle})
	hk.AddServer(&supervisor.Server{SimpleUsage: "api", Run: idle, Needs: needsDB})
	socket, listening := "", make(chan struct{}, 1)
	hk.AddServer(&supervisor.Server{SimpleUsage: "faulty", Needs: needsDB,
		// It shows in timers' functions, which run in goroutines that no server has started.
		Packages: []string{"k8s.io/apimachinery/pkg/util/wait"},
		Prepare: func(_ context.Context, p *supervisor.Plan, _ *supervisor.Server) error {
			socket = p.Path("do.sock")
			return nil
		},
		Run: func(ctx context.Context, s *supervisor.Server, _ []string) error {
			return runFaulty(ctx, s, socket, listening)
		},
		Ready: func(ctx context.Context, _ *supervisor.Server) error {
			select {
			case <-listening:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	})
	return hk
}

// runFaulty does what it is told by requests to a socket: POST /NAME, one of faults, in Run's own goroutine.
func runFaulty(ctx context.Context, s *supervisor.Server, socket string, listening chan<- struct{}) error {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) { // a process that has crashed leaves it
		return err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	told := make(chan func(context.Context) error)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{name}", func(w http.ResponseWriter, r *http.Request) {
		do := faults[r.PathValue("name")]
		if do == nil {
			http.NotFound(w, r)
			return
		}
		w.WriteHeader(http.StatusAccepted)
		_ = http.NewResponseController(w).Flush() // it may be the last that this process says
		told <- do
	})
	mux.HandleFunc("POST /serve", func(w http.ResponseWriter, _ *http.Request) {
		address, err := serve(ctx)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, address)
	})
	server := &http.Server{Handler: mux}
	defer server.Close()
	go server.Serve(l)
	listening <- struct{}{}
	select {
	case do := <-told:
		s.Logger().Info("what is wrong follows")
		if err := do(ctx); err != nil {
			return err
		}
	case <-ctx.Done():
	}
	<-ctx.Done()
	return nil
}

const ink = "out of ink"

// faults are what can go wrong.
var faults = map[string]func(context.Context) error{
	"error": func(context.Context) error { return errors.New(ink) },
	"panic": func(context.Context) error { panic(ink) },

	"HandleCrash": func(context.Context) error {
		go func() { defer runtime.HandleCrash(); panic(ink) }()
		return nil
	},
	"HandleCrash in Run": func(context.Context) error { defer runtime.HandleCrash(); panic(ink) },
	"HandleCrashWithContext": func(ctx context.Context) error {
		go func() { defer runtime.HandleCrashWithContext(ctx); panic(ink) }()
		return nil
	},
	"wait.Until": func(ctx context.Context) error {
		go wait.Until(func() { panic(ink) }, time.Millisecond, ctx.Done())
		return nil
	},
	"deep": func(ctx context.Context) error {
		go deep(500, func() { wait.Until(func() { deep(500, func() { panic(ink) }) }, time.Millisecond, ctx.Done()) })
		return nil
	},
	"timer": func(ctx context.Context) error {
		time.AfterFunc(0, func() { wait.Until(func() { panic(ink) }, time.Millisecond, ctx.Done()) })
		return nil
	},
	"ErrAbortHandler": func(ctx context.Context) error { // in what is no request
		go wait.Until(func() { panic(http.ErrAbortHandler) }, time.Millisecond, ctx.Done())
		return nil
	},
	"held": held,

	"Fatal":        func(context.Context) error { go klog.Fatal(ink); return nil },
	"Fatal in Run": func(context.Context) error { klog.Fatal(ink); return nil },
	"Exit":         func(context.Context) error { go klog.Exit(ink); return nil },
	"FlushAndExit": func(context.Context) error { go klog.FlushAndExit(klog.ExitFlushTimeout, 1); return nil },
	"lost lease":   loseLease,

	"bare panic": func(context.Context) error { go func() { panic(ink) }(); return nil },
	"os.Exit":    func(context.Context) error { go os.Exit(3); return nil },
	"nobody's": func(context.Context) error {
		go func() {
			defer runtime.HandleCrash()
			pprof.SetGoroutineLabels(context.Background())
			for i := range 3000 { // the log is not written as fast
				klog.InfoS("this follows", "lines", i)
			}
			panic(ink)
		}()
		return nil
	},
}

// deep calls f below that many frames.
func deep(frames int, f func()) {
	if frames > 0 {
		deep(frames-1, f)
		return
	}
	f()
}

// held panics in a loop of upstream's, with a lock held, and tells whether all that is to happen then has happened.
func held(ctx context.Context) error {
	var lock sync.Mutex
	var all sync.WaitGroup
	ended := make(chan struct{})
	calls := 0
	all.Add(1)
	go func() {
		defer close(ended)
		defer all.Done()
		defer func() {
			if v := recover(); v != nil {
				klog.Errorf("the panic %v has gone on", v)
			}
		}()
		lock.Lock()
		defer lock.Unlock()
		wait.Until(func() { calls++; panic(ink) }, time.Millisecond, ctx.Done())
		klog.Error("the loop's caller has gone on")
	}()
	all.Wait()
	<-ended
	lock.Lock()
	defer lock.Unlock()
	klog.Infof("all is released after %d call", calls)
	return nil
}

// loseLease is what the controller-manager does (cmd/kube-controller-manager/app/controllermanager.go, Run) when it
// cannot renew its lease.
func loseLease(ctx context.Context) error {
	go leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock:          &lease{},
		LeaseDuration: 300 * time.Millisecond,
		RenewDeadline: 200 * time.Millisecond,
		RetryPeriod:   20 * time.Millisecond,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) { <-ctx.Done() },
			OnStoppedLeading: func() {
				klog.FromContext(ctx).Error(nil, "leaderelection lost/stopped")
				klog.FlushAndExit(klog.ExitFlushTimeout, 1)
			},
		},
	})
	return nil
}

// lease can be had, but not be renewed.
type lease struct {
	resourcelock.LeaderElectionRecord
}

func (l *lease) Get(context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	return &l.LeaderElectionRecord, []byte(l.HolderIdentity), nil
}
func (l *lease) Create(context.Context, resourcelock.LeaderElectionRecord) error { return nil }
func (l *lease) Update(_ context.Context, r resourcelock.LeaderElectionRecord) error {
	if l.HolderIdentity != "" {
		return errors.New("the apiserver does not answer")
	}
	l.LeaderElectionRecord = r
	return nil
}
func (l *lease) RecordEvent(string) {}
func (l *lease) Identity() string   { return "faulty" }
func (l *lease) Describe() string   { return "a lease" }
