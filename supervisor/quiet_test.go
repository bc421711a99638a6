package supervisor

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-200a7251/km/logging"
)

// While a server that it needs is away, a server's lines are not shown, but written.
func TestQuietWithoutNeed(t *testing.T) {
	shown := &lockedBuffer{}
	logs := logging.New(logging.Config{Out: shown, Brief: true})
	defer logs.Close()
	p := &Plan{Servers: []*Server{steady("db"), steady("api", "db"), steady("ui", "api"), steady("other")}, logs: logs}
	for _, s := range p.Servers {
		s.log = logs.Server(s.Name())
	}
	q := newQuiet(newGroup(p.Servers))
	event := func(name string, to State) {
		// What the actor does, before the event.
		switch log := p.Server(name).log; to {
		case Starting:
			log.SetPhase(logging.Starting)
		case Ready:
			log.SetPhase(logging.Running)
		case Stopping:
			log.SetPhase(logging.Ending)
		}
		q.show(Event{Server: name, To: to})
	}
	said := 0
	// wants checks who is shown.
	wants := func(when, want string) {
		t.Helper()
		for _, s := range p.Servers {
			s.log.Zap().Warn("from " + s.Name() + " when " + when)
		}
		logs.Flush()
		text := shown.String()
		var got []string
		for _, s := range p.Servers {
			if strings.Contains(text[said:], "from "+s.Name()) {
				got = append(got, s.Name())
			}
		}
		said = len(text)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: shown is %v, want %s", when, got, want)
		}
	}
	for _, name := range []string{"other", "db", "api", "ui"} {
		event(name, Starting)
		event(name, Ready)
	}
	wants("all are ready", "db api ui other")
	event("db", Backoff)
	wants("db is away", "db other")
	event("db", Starting)
	wants("db starts", "other")
	event("db", Ready)
	wants("db is back", "db api ui other")
	event("api", Stopping)
	event("api", Stopped)
	wants("api is away", "db other")
	event("db", Stopping)
	event("db", Stopped)
	event("db", Starting)
	event("db", Ready)
	event("api", Starting)
	event("api", Ready)
	wants("both are back", "db api ui other")

	// With a slow screen an event is seen when a later start is over: it does not last.
	event("db", Backoff)
	p.Server("api").log.SetPhase(logging.Running)
	event("api", Backoff)
	event("db", Starting)
	event("db", Ready)
	q.show(Event{Server: "api", To: Starting})
	p.Server("api").log.SetPhase(logging.Ending) // late
	q.show(Event{Server: "api", To: Ready})
	wants("late", "db api ui other")
	// It starts while what it needs is away, such as by a flag that names another one.
	event("db", Backoff)
	event("api", Starting)
	event("api", Ready)
	wants("started without its need", "db other")
}

// So it is in a run: the file has what the screen has not.
func TestQuietInARun(t *testing.T) {
	var out lockedBuffer
	complained := make(chan struct{})
	// What is shown says which events have been read by all.
	shown := func(ctx context.Context, what string, times int) {
		for ctx.Err() == nil && strings.Count(out.String(), what) < times {
			time.Sleep(time.Millisecond)
		}
	}
	up := make(chan struct{})
	starts, start := 0, make(chan int, 1)
	db := &Server{SimpleUsage: "db",
		Run: func(ctx context.Context, _ *Server, _ []string) error {
			starts++
			start <- starts
			switch starts {
			case 1:
				<-up
				return errors.New("first")
			case 2:
				return errors.New("second")
			}
			<-ctx.Done()
			return nil
		},
		Ready: func(ctx context.Context, _ *Server) error {
			switch <-start {
			case 1:
				return nil
			case 2:
				<-ctx.Done()
			default:
				select {
				case <-complained:
				case <-ctx.Done():
				}
			}
			return ctx.Err()
		}}
	api := steady("api", "db")
	api.Restart = RestartNever
	api.Run = func(ctx context.Context, s *Server, _ []string) error {
		shown(ctx, "api  ready", 1)
		close(up)
		shown(ctx, "  second  (starts again", 1)
		s.Logger().Warn("where is db?")
		close(complained)
		<-ctx.Done()
		return nil
	}
	hk := newHyperKube(t, db, api, &Server{SimpleUsage: "end", Restart: RestartNever, Run: func(ctx context.Context, _ *Server, _ []string) error {
		shown(ctx, "db   ready", 2)
		return errors.New("that is all")
	}})
	hk.SetOut(&out)
	err := hk.Run([]string{"hk", "run"})
	wantCode(t, err, 1)
	lacks(t, out.String(), "where is db?")
	text, err := os.ReadFile(os.Getenv("XDG_STATE_HOME") + "/hk/hk/logs/api.log")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(text), "where is db?")
}
