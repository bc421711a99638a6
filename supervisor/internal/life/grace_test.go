package life

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestOverstayingServerIsLeftBehind(t *testing.T) {
	for _, test := range []struct{ set, want time.Duration }{{5 * time.Second, 5 * time.Second}, {0, DefaultGracePeriod}} {
		db, api := newPart("db"), newPart("api", "db")
		api.GracePeriod = test.set
		inBubble(t, func(l *lifeTest) {
			becomeReady(db, api)
			l.signals <- syscall.SIGTERM
			begin := time.Now()
			err := l.end()
			if took := time.Since(begin); took != test.want {
				t.Errorf("it took %v, want the grace period of %v", took, test.want)
			}
			wantFailure(t, err)
			want := fmt.Sprintf("api failed: it did not stop within %v and is left behind; be patient", test.want)
			if err == nil || err.Error() != want {
				t.Errorf("error %q, want %q", err, want)
			}
			l.wantOf(api, "starting", "ready", "stopping", "failed")
			l.wantOf(db, "starting", "ready", "stopping", "stopped")
			l.wantOrder("api failed", "db stopping")
			contains(t, api.said(), "did not stop in its grace period", "leftBehind")
			lacks(t, db.said(), "grace")
		}, db, leftBehind(api))
	}
}

// leftBehind lets p's Run outlive its grace period by far, though not the bubble, which would not end.
func leftBehind(p *part) *part {
	p.Run = func(ctx context.Context) error {
		<-ctx.Done()
		time.Sleep(time.Hour)
		return nil
	}
	return p
}

// A grace period is there to be used.
func TestServerMayUseItsGracePeriod(t *testing.T) {
	db := newPart("db")
	db.GracePeriod, db.slow = 5*time.Second, 5*time.Second-1
	inBubble(t, func(l *lifeTest) {
		becomeReady(db)
		l.signals <- syscall.SIGTERM
		if err := l.end(); err != nil {
			t.Error(err)
		}
		l.wantOf(db, "starting", "ready", "stopping", "stopped")
		lacks(t, db.said(), "grace")
	}, db)
}

// Each server has a grace period of its own: it begins when the server is asked to stop, not when all are.
func TestGracePeriodBeginsWithTheServersStop(t *testing.T) {
	db, api := newPart("db"), newPart("api", "db")
	db.slow, api.slow = DefaultGracePeriod-1, DefaultGracePeriod-1
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, api)
		l.signals <- syscall.SIGTERM
		if err := l.end(); err != nil {
			t.Error(err)
		}
	}, db, api)
}

func TestSecondSignalEndsTheGroupAtOnce(t *testing.T) {
	for _, test := range []struct {
		first, second os.Signal
	}{
		{syscall.SIGINT, syscall.SIGINT},
		{syscall.SIGINT, syscall.SIGTERM},
		{syscall.SIGTERM, syscall.SIGHUP},
	} {
		db := newPart("db")
		inBubble(t, func(l *lifeTest) {
			becomeReady(db)
			l.signals <- test.first
			synctest.Wait()
			l.want("db starting", "db ready", "db stopping")
			l.signals <- test.second
			begin := time.Now()
			err := l.end()
			if took := time.Since(begin); took != 0 {
				t.Errorf("it took %v", took)
			}
			if forced, ok := errors.AsType[*ForcedError](err); !ok || forced.Signal != test.second {
				t.Errorf("the error %v does not tell of the second signal", err)
			}
			contains(t, fmt.Sprint(err), test.second.String())
		}, leftBehind(db))
	}
}
