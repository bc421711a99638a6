package klogs

import (
	"context"
	"fmt"
	"go/ast"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"

	"github.com/seed-200a7251/km/logging"
)

// claimed is code of a package that one server has claimed: the standard library's go/ast stands for it.
func claimed(f func()) {
	ast.Inspect(ast.NewIdent("x"), func(n ast.Node) bool {
		if n != nil {
			f()
		}
		return false
	})
}

// inTimer runs f as the function of a timer, and waits for it.
func inTimer(f func()) {
	done := make(chan struct{})
	time.AfterFunc(1, func() {
		defer close(done)
		f()
	})
	<-done
}

// worker is a goroutine that does what it is given.
type worker struct{ work, done chan func() }

func newWorker() *worker {
	w := &worker{make(chan func()), make(chan func())}
	go func() {
		defer close(w.done)
		for f := range w.work {
			f()
			w.done <- f
		}
	}()
	return w
}

func (w *worker) do(f func()) { w.work <- f; <-w.done }
func (w *worker) end()        { close(w.work); <-w.done }

// Lines of each source, planted in each kind of goroutine, and where they land.
func TestPlacement(t *testing.T) {
	sources := []struct {
		name string
		log  func(db *logging.Log)
		own  bool // by a logger that is db's, whoever uses it
	}{
		{"klog structured", func(*logging.Log) { klog.InfoS("x") }, false},
		{"klog structured error", func(*logging.Log) { klog.ErrorS(nil, "x") }, false},
		{"klog formatted", func(*logging.Log) { klog.Infof("x") }, false},
		{"klog warning", func(*logging.Log) { klog.Warning("x") }, false},
		{"klog error", func(*logging.Log) { klog.Errorln("x") }, false},
		{"klog V", func(*logging.Log) { klog.V(2).Info("x") }, false},
		{"klog contextual, without a logger", func(*logging.Log) { klog.FromContext(context.Background()).Info("x") }, false},
		{"klog background", func(*logging.Log) { klog.Background().WithName("n").WithValues("a", 1).Info("x") }, false},
		{"klog from a context", func(db *logging.Log) { klog.FromContext(logr.NewContext(context.Background(), db.Logr())).Info("x") }, true},
		{"logr", func(db *logging.Log) { db.Logr().WithName("n").Error(nil, "x") }, true},
		{"zap", func(db *logging.Log) { db.Zap().With(zap.Int("a", 1)).Info("x") }, true},
		{"slog", func(db *logging.Log) { db.Slog().With("a", 1).Info("x") }, true},
		{"zap's global logger", func(*logging.Log) { zap.L().Info("x") }, false},
		{"zap's global sugared logger", func(*logging.Log) { zap.S().Infow("x", "a", 1) }, false},
		{"slog's default logger", func(*logging.Log) { slog.Info("x") }, false},
		{"the standard logger", func(*logging.Log) { log.Print("x") }, false},
	}
	for _, kind := range []struct {
		name string
		// start has plant called in a goroutine of that kind, and returns when it was.
		start func(db *logging.Log, plant func())
		want  string
	}{
		{"its own", func(db *logging.Log, plant func()) { db.Do(plant) }, "db"},
		{"child", func(db *logging.Log, plant func()) { db.Do(func() { inGoroutine(plant) }) }, "db"},
		{"grandchild", func(db *logging.Log, plant func()) { db.Do(func() { inGoroutine(func() { inGoroutine(plant) }) }) }, "db"},
		{"orphan", func(db *logging.Log, plant func()) {
			var w *worker
			db.Do(func() { inGoroutine(func() { w = newWorker() }) }) // who has started it has ended
			w.do(plant)
			w.end()
		}, "db"},
		{"errgroup", func(db *logging.Log, plant func()) {
			db.Do(func() {
				g, _ := errgroup.WithContext(context.Background())
				g.Go(func() error { plant(); return nil })
				_ = g.Wait()
			})
		}, "db"},
		{"HTTP handler", func(db *logging.Log, plant func()) {
			var server *httptest.Server
			db.Do(func() {
				server = httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { plant() }))
			})
			defer server.Close()
			if resp, err := server.Client().Get(server.URL); err == nil {
				_ = resp.Body.Close()
			}
		}, "db"},
		{"timer's function, of claimed code", func(db *logging.Log, plant func()) { db.Do(func() { inTimer(func() { claimed(plant) }) }) }, "db"},
		{"goroutine that claimed code starts in a timer's function", func(db *logging.Log, plant func()) {
			db.Do(func() { inTimer(func() { claimed(func() { inGoroutine(plant) }) }) })
		}, ""},
		{"timer's function, of code that nobody has claimed", func(db *logging.Log, plant func()) { db.Do(func() { inTimer(plant) }) }, ""},
		{"context's function", func(db *logging.Log, plant func()) {
			db.Do(func() {
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan struct{})
				context.AfterFunc(ctx, func() { defer close(done); plant() })
				cancel()
				<-done
			})
		}, "db"},
		{"goroutine of a shared library that it has started on the server's call", func(db *logging.Log, plant func()) {
			library := sync.OnceValue(newWorker)
			db.Do(func() { library() })
			defer library().end()
			inGoroutine(func() { library().do(plant) }) // whoever it works for
		}, "db"},
		{"goroutine of nobody", func(db *logging.Log, plant func()) {
			w := newWorker()
			defer w.end()
			db.Do(func() { w.do(plant) })
		}, ""},
		{"goroutine of nobody, with claimed code", func(_ *logging.Log, plant func()) { inGoroutine(func() { claimed(plant) }) }, "db"},
		{"another server's", func(_ *logging.Log, plant func()) { another.Do(plant) }, "api"},
		{"another server's, with claimed code", func(_ *logging.Log, plant func()) { another.Do(func() { claimed(plant) }) }, "api"},
	} {
		t.Run(kind.name, func(t *testing.T) {
			ls, out := install(t, logging.Config{Program: "km", Level: -10, Format: logging.FormatJSON})
			ls.TakeDefaults()
			db := ls.Server("db")
			db.Claim("go/ast")
			another = ls.Server("api")
			var want, got []string
			unplaced := int64(0)
			for _, source := range sources {
				name := kind.want
				if source.own {
					name = "db"
				}
				if name == "" {
					name = "km"
					unplaced++
				}
				want = append(want, fmt.Sprintf("%s: %s", source.name, name))
			}
			kind.start(db, func() {
				for _, source := range sources {
					source.log(db)
				}
			})
			for i, e := range entries(t, ls, out) {
				if e["msg"] != "x" {
					t.Errorf("what line is this: %v", e)
				}
				got = append(got, fmt.Sprintf("%s: %s", sources[min(i, len(sources)-1)].name, e["server"]))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if n := ls.Unplaced(); n != unplaced {
				t.Errorf("%d lines are unplaced, want %d", n, unplaced)
			}
		})
	}
}

