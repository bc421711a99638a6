package klogs

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"

	"github.com/seed-200a7251/km/logging"
)

// klog's own level is that of the server that wants most: each server drops what is above its own.
func TestVerbosityOfEachServer(t *testing.T) {
	ls, out := install(t, logging.Config{Level: zapcore.WarnLevel})
	quiet, loud := ls.Server("quiet"), ls.Server("loud")
	if klog.V(1).Enabled() {
		t.Error("nobody has asked for V(1)")
	}
	made := klog.Background().WithName("made") // before the level changes
	loud.SetLevel(logging.Verbosity(4))
	for _, s := range []*logging.Log{quiet, loud} {
		s.Do(func() {
			wants := s == loud
			for v := range klog.Level(6) {
				// klog.V(v).Enabled() asks klog's own level alone; a logger asks us.
				if got, want := klog.Background().V(int(v)).Enabled(), wants && v <= 4; v > 0 && got != want {
					t.Errorf("%s: V(%d) is enabled: %v, want %v", s.Name(), v, got, want)
				}
				klog.V(v).Infof("V(%d)", v)
				klog.V(v).InfoS("S", "n", int(v))
				klog.FromContext(context.Background()).V(int(v)).Info("contextual", "n", int(v))
				klog.FromContext(logr.NewContext(t.Context(), s.Logr())).V(int(v)).Info("its own", "n", int(v))
				made.V(int(v)).Info("x")
			}
			klog.Warning("beware")
		})
	}
	var want strings.Builder
	want.WriteString("W quiet  beware\n")
	for v := range 5 {
		fmt.Fprintf(&want, "I loud   V(%[1]d)\nI loud   S n=%[1]d\nI loud   contextual n=%[1]d\nI loud   its own n=%[1]d\nI loud   made: x\n", v)
	}
	want.WriteString("W loud   beware\n")
	if diff := cmp.Diff(want.String(), written(ls, out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := ls.Unplaced(); n != 0 {
		t.Errorf("%d lines are unplaced", n)
	}
}

// A change is seen at once by klog and by all loggers that there are, also by those in contexts.
func TestLevelAtRunTime(t *testing.T) {
	ls, out := install(t, logging.Config{})
	db, api := ls.Server("db"), ls.Server("api")
	inContext, background := db.Logr().WithValues("n", 1), klog.Background().WithName("a").V(1)
	say := func() {
		db.Do(func() {
			klog.V(3).Info("x")
			klog.V(3).InfoS("x")
			inContext.V(3).Info("x")
			background.V(2).Info("x")
			klog.FromContext(logr.NewContext(t.Context(), inContext)).V(3).Info("x")
		})
	}
	for _, step := range []struct {
		set   func()
		lines int
		klog  int // klog's own verbosity
	}{
		{func() {}, 0, 0},
		{func() { db.SetLevel(logging.Verbosity(3)) }, 5, 3},
		{func() { db.SetLevel(logging.Verbosity(2)) }, 0, 2},
		{func() { api.SetLevel(logging.Verbosity(6)) }, 0, 6},
		{func() { db.SetLevel(logging.Verbosity(127)) }, 5, 127},
		{func() { api.SetLevel(zapcore.ErrorLevel) }, 5, 127},
		{func() { db.SetLevel(zapcore.ErrorLevel) }, 0, 0},
		{func() { ls.Program().SetLevel(logging.Verbosity(2)) }, 0, 2},
		{func() { ls.Server("new").SetLevel(logging.Verbosity(3)) }, 0, 3},
		{func() { db.SetLevel(logging.Verbosity(4)) }, 5, 4},
	} {
		step.set()
		say()
		if n := strings.Count(written(ls, out), "\n"); n != step.lines {
			t.Errorf("%d lines, want %d", n, step.lines)
		}
		if !klog.V(klog.Level(step.klog)).Enabled() || klog.V(klog.Level(step.klog+1)).Enabled() {
			t.Errorf("klog's own verbosity is not %d", step.klog)
		}
	}
}

// The level may be changed from several goroutines, while others log; the last change holds.
func TestConcurrentLevels(t *testing.T) {
	ls, out := install(t, logging.Config{Level: zapcore.ErrorLevel})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			s := ls.Server(fmt.Sprint("s", i))
			s.Do(func() {
				for n := range 50 {
					s.SetLevel(logging.Verbosity(n % 7))
					if err := s.SetVModule(fmt.Sprintf("verbosity_test=%d", n%9)); err != nil {
						t.Error(err)
					}
					klog.V(3).Info("x")
					klog.Background().V(4).Info("x")
				}
				s.SetLevel(zapcore.WarnLevel)
				if err := s.SetVModule(""); err != nil {
					t.Error(err)
				}
			})
		})
	}
	wg.Wait()
	written(ls, out)
	if klog.V(1).Enabled() {
		t.Error("klog lets through what nobody wants any more")
	}
	ls.Server("s3").SetLevel(logging.Verbosity(5))
	if !klog.V(5).Enabled() || klog.V(6).Enabled() {
		t.Error("klog's verbosity is not that of the last change")
	}
}

