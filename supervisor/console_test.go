package supervisor

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-200a7251/km/logging"
)

// shown returns a console for two servers, and what it prints.
func shown(quiet bool) (*console, *lockedBuffer) {
	out := &lockedBuffer{}
	hk := &HyperKube{Name: "hk", Banner: func(*Plan) string { return "\nGo on from here.\n" }}
	hk.SetOut(out)
	hk.settings.quiet = quiet
	p := &Plan{DataDir: "/data", Servers: []*Server{{SimpleUsage: "db"}, {SimpleUsage: "scheduler"}}, given: &given{}}
	p.run = &run{hk: hk, plan: p, logs: logging.New(logging.Config{Program: "hk"})}
	return newConsole(p.run), out
}

// story is the life of two servers, one of which fails at last.
func story() []Event {
	at := func(tenths int) time.Time { return time.Time{}.Add(time.Duration(tenths) * 100 * time.Millisecond) }
	var story []Event
	for _, e := range []struct {
		at       time.Time
		server   string
		from, to State
		err      error
		address  string
	}{
		{at(0), "db", Waiting, Starting, nil, ""},
		{at(12), "db", Starting, Ready, nil, "127.0.0.1:1"},
		{at(13), "scheduler", Waiting, Starting, nil, ""},
		{at(25), "scheduler", Starting, Ready, nil, ""},
		{at(30), "stranger", Starting, Ready, nil, ""},
		{at(120), "scheduler", Ready, Failed, errors.New("out of ink\nand of paper"), ""},
		{at(121), "db", Ready, Stopping, nil, ""},
		{at(122), "db", Stopping, Stopped, nil, ""},
	} {
		story = append(story, Event{Time: e.at, Server: e.server, From: e.from, To: e.to, Err: e.err, Address: e.address})
	}
	return story
}

func TestConsoleLines(t *testing.T) {
	c, out := shown(false)
	for _, e := range story() {
		c.show(e)
	}
	c.close()
	want := `hk: starting db, scheduler in /data
  db         ready       1.2s  127.0.0.1:1
  scheduler  ready       2.5s
hk: ready after 2.5s

Go on from here.

  scheduler  failed     12.0s  out of ink
  db         stopping   12.1s
  db         stopped    12.2s
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestQuietConsole(t *testing.T) {
	c, out := shown(true)
	for _, e := range story() {
		c.show(e)
	}
	c.close()
	if out.String() != "" {
		t.Errorf("printed %q", out)
	}
}

// On a terminal the table is drawn again in its own place. A log line comes above it.
func TestLiveConsole(t *testing.T) {
	c, out := shown(false)
	c.live = true
	events := story()
	c.show(events[0])
	if _, err := c.screen.Write([]byte("a log line\n")); err != nil {
		t.Fatal(err)
	}
	c.show(events[1])
	const up = "\x1b[2A\x1b[J"
	first := "  db         starting    0.0s\n  scheduler  waiting\n"
	second := "  db         ready       1.2s  127.0.0.1:1\n  scheduler  waiting\n"
	want := "hk: starting db, scheduler in /data\n" + first + up + "a log line\n" + first + up + second
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
