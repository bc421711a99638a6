package life

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-200a7251/km/logging"
)

// What a server says that is ready is held while others start, but not for ever; and what it has said then is
// forgotten, should it fail.
func TestShownWhileOthersStartSlowly(t *testing.T) {
	db, api := restarting(RestartOnFailure, "db"), newPart("api")
	brief := func(*Group) {
		for _, p := range []*part{db, api} {
			p.logs = logging.New(logging.Config{Out: p.shown, Brief: true})
			p.actor.s.Log = p.logs.Server(p.Name)
		}
	}
	inBubbleWith(t, brief, func(l *lifeTest) {
		becomeReady(db)
		synctest.Wait()
		db.actor.Log().Zap().Warn("while the other one starts")
		if said := db.said(); said != "" {
			t.Errorf("it is shown at once: %s", said)
		}
		time.Sleep(quietStart)
		synctest.Wait()
		db.actor.Log().Zap().Warn("that takes long")
		contains(t, db.said(), "that takes long")
		becomeReady(api)
		db.end <- errors.New("boom")
		l.backedOff(db)
		lacks(t, db.said(), "while the other one starts")
		l.stop()
	}, db, api)
}

// When all are ready, lines of one that complains of what it lacks stay hidden.
func TestAllReadyLeavesQuiet(t *testing.T) {
	api, last := newPart("api"), newPart("last")
	brief := func(*Group) {
		api.logs = logging.New(logging.Config{Out: api.shown, Brief: true})
		api.actor.s.Log = api.logs.Server("api")
	}
	inBubbleWith(t, brief, func(l *lifeTest) {
		becomeReady(api)
		synctest.Wait()
		api.actor.Log().SetPhase(logging.Ending) // as it is while a server that it needs is away
		becomeReady(last)
		synctest.Wait()
		api.actor.Log().Zap().Warn("where is db?")
		lacks(t, api.said(), "where is db?")
		l.stop()
	}, api, last)
}

// While a server that it needs is away, a server's lines are not shown, and so it is with those that need it, and with
// all while all are being stopped.
func TestMuteWithoutNeed(t *testing.T) {
	db, api, ui := restarting(RestartOnFailure, "db"), restarting(RestartOnFailure, "api", "db"), newPart("ui", "api")
	other := newPart("other")
	parts := []*part{db, api, ui, other}
	brief := func(*Group) {
		shown := db.shown
		logs := logging.New(logging.Config{Out: shown, Brief: true})
		for _, p := range parts {
			p.logs.Close()
			p.logs, p.shown, p.actor.s.Log = logs, shown, logs.Server(p.Name)
		}
	}
	said := 0
	// wants checks who is shown.
	wants := func(when, want string) {
		t.Helper()
		synctest.Wait()
		for _, p := range parts {
			p.actor.Log().Zap().Warn("from " + p.Name + " when " + when)
		}
		text := db.said()
		var got []string
		for _, p := range parts {
			if strings.Contains(text[said:], "from "+p.Name) {
				got = append(got, p.Name)
			}
		}
		said = len(text)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: shown is %v, want %s", when, got, want)
		}
	}
	inBubbleWith(t, brief, func(l *lifeTest) {
		becomeReady(other, db, api, ui)
		wants("all are ready", "db api ui other")
		db.end <- errors.New("boom")
		pause := l.backedOff(db).Wait
		wants("db is away", "db other")
		time.Sleep(pause)
		wants("db starts", "other")
		becomeReady(db)
		wants("db is back", "db api ui other")
		stop := l.ask(Stop, api)
		stop.want("")
		wants("api and ui are stopped", "db other")
		l.ask(Restart, db)
		becomeReady(db)
		l.ask(Start, ui)
		becomeReady(api, ui)
		wants("all are back", "db api ui other")

		l.signals <- syscall.SIGTERM
		wants("all are stopped", "")
		if err := l.end(); err != nil {
			t.Error(err)
		}
	}, parts...)
}
