package life

import (
	"context"
	"errors"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// Fail is a failure like any other: the others stop in order, and its error is that of the run.
func TestFail(t *testing.T) {
	for _, ready := range []bool{false, true} {
		db, api := newPart("db"), newPart("api", "db")
		api.slow = time.Second
		inBubble(t, func(l *lifeTest) {
			becomeReady(db)
			states := []string{"starting", "failed"}
			if ready {
				becomeReady(api)
				states = []string{"starting", "ready", "failed"}
			}
			api.Fail(errors.New("lost the lease"))
			api.Fail(errors.New("and then this"))
			begin := time.Now()
			err := l.end()
			wantFailure(t, err)
			if err == nil || err.Error() != "api failed: lost the lease" {
				t.Errorf("error %v, want the first one", err)
			}
			if took := time.Since(begin); took != api.slow {
				t.Errorf("Run was waited for %v, want %v", took, api.slow)
			}
			l.wantOf(api, states...)
			l.wantOf(db, "starting", "ready", "stopping", "stopped")
			l.wantOrder("api failed", "db stopping")
		}, db, api)
	}
}

// Code that would have ended the process calls Fail, and its goroutine is ended: what Fail was told counts.
func TestFailBeforeGoexit(t *testing.T) {
	for range 20 { // to be seen in each order
		db := newPart("db")
		// While its address is asked for, both come to pass.
		db.Ready = nil
		db.Address = func() string { time.Sleep(time.Second); return "" }
		db.Run = func(context.Context) error {
			db.Fail(errors.New("lost the lease"))
			runtime.Goexit()
			return nil
		}
		inBubble(t, func(l *lifeTest) {
			if err := l.end(); err == nil || err.Error() != "db failed: lost the lease" {
				t.Errorf("error %v", err)
			}
			l.want("db starting", "db ready", "db failed")
		}, db)
	}
}

func TestGoexitInRunIsAFailure(t *testing.T) {
	db := newPart("db")
	db.Run = func(context.Context) error {
		runtime.Goexit()
		return nil
	}
	inBubble(t, func(l *lifeTest) {
		if err := l.end(); err == nil || err.Error() != "db failed: the goroutine of its Run was ended" {
			t.Errorf("error %v", err)
		}
	}, db)
}

// What a server runs into while it is being stopped is no failure.
func TestFailWhileStopping(t *testing.T) {
	db := newPart("db")
	db.Fail(errors.New("not even running"))
	db.slow = time.Second
	inBubble(t, func(l *lifeTest) {
		becomeReady(db)
		l.signals <- syscall.SIGTERM
		synctest.Wait()
		db.Fail(errors.New("closed under me"))
		if err := l.end(); err != nil {
			t.Error(err)
		}
		db.Fail(errors.New("too late"))
		l.want("db starting", "db ready", "db stopping", "db stopped")
	}, db)
}
