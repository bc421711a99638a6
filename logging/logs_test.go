package logging

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestServerIsMadeOnce(t *testing.T) {
	ls := newLogs(t, Config{Program: "km"})
	first, second := ls.Server("db"), ls.Server("db")
	if first != second || first == ls.Server("api") {
		t.Error("there is to be one Log for each name")
	}
	if ls.Server("km") != ls.Program() || ls.Program().Name() != "km" {
		t.Error("the program's Log is to be found by its name")
	}
	if got := newLogs(t, Config{}).Program().Name(); got != "main" {
		t.Errorf("a program without a name is %q", got)
	}
	var wg sync.WaitGroup
	all := make([]*Log, 20)
	for i := range all {
		wg.Go(func() { all[i] = ls.Server("new") })
	}
	wg.Wait()
	for _, l := range all {
		if l != all[0] {
			t.Error("several goroutines got several Logs of one name")
		}
	}
}

// A logger of the whole process writes to the server whose goroutine uses it, at that server's level.
func TestPlacing(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Program: "km"})
	db := ls.Server("db")
	db.SetLevel(zap.WarnLevel)
	shared := zap.New(ls.Placing()).Named("client").With(zap.Int("n", 1))
	db.Do(func() {
		shared.Info("below the server's level")
		shared.Warn("retry")
	})
	shared.Info("nobody's")
	shared.Debug("nobody's, and below its level")
	if diff := cmp.Diff("W db  client: retry n=1\nI km  client: nobody's n=1\n", written(ls, out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := ls.Unplaced(); n != 1 {
		t.Errorf("unplaced: %d, want 1", n)
	}
	if shared.Core().Enabled(zap.DebugLevel) || !shared.Core().Enabled(zap.InfoLevel) || ls.Unplaced() != 1 {
		t.Error("to ask for a level is not to write")
	}
}

// Sync is zap's word for Flush.
func TestSync(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out})
	z := ls.Server("db").Zap()
	z.Info("x")
	if err := z.Sync(); err != nil || !strings.HasSuffix(out.take(), "x\n") {
		t.Errorf("after Sync the line is not there: %v", err)
	}
}

// Nothing is written nowhere.
func TestNoDestination(t *testing.T) {
	ls := newLogs(t, Config{Level: -4})
	db := ls.Server("db")
	if db.Zap().Core().Enabled(zapcore.ErrorLevel) || db.Logr().Enabled() {
		t.Error("lines are wanted that go nowhere")
	}
	db.Zap().Error("x")
	db.Logr().Error(nil, "x")
	db.Slog().Error("x")
	if err := db.Record(zapcore.Entry{Message: "x"}); err != nil {
		t.Error(err)
	}
	ls.Flush()
}

// Servers are made, and their levels changed, while others log.
func TestConcurrentUse(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Brief: true})
	ls.OnChange(func() { ls.MostVerbose() })
	const servers, rounds = 8, 50
	var wg sync.WaitGroup
	for i := range servers {
		wg.Go(func() {
			db := ls.Server(fmt.Sprint("s", i))
			db.ShowAll()
			for n := range rounds {
				db.SetLevel(Verbosity(n % 5))
				if err := db.SetVModule(fmt.Sprintf("logs_test=%d", n%7)); err != nil {
					t.Error(err)
				}
				db.SetPhase(Phase(n % 3))
				db.Claim("example.com/" + db.Name())
				db.Zap().Warn("zap")
				db.Slog().Warn("slog")
				db.Logr().Info("logr")
				if n%10 == 0 {
					ls.Flush()
				}
			}
		})
	}
	wg.Wait()
	ls.Flush()
	if got, want := strings.Count(out.take(), "\n"), servers*rounds*3; got != want {
		t.Errorf("%d lines, want %d", got, want)
	}
}

// OnChange calls at once, and then after each change.
func TestOnChange(t *testing.T) {
	ls := newLogs(t, Config{Out: io.Discard})
	db := ls.Server("db")
	var got []string
	ls.OnChange(func() {
		level, vmodule := ls.MostVerbose()
		got = append(got, fmt.Sprintf("%d %s", level, vmodule))
	})
	db.SetLevel(Verbosity(4))
	if err := db.SetVModule("gc=5"); err != nil {
		t.Error(err)
	}
	if err := db.SetVModule("gc"); err == nil {
		t.Error("it is no vmodule")
	}
	if err := db.SetVModule(""); err != nil {
		t.Error(err)
	}
	db.SetLevel(zapcore.ErrorLevel)
	if diff := cmp.Diff([]string{"0 ", "-4 ", "-4 gc=5", "-4 ", "0 "}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestMostVerbose(t *testing.T) {
	ls := newLogs(t, Config{Level: zapcore.WarnLevel})
	if level, _ := ls.MostVerbose(); level != zapcore.WarnLevel {
		t.Errorf("most verbose is %v, want warn", level)
	}
	quiet, loud := ls.Server("quiet"), ls.Server("loud")
	loud.SetLevel(Verbosity(2))
	quiet.SetLevel(zapcore.ErrorLevel)
	if level, vmodule := ls.MostVerbose(); level != -2 || vmodule != "" {
		t.Errorf("most verbose is %v, %q, want -2", level, vmodule)
	}
	ls.Program().SetLevel(Verbosity(3))
	if level, _ := ls.MostVerbose(); level != -3 {
		t.Errorf("most verbose is %v, want that of the program", level)
	}
}
