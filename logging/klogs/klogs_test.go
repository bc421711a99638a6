package klogs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"

	"github.com/seed-200a7251/km/logging"
)

// What each of klog's functions becomes: its severity, its verbosity, and the file and line of whoever called it. Those
// with a depth are called by a function whose caller is to be told.
func TestSeverityAndCaller(t *testing.T) {
	ls, out := install(t, everything)
	Install(ls, func(*logging.Log, error, int) {}) // some of them end the process
	db := ls.Server("db")
	ctx, none := logr.NewContext(t.Context(), db.Logr()), context.Background()
	boom := errors.New("boom")
	var at string
	for _, test := range []struct {
		name  string
		log   func()
		level string
		v     int
		err   bool
	}{
		{"Info", func() { at = here(); klog.Info("said") }, "info", 0, false},
		{"Infof", func() { at = here(); klog.Infof("%s", "said") }, "info", 0, false},
		{"Infoln", func() { at = here(); klog.Infoln("said") }, "info", 0, false},
		{"InfoS", func() { at = here(); klog.InfoS("said") }, "info", 0, false},
		{"InfoDepth", func() { klog.InfoDepth(1, "said") }, "info", 0, false},
		{"InfofDepth", func() { klog.InfofDepth(1, "%s", "said") }, "info", 0, false},
		{"InfolnDepth", func() { klog.InfolnDepth(1, "said") }, "info", 0, false},
		{"InfoSDepth", func() { klog.InfoSDepth(1, "said") }, "info", 0, false},

		{"V.Info", func() { at = here(); klog.V(3).Info("said") }, "info", 3, false},
		{"V.Infof", func() { at = here(); klog.V(3).Infof("%s", "said") }, "info", 3, false},
		{"V.Infoln", func() { at = here(); klog.V(3).Infoln("said") }, "info", 3, false},
		{"V.InfoS", func() { at = here(); klog.V(3).InfoS("said") }, "info", 3, false},
		{"V.InfoDepth", func() { klog.V(3).InfoDepth(1, "said") }, "info", 3, false},
		{"V.InfofDepth", func() { klog.V(3).InfofDepth(1, "%s", "said") }, "info", 3, false},
		{"V.InfolnDepth", func() { klog.V(3).InfolnDepth(1, "said") }, "info", 3, false},
		{"V.InfoSDepth", func() { klog.V(3).InfoSDepth(1, "said") }, "info", 3, false},
		{"V.ErrorS", func() { at = here(); klog.V(3).ErrorS(boom, "said") }, "error", 0, true},
		{"VDepth", func() { at = here(); klog.VDepth(1, 3).Info("said") }, "info", 3, false},

		{"Warning", func() { at = here(); klog.Warning("said") }, "warn", 0, false},
		{"Warningf", func() { at = here(); klog.Warningf("%s", "said") }, "warn", 0, false},
		{"Warningln", func() { at = here(); klog.Warningln("said") }, "warn", 0, false},
		{"WarningDepth", func() { klog.WarningDepth(1, "said") }, "warn", 0, false},
		{"WarningfDepth", func() { klog.WarningfDepth(1, "%s", "said") }, "warn", 0, false},
		{"WarninglnDepth", func() { klog.WarninglnDepth(1, "said") }, "warn", 0, false},

		{"Error", func() { at = here(); klog.Error("said") }, "error", 0, false},
		{"Errorf", func() { at = here(); klog.Errorf("%s", "said") }, "error", 0, false},
		{"Errorln", func() { at = here(); klog.Errorln("said") }, "error", 0, false},
		{"ErrorS", func() { at = here(); klog.ErrorS(boom, "said") }, "error", 0, true},
		{"ErrorS of nil", func() { at = here(); klog.ErrorS(nil, "said") }, "error", 0, false},
		{"ErrorDepth", func() { klog.ErrorDepth(1, "said") }, "error", 0, false},
		{"ErrorfDepth", func() { klog.ErrorfDepth(1, "%s", "said") }, "error", 0, false},
		{"ErrorlnDepth", func() { klog.ErrorlnDepth(1, "said") }, "error", 0, false},
		{"ErrorSDepth", func() { klog.ErrorSDepth(1, boom, "said") }, "error", 0, true},

		{"Fatal", func() { at = here(); klog.Fatal("said") }, "fatal", 0, false},
		{"Fatalf", func() { at = here(); klog.Fatalf("%s", "said") }, "fatal", 0, false},
		{"Fatalln", func() { at = here(); klog.Fatalln("said") }, "fatal", 0, false},
		{"FatalDepth", func() { klog.FatalDepth(1, "said") }, "fatal", 0, false},
		{"FatalfDepth", func() { klog.FatalfDepth(1, "%s", "said") }, "fatal", 0, false},
		{"FatallnDepth", func() { klog.FatallnDepth(1, "said") }, "fatal", 0, false},
		{"Exit", func() { at = here(); klog.Exit("said") }, "fatal", 0, false},
		{"Exitf", func() { at = here(); klog.Exitf("%s", "said") }, "fatal", 0, false},
		{"Exitln", func() { at = here(); klog.Exitln("said") }, "fatal", 0, false},
		{"ExitDepth", func() { klog.ExitDepth(1, "said") }, "fatal", 0, false},
		{"ExitfDepth", func() { klog.ExitfDepth(1, "%s", "said") }, "fatal", 0, false},
		{"ExitlnDepth", func() { klog.ExitlnDepth(1, "said") }, "fatal", 0, false},

		// As k8s.io/apiserver wraps klog for grpc, whose own functions are between.
		{"wrapper of V", func() { at = here(); third(wrapper{}.Info) }, "info", 5, false},
		{"wrapper of Warning", func() { at = here(); third(wrapper{}.Warning) }, "warn", 0, false},
		{"wrapper of Error", func() { at = here(); third(wrapper{}.Error) }, "error", 0, false},
		{"wrapper of Fatal", func() { at = here(); third(wrapper{}.Fatal) }, "fatal", 0, false},
		{"from far below", func() { below(20, 1) }, "warn", 0, false},

		{"Background", func() { at = here(); klog.Background().Info("said") }, "info", 0, false},
		{"Background.V", func() { at = here(); klog.Background().V(2).Info("said") }, "info", 2, false},
		{"Background.Error", func() { at = here(); klog.Background().Error(boom, "said") }, "error", 0, true},
		{"TODO", func() { at = here(); klog.TODO().Info("said") }, "info", 0, false},
		{"WithCallDepth", func() { klog.Background().WithCallDepth(1).Info("said") }, "info", 0, false},
		{"WithCallDepth of V", func() { klog.Background().V(1).WithCallDepth(1).Info("said") }, "info", 1, false},
		{"FromContext", func() { at = here(); klog.FromContext(ctx).Info("said") }, "info", 0, false},
		{"FromContext.V", func() { at = here(); klog.FromContext(ctx).V(2).Info("said") }, "info", 2, false},
		{"FromContext.Error", func() { at = here(); klog.FromContext(ctx).Error(boom, "said") }, "error", 0, true},
		{"FromContext.Error of nil", func() { at = here(); klog.FromContext(ctx).Error(nil, "said") }, "error", 0, false},
		{"FromContext of none", func() { at = here(); klog.FromContext(none).V(1).Info("said") }, "info", 1, false},
		{"FromContext of none, Error", func() { at = here(); klog.FromContext(none).Error(boom, "said") }, "error", 0, true},
		{"FromContext, WithCallDepth", func() { klog.FromContext(ctx).WithCallDepth(1).Info("said") }, "info", 0, false},
		{"klog.NewContext", func() { at = here(); klog.FromContext(klog.NewContext(none, db.Logr())).Info("said") }, "info", 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			for range 2 { // the second time the place is known
				at = ""
				var called string
				inGoroutine(func() {
					db.Do(func() { called = here(); test.log() })
				})
				if at == "" {
					at = called
				}
				want := map[string]any{"level": test.level, "server": "db", "msg": "said", "caller": at}
				if test.level == "info" {
					want["v"] = float64(test.v)
				}
				if test.err {
					want["err"] = "boom"
				}
				if diff := cmp.Diff([]map[string]any{want}, entries(t, ls, out)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// wrapper is made as k8s.io/apiserver/pkg/storage/etcd3/logger.go is.
type wrapper struct{}

const wrapperDepth = 4

func (wrapper) Info(args ...any) {
	if v := klog.V(5); v.Enabled() {
		v.InfoSDepth(wrapperDepth, fmt.Sprint(args...))
	}
}
func (wrapper) Warning(args ...any) { klog.WarningDepth(wrapperDepth, args...) }
func (wrapper) Error(args ...any)   { klog.ErrorDepth(wrapperDepth, args...) }
func (wrapper) Fatal(args ...any)   { klog.FatalDepth(wrapperDepth, args...) }

// These stand for grpc's functions.
func third(f func(...any))  { second(f) }
func second(f func(...any)) { first(f) }
func first(f func(...any))  { f("said") }

// below warns from n functions below.
//
//go:noinline
func below(n, depth int) {
	if n == 0 {
		klog.WarningDepth(depth+1, "said")
		return
	}
	below(n-1, depth+1)
}

func TestNamesAndValues(t *testing.T) {
	ls, out := install(t, logging.Config{Level: -10})
	db := ls.Server("db")
	ctx := logr.NewContext(t.Context(), db.Logr())
	logger := klog.FromContext(ctx)
	for _, test := range []struct {
		name string
		log  func()
		want string
	}{
		{"formatted", func() { klog.Infof("%d of %s", 1, "two") }, "1 of two"},
		{"like Print", func() { klog.Info("a", "b", 1, 2) }, "ab1 2"},
		{"like Println", func() { klog.Infoln("a", "b", 1) }, "a b 1"},
		{"an end of line", func() { klog.Info("one\n") }, "one"},
		{"several lines", func() { klog.Infof("one\ntwo\n") }, "one\n\ttwo"},
		{"nothing", func() { klog.Info() }, ""},
		{"structured", func() { klog.InfoS("x", "a", 1, "b", "c d") }, `x a=1 b="c d"`},
		{"structured, several lines", func() { klog.InfoS("x", "a", "one\ntwo") }, "x a=<\n\tone\n\ttwo\n >"},
		{"odd", func() { klog.InfoS("x", "a", 1, "b") }, "x a=1 b=(MISSING)"},
		{"key that is no string", func() { klog.InfoS("x", 7, "seven") }, "x 7=seven"},
		{"error", func() { klog.ErrorS(errors.New("out of ink"), "x", "a", 1) }, `x err="out of ink" a=1`},
		{"object", func() { klog.InfoS("x", "pod", klog.KRef("default", "web")) }, "x pod=default/web"},
		{"object of nothing", func() { klog.InfoS("x", "pod", klog.KObj(nil)) }, `x pod={"name":""}`},
		{"object of a nil pointer", func() { klog.InfoS("x", "pod", klog.KObj((*object)(nil))) }, `x pod={"name":""}`},
		{"objects", func() { klog.InfoS("x", "pods", klog.KObjSlice([]*object{{"a", "b"}, nil})) },
			`x pods=[{"name":"b","namespace":"a"},{"name":""}]`},
		{"objects that are none", func() { klog.InfoS("x", "pods", klog.KObjSlice(1)) }, `x pods="<KObjSlice needs a slice, got type int>"`},
		{"Format", func() { klog.InfoS("x", "o", klog.Format(map[string]int{"a": 1})) }, `x o={"a":1}`},

		{"values", func() { logger.Info("x", "a", 1, "b", "c d") }, `x a=1 b="c d"`},
		{"values given before", func() { logger.WithValues("a", 1).WithValues("b", 2).Info("x", "c", 3) }, "x a=1 b=2 c=3"},
		{"names", func() { logger.WithName("gc").WithName("worker").Info("x") }, "gc.worker: x"},
		{"name and values", func() { logger.WithName("gc").WithValues("a", 1).Info("x") }, "gc: x a=1"},
		{"klog's LoggerWithName and LoggerWithValues", func() { klog.LoggerWithValues(klog.LoggerWithName(klog.Background(), "gc"), "a", 1).Info("x") }, "gc: x a=1"},
		{"in a context", func() { klog.FromContext(klog.NewContext(ctx, logger.WithName("gc"))).Info("x") }, "gc: x"},
		{"odd, given before", func() { logger.WithValues("b").Info("x") }, "x b=(MISSING)"},
		{"it tells itself how", func() { logger.Info("x", "secret", secret("hunter2")) }, "x secret=***"},
		{"error as a value", func() { logger.Info("x", "cause", errors.New("out of ink")) }, `x cause="out of ink"`},
		{"no value", func() { logger.Info("x", "a", nil) }, "x a=null"},
	} {
		t.Run(test.name, func(t *testing.T) {
			db.Do(test.log)
			severity := "I"
			if test.name == "error" {
				severity = "E"
			}
			if diff := cmp.Diff(severity+" db    "+test.want+"\n", written(ls, out)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

type secret string

func (secret) MarshalLog() any { return "***" }

// object is one of Kubernetes.
type object struct{ namespace, name string }

func (o *object) GetName() string      { return o.name }
func (o *object) GetNamespace() string { return o.namespace }

// Two loggers that come from one may not write over each other's values.
func TestWithValuesDoesNotShare(t *testing.T) {
	ls, out := install(t, logging.Config{})
	db := ls.Server("db")
	for _, base := range []klog.Logger{db.Logr(), klog.Background()} {
		base = base.WithValues("a", 1).WithValues("b", 2).WithValues("c", 3) // one by one: room for a fourth is left
		one, two := base.WithValues("who", "one"), base.WithValues("who", "two")
		db.Do(func() {
			one.Info("x", "d", 4)
			two.Info("x")
			base.Info("x")
		})
		want := "I db    x a=1 b=2 c=3 who=one d=4\nI db    x a=1 b=2 c=3 who=two\nI db    x a=1 b=2 c=3\n"
		if diff := cmp.Diff(want, written(ls, out)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// klog hands its warnings on as if they were for information. Each severity is seen at its own level and below.
func TestSeveritiesAtEachLevel(t *testing.T) {
	const infos, warnings, failures = "I db    info\n", "W db    warning\nW db    warning\n", "E db    error\nE db    error\n"
	for _, test := range []struct {
		level zapcore.Level
		want  string
	}{
		{-1, "I db    detail\n" + infos + warnings + failures},
		{zapcore.InfoLevel, infos + warnings + failures},
		{zapcore.WarnLevel, warnings + failures},
		{zapcore.ErrorLevel, failures},
	} {
		ls, out := install(t, logging.Config{Level: test.level})
		log := func() {
			klog.V(1).Info("detail")
			klog.Info("info")
			klog.Warning("warning")
			klog.Warningf("%s", "warning")
			klog.Error("error")
			klog.ErrorS(nil, "error")
		}
		ls.Server("db").Do(log)
		if diff := cmp.Diff(test.want, written(ls, out)); diff != "" {
			t.Errorf("level %d (-want +got):\n%s", test.level, diff)
		}
		// What is not written is not counted either.
		log()
		if got, want := ls.Unplaced(), int64(strings.Count(test.want, "\n")); got != want {
			t.Errorf("level %d: %d lines are unplaced, want %d", test.level, got, want)
		}
		// To ask whether a line would be written is not to write it.
		before := ls.Unplaced()
		klog.Background().V(1).Enabled()
		if got := ls.Unplaced(); got != before {
			t.Errorf("%d lines are unplaced after asking, want %d", got, before)
		}
	}
}

// Servers log from many goroutines at once, with loggers of all kinds.
func TestConcurrentLines(t *testing.T) {
	ls, out := install(t, logging.Config{Format: logging.FormatJSON})
	const servers, rounds = 10, 50
	var wg sync.WaitGroup
	for i := range servers {
		name := fmt.Sprint("s", i)
		log := ls.Server(name)
		wg.Go(func() {
			log.Do(func() {
				logger := klog.FromContext(logr.NewContext(t.Context(), log.Logr())).WithValues("who", name)
				for range rounds {
					klog.InfoS("klog", "who", name)
					klog.Background().WithValues("who", name).Info("klog")
					logger.Info("contextual")
				}
			})
		})
	}
	wg.Wait()
	all := entries(t, ls, out)
	for _, e := range all {
		if e["server"] != e["who"] {
			t.Errorf("not placed right: %v", e)
		}
	}
	if want := servers * rounds * 3; len(all) != want || ls.Unplaced() != 0 {
		t.Errorf("%d lines, %d unplaced, want %d and 0", len(all), ls.Unplaced(), want)
	}
}

// klog.Flush is called now and then, and with klog's lock held: it does not wait for a terminal that blocks.
func TestFlushDoesNotBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		defer close(goOn)
		ls, _ := install(t, logging.Config{Out: blocking(goOn)})
		begin := time.Now()
		ls.Server("db").Do(func() {
			for range 10 {
				klog.Info("x")
				klog.Flush()
			}
		})
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("it has waited %v", waited)
		}
	})
}

// blocking is a terminal that takes nothing until it is to go on.
type blocking chan struct{}

func (b blocking) Write(p []byte) (int, error) { <-b; return len(p), nil }
