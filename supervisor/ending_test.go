package supervisor

import (
	"testing"
	"testing/synctest"
	"time"
)

// A server knows that it is to end while those that need it end, and a new start knows nothing of that.
func TestEnding(t *testing.T) {
	db, api := newPart("db"), newPart("api", "db")
	api.slow = time.Second
	ending := func() bool {
		synctest.Wait()
		select {
		case <-db.Ending():
			return true
		default:
			return false
		}
	}
	if db.Ending() != nil {
		t.Error("it does not run")
	}
	inBubble(t, func(l *life) {
		becomeReady(db, api)
		if ending() {
			t.Error("nobody has asked for it")
		}
		old := db.Ending()
		db.end <- nil
		synctest.Wait()
		l.ask(askStart, db)
		becomeReady(db)
		if ending() || db.Ending() == old {
			t.Error("a start knows of the end of the one before")
		}
		l.fresh()
		l.g.close()
		if !ending() {
			t.Error("it is not told")
		}
		l.wantNew("api stopping")
		if err := l.end(); err != nil {
			t.Error(err)
		}
	}, db, api)
}