// sayHere logs with verbosity v from this file, in each way.
func sayHere(v int) {
	klog.V(klog.Level(v)).Info("formatted")
	klog.V(klog.Level(v)).InfoS("structured")
	klog.Background().V(v).Info("background")
	klog.FromContext(context.Background()).V(v).Info("contextual")
}

// sayThere does it from another file.
func sayThere(v int) { infoFromElsewhere(v, "elsewhere") }

const saidHere = "I db    formatted\nI db    structured\nI db    background\nI db    contextual\n"

// A server's vmodule raises the verbosity of lines from this very file, for this server and for no other.
func TestVModule(t *testing.T) {
	for _, test := range []struct {
		text string
		v    int
		want string
	}{
		{"", 1, ""},
		{"verbosity_test=5", 5, saidHere},
		{"verbosity_test=5", 6, ""},
		{"main_test=5", 5, "I db    elsewhere\n"},
		{"verbosity_test=5,main_test=5", 5, saidHere + "I db    elsewhere\n"},
		{"verbosity_test=5, main_test=5", 5, saidHere + "I db    elsewhere\n"},
		{"verb*=5", 5, saidHere},
		{"verbosity_tes?=5", 5, saidHere},
		{"[u-v]erbosity_test=5", 5, saidHere},
		{"*=5", 5, saidHere + "I db    elsewhere\n"},
		{"verbosity=5", 5, ""},
		{"verbosity_test=2,*=5", 5, "I db    elsewhere\n"},
		{"*=5,verbosity_test=2", 5, saidHere + "I db    elsewhere\n"},
		{"verbosity_test=3000000000", 127, saidHere},
	} {
		t.Run(test.text, func(t *testing.T) {
			ls, out := install(t, logging.Config{})
			db, api := ls.Server("db"), ls.Server("api")
			if err := db.SetVModule(test.text); err != nil {
				t.Fatal(err)
			}
			for _, s := range []*logging.Log{api, db} {
				s.Do(func() { sayHere(test.v); sayThere(test.v) })
			}
			sayHere(test.v) // nobody's
			if diff := cmp.Diff(test.want, written(ls, out)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if ls.Unplaced() != 0 {
				t.Errorf("%d lines are unplaced that nobody wanted", ls.Unplaced())
			}
			if err := db.SetVModule(""); err != nil {
				t.Fatal(err)
			}
			db.Do(func() { sayHere(test.v); sayThere(test.v) })
			if got := written(ls, out); got != "" {
				t.Errorf("it still has an effect: %s", got)
			}
		})
	}
}

// Several servers have rules for the same file. klog knows only one list, of which the first that fits counts: it is to
// let through what the one wants that wants most.
func TestVModuleOfSeveralServers(t *testing.T) {
	for _, texts := range []map[string]string{
		{"a": "verbosity_test=2", "b": "verbosity_test=5"},
		{"a": "verbosity_test=5", "b": "verbosity_test=2"},
		{"a": "verb*=2", "b": "verbosity_test=5", "c": "*=4"},
		{"a": "verbosity_test=1,*=9", "b": "main_test=3, verbosity_test=6"},
	} {
		ls, out := install(t, logging.Config{})
		want := ""
		for _, name := range []string{"a", "b", "c"} {
			if err := ls.Server(name).SetVModule(texts[name]); err != nil {
				t.Fatal(err)
			}
		}
		for v := range 10 {
			for _, name := range []string{"a", "b", "c"} {
				ls.Server(name).Do(func() { klog.V(klog.Level(v)).InfoS("x", "n", v) })
				// The rule that fits, by the text: the first one.
				most := 0
				for rule := range strings.SplitSeq(texts[name], ",") {
					file, n, _ := strings.Cut(strings.TrimSpace(rule), "=")
					if strings.HasPrefix(file, "verb") || file == "*" {
						if _, err := fmt.Sscan(n, &most); err != nil {
							t.Fatal(err)
						}
						break
					}
				}
				if v <= most {
					want += fmt.Sprintf("I %-5s x n=%d\n", name, v)
				}
			}
		}
		if diff := cmp.Diff(want, written(ls, out)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", texts, diff)
		}
	}
}

// Whoever sets klog's flags by himself is overruled by the next change only; the servers' levels hold for what is
// written.
func TestKlogsOwnVerbosity(t *testing.T) {
	ls, out := install(t, logging.Config{})
	var level klog.Level
	if err := level.Set("9"); err != nil {
		t.Fatal(err)
	}
	ls.Server("db").Do(func() { sayHere(5) })
	sayHere(5)
	if got := written(ls, out); got != "" || ls.Unplaced() != 0 {
		t.Errorf("%d unplaced: %s", ls.Unplaced(), got)
	}
}
