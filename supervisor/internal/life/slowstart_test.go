package life

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-200a7251/km/logging"
)

// What a server said in a start that went well is forgotten some time after it, and what it says from then on is shown,
// even if others are still starting.
func TestLinesOfAStartAreForgotten(t *testing.T) {
	db, api := restarting(RestartOnFailure, "db"), newPart("api", "db")
	brief := func(*Group) {
		db.logs.Close()
		db.logs = logging.New(logging.Config{Out: db.shown, Brief: true})
		db.actor.s.Log = db.logs.Server("db")
	}
	inBubbleWith(t, brief, func(l *lifeTest) {
		synctest.Wait()
		db.actor.Log().Zap().Warn("early")
		becomeReady(db)
		time.Sleep(quietStart)
		synctest.Wait()
		db.actor.Log().Zap().Warn("late")
		contains(t, db.said(), "late")
		db.end <- errors.New("boom")
		synctest.Wait()
		lacks(t, db.said(), "early")
		l.stop()
	}, db, api)
}
