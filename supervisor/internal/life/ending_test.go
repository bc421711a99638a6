package life

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
		case <-db.actor.Ending():
			return true
		default:
			return false
		}
	}
	inBubble(t, func(l *lifeTest) {
		becomeReady(db, api)
		if ending() {
			t.Error("nobody has asked for it")
		}
		old := db.actor.Ending()
		db.end <- nil
		synctest.Wait()
		l.ask(Start, db)
		becomeReady(db)
		if ending() || db.actor.Ending() == old {
			t.Error("a start knows of the end of the one before")
		}
		l.fresh()
		l.g.Close()
		if !ending() {
			t.Error("it is not told")
		}
		l.wantNew("api stopping")
		if err := l.end(); err != nil {
			t.Error(err)
		}
	}, db, api)
}
