package logging

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// complain says the same from the same place, with another value.
func complain(l *Log, n int) { l.Zap().Warn("slow", zap.Int("ms", n)) }

// What is said again and again is shown once, and later how often; the file has all of it.
func TestRepeats(t *testing.T) {
	file := &lines{}
	synctest.Test(t, func(t *testing.T) {
		out := &lines{}
		ls := New(Config{Out: out, Brief: true, Files: true})
		ls.Program().Discard()
		db, api := ls.Server("db"), ls.Server("api")
		api.Discard()
		if err := db.Pipe(file); err != nil {
			t.Fatal(err)
		}
		shows := func(want string) {
			t.Helper()
			ls.Flush()
			if diff := cmp.Diff(want, afterTime(out.take())); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		for n := range 86 {
			complain(db, n)
		}
		complain(api, 1)
		db.Zap().Warn("slow") // at another place
		db.Zap().Error("full", zap.Error(errors.New("disk")))
		shows("W db    slow ms=0\nW api   slow ms=1\nW db    slow\nE db    full error=disk\n")
		time.Sleep(repeatPause + time.Second)
		shows("W db    slow (85 more like it within 1m0s: the log file has them)\n")
		complain(api, 2) // nothing was said for a while: it is news
		complain(db, 86) // this goes on
		shows("W api   slow ms=2\n")
		time.Sleep(2 * repeatPause)
		shows("W db    slow (1 more like it within 2m0s: the log file has them)\n")
		time.Sleep(8 * repeatPause)
		complain(db, 87)
		shows("W db    slow ms=87\n")
		ls.Close()
	})
	if n := strings.Count(file.take(), `"slow"`); n != 89 {
		t.Errorf("the file has %d lines, want 89", n)
	}
}

// So it is with what is held while a server starts; not with lines that have a place and words of their own, nor with
// those that somebody asked for, nor with what ends a server.
func TestRepeatsAreThoseAlike(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Brief: true})
	db, api := ls.Server("db"), ls.Server("api")
	api.ShowAll()
	db.SetPhase(Starting)
	for n := range 3 {
		complain(db, n)
		complain(api, n)
	}
	db.Release()
	for n := range 2 {
		db.Zap().Warn(fmt.Sprint("words ", n))
		db.Zap().WithOptions(zap.WithCaller(false)).Warn("printed", zap.Int("n", n))
		db.Zap().WithOptions(zap.WithFatalHook(goesOn{})).Fatal("lost", zap.Int("n", n))
	}
	want := "W api   slow ms=0\nW api   slow ms=1\nW api   slow ms=2\nW db    slow ms=0\n" +
		"W db    words 0\nW db    printed n=0\nF db    lost n=0\nW db    words 1\nW db    printed n=1\nF db    lost n=1\n"
	if diff := cmp.Diff(want, written(ls, out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// goesOn is what ends nothing.
type goesOn struct{}

func (goesOn) OnWrite(*zapcore.CheckedEntry, []zap.Field) {}

// A serial number makes no other words.
func TestRepeatsWithSerialNumbers(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Brief: true})
	db := ls.Server("db")
	for n := range 3 {
		db.Zap().Warn(fmt.Sprintf("[Channel #%d SubChannel #%d] failed", n, n+1))
	}
	if diff := cmp.Diff("W db    [Channel #0 SubChannel #1] failed\n", written(ls, out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// With Quiet only the program itself is heard, and servers whose lines somebody asked for.
func TestQuiet(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Brief: true, Quiet: true, Program: "hk"})
	db, api := ls.Server("db"), ls.Server("api")
	api.ShowAll()
	for _, l := range []*Log{db, api, ls.Program()} {
		l.Zap().Info("info")
		l.Zap().Error("error")
	}
	db.Release()
	if diff := cmp.Diff("I api  info\nE api  error\nE hk   error\n", written(ls, out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What has new words each time is not remembered without end.
func TestRepeatsAreBounded(t *testing.T) {
	out := &lines{}
	ls := newLogs(t, Config{Out: out, Brief: true})
	db := ls.Server("db")
	for n := range maxRepeats {
		db.Zap().Warn(fmt.Sprint("words ", n))
	}
	for n := range 2 {
		complain(db, n)
	}
	if got := written(ls, out); !strings.HasSuffix(got, "W db    slow ms=0\nW db    slow ms=1\n") {
		t.Errorf("the last lines are %q", got[max(0, len(got)-100):])
	}
}
