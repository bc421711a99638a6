package supervisor

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-200a7251/km/logging"
)

// What a server says that is ready is held while others start, but not for ever; and what it has said then is
// forgotten, should it fail.
func TestShownWhileOthersStartSlowly(t *testing.T) {
	db, api := restarting(RestartOnFailure, "db"), newPart("api")
	brief := func(*group) {
		for _, p := range []*part{db, api} {
			p.logs = logging.New(logging.Config{Out: p.shown, Brief: true})
			p.Server.log = p.logs.Server(p.Name())
		}
	}
	inBubbleWith(t, brief, func(l *life) {
		becomeReady(db)
		synctest.Wait()
		db.Logger().Warn("while the other one starts")
		if said := db.said(); said != "" {
			t.Errorf("it is shown at once: %s", said)
		}
		time.Sleep(quietStart)
		synctest.Wait()
		db.Logger().Warn("that takes long")
		contains(t, db.said(), "that takes long")
		becomeReady(api)
		db.end <- errors.New("boom")
		l.backedOff(db)
		lacks(t, db.said(), "while the other one starts")
		l.stop()
	}, db, api)
}

// That all are ready shows nothing of one that complains of what it lacks.
func TestAllReadyLeavesQuiet(t *testing.T) {
	api, last := newPart("api"), newPart("last")
	brief := func(*group) {
		api.logs = logging.New(logging.Config{Out: api.shown, Brief: true})
		api.Server.log = api.logs.Server(api.Name())
	}
	inBubbleWith(t, brief, func(l *life) {
		becomeReady(api)
		synctest.Wait()
		api.log.SetPhase(logging.Ending) // as it is while a server that it needs is away
		becomeReady(last)
		synctest.Wait()
		api.Logger().Warn("where is db?")
		lacks(t, api.said(), "where is db?")
		l.stop()
	}, api, last)
}