// another is a server beside db.
var another *logging.Log

// All kinds at once, of several servers.
func TestConcurrentPlacement(t *testing.T) {
	ls, out := install(t, logging.Config{Format: logging.FormatJSON})
	ls.TakeDefaults()
	const servers, rounds = 8, 40
	var wg sync.WaitGroup
	for i := range servers {
		name := fmt.Sprint("s", i)
		wg.Go(func() {
			ls.Server(name).Do(func() {
				var children sync.WaitGroup
				for range rounds {
					children.Go(func() { klog.InfoS("I am " + name) })
					children.Go(func() { klog.Infof("I am %s", name) })
					children.Go(func() { slog.Info("I am " + name) })
					children.Go(func() { log.Print("I am " + name) })
					children.Go(func() { zap.L().Info("I am " + name) })
				}
				children.Wait()
			})
		})
	}
	wg.Wait()
	all := entries(t, ls, out)
	for _, e := range all {
		if e["msg"] != fmt.Sprint("I am ", e["server"]) {
			t.Errorf("not placed right: %v", e)
		}
	}
	if want := servers * rounds * 5; len(all) != want || ls.Unplaced() != 0 {
		t.Errorf("%d lines, %d unplaced, want %d and 0", len(all), ls.Unplaced(), want)
	}
}
