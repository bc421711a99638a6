package logging

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func checkCounts(t *testing.T, l *Log, want Counts) {
	t.Helper()
	if diff := cmp.Diff(want, l.Counts()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", l.Name(), diff)
	}
}

// Lines are counted by the severity that they carry, each once, wherever they go, and whichever logger wrote them.
func TestCounts(t *testing.T) {
	for _, c := range []Config{{Out: &lines{}}, {Files: true}, {Out: &lines{}, Files: true}, {Out: &lines{}, Files: true, Brief: true}} {
		ls := newLogs(t, c)
		db, api := ls.Server("db"), ls.Server("api")
		if c.Files {
			db.file.Load().open(nowhere{})
		}
		db.Zap().Debug("below its level")
		db.Logr().V(2).Info("below its level")
		checkCounts(t, db, Counts{})
		db.SetLevel(Verbosity(4))
		db.Zap().Debug("x")
		db.Slog().Debug("x")
		db.Logr().V(4).Info("a verbosity is no severity")
		db.Zap().Info("x")
		db.Logr().Info("x")
		db.Slog().Warn("x")
		db.Logr().Error(nil, "x")
		db.Do(func() { newSlog(ls.Placing()).Error("placed") })
		func() {
			defer func() { _ = recover() }()
			db.Zap().Panic("x")
		}()
		want := Counts{Debug: 2, Info: 3, Warn: 1, Error: 2, Fatal: 1}
		checkCounts(t, db, want)
		if n := want.Lines(); n != 9 {
			t.Errorf("%d lines, want 9", n)
		}
		checkCounts(t, api, Counts{})
		checkCounts(t, ls.Program(), Counts{})
	}
}

// What is recorded counts, if there is a file that it goes to.
func TestCountsOfRecord(t *testing.T) {
	ls := newLogs(t, Config{Files: true, Out: &lines{}})
	db, api := ls.Server("db"), ls.Server("api")
	api.Discard()
	for _, l := range []*Log{db, api} {
		for _, level := range []zapcore.Level{zapcore.DebugLevel, zapcore.WarnLevel} {
			if err := l.Record(zapcore.Entry{Level: level, Message: "x"}, zap.Int("n", 1)); err != nil {
				t.Error(err)
			}
		}
	}
	checkCounts(t, db, Counts{Warn: 1})
	checkCounts(t, api, Counts{})
}

// A line is lost if its file or the screen does not take it; if neither does, it is one line nevertheless. It is the
// loss of the server that wrote it, and not of the one that has filled what they share.
func TestLostLines(t *testing.T) {
	half := strings.Repeat("x", queueSize/2) // of two lines, the first fits
	for _, test := range []struct {
		name         string
		file, screen bool // is it stuck?
		want         int64
	}{
		{"all is taken", false, false, 0},
		{"the file is full", true, false, 1},
		{"the screen is full", false, true, 1},
		{"both are full", true, true, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				goOn := make(chan struct{})
				to := func(stuck bool) *destination {
					return &destination{answer: func(p []byte) (int, error) {
						if stuck {
							<-goOn
						}
						return len(p), nil
					}}
				}
				ls := New(Config{Out: to(test.screen), Format: FormatJSON, Files: true})
				ls.Program().Discard()
				db, api := ls.Server("db"), ls.Server("api")
				file := db.file.Load()
				file.open(to(test.file))
				api.file.Load().handTo(file)
				api.file.Store(file)
				db.Zap().Info("x")
				time.Sleep(2 * pause) // of the bubble's time; what is stuck has this one
				db.Zap().Info(half)
				time.Sleep(2 * pause)
				api.Zap().Warn(half)
				checkCounts(t, db, Counts{Info: 2})
				checkCounts(t, api, Counts{Warn: 1, Lost: test.want})
				close(goOn)
				ls.Flush()
				db.Zap().Info("y")
				checkCounts(t, db, Counts{Info: 3})
				ls.Close()
				db.Zap().Info("z") // it is too late
				checkCounts(t, db, Counts{Info: 4, Lost: 1})
			})
		})
	}
}

// fill has a queue be full whose destination takes nothing.
func fill(q *queue) {
	q.put([]byte("x\n"))
	synctest.Wait() // its goroutine has this one
	q.put([]byte(strings.Repeat("x", queueSize-1) + "\n"))
}

// Lines that were logged before the file was opened may not fit into one that another server has filled.
func TestLinesLostByOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		ls := New(Config{Files: true})
		ls.Program().Discard()
		api, db := ls.Server("api"), ls.Server("db")
		path := filepath.Join(t.TempDir(), "all.log")
		file := api.file.Load()
		file.open(&destination{answer: func(p []byte) (int, error) { <-goOn; return len(p), nil }})
		fill(file)
		ls.files[path] = file
		own := db.file.Load()
		db.Zap().Info("one")
		db.Zap().Warn("two")
		if err := db.Open(File{Path: path}); err != nil {
			t.Fatal(err)
		}
		checkCounts(t, db, Counts{Info: 1, Warn: 1, Lost: 2})
		checkCounts(t, api, Counts{})
		if own.put([]byte("three\n")) { // somebody had looked it up before
			t.Error("a line that is lost is said to be taken")
		}
		close(goOn)
		ls.Close()
	})
}

// Lines that were held may find the screen full when they are released.
func TestLinesLostByRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		ls := New(Config{Out: &destination{answer: func(p []byte) (int, error) { <-goOn; return len(p), nil }}, Brief: true})
		db, api := ls.Server("db"), ls.Server("api")
		for _, l := range []*Log{db, api} {
			l.SetPhase(Starting)
			l.Zap().Warn("not yet there")
			l.Zap().Warn("nor this")
		}
		api.SetPhase(Ending)
		api.Zap().Warn("not to be shown, and so not lost")
		fill(ls.display.queue)
		db.Release()
		checkCounts(t, db, Counts{Warn: 2, Lost: 2})
		checkCounts(t, api, Counts{Warn: 3})
		close(goOn)
		ls.Close()
	})
}

// No line is missing in the numbers, however many write at once, and whoever reads meanwhile.
func TestCountsAtOnce(t *testing.T) {
	ls := newLogs(t, Config{Files: true})
	db := ls.Server("db")
	db.file.Load().open(nowhere{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			before := Counts{}
			for range 1000 {
				db.Zap().Info("x")
				c := db.Counts()
				if c.Info <= before.Info || c.Lost != 0 {
					t.Errorf("%+v after %+v", c, before)
				}
				before = c
			}
		})
	}
	all.Wait()
	checkCounts(t, db, Counts{Info: 4000})
}

func TestAll(t *testing.T) {
	ls := newLogs(t, Config{Program: "km"})
	for _, name := range []string{"scheduler", "api", "storage", "api"} {
		ls.Server(name)
	}
	var names []string
	for _, l := range ls.All() {
		names = append(names, l.Name())
		if l != ls.Server(l.Name()) {
			t.Errorf("%s is another Log", l.Name())
		}
	}
	if diff := cmp.Diff([]string{"api", "km", "scheduler", "storage"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
