package supervisor

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What servers say and how folders are called is text on the screen, whatever is in it.
func TestNothingMovesTheCursor(t *testing.T) {
	c, out := shown(false)
	c.plan.DataDir = "/da\x1b[2Jta\n/x"
	text := c.headline("hk", math.MaxInt)
	c.show(Event{Server: "db", To: Ready, Address: "a\x1b[1Ab\nc"})
	c.show(Event{Server: "scheduler", To: Failed, Err: errors.New("x\ty\x1b[3J\r")})
	text += out.String()
	if strings.ContainsAny(text, "\x1b\r") || strings.Count(text, "\n") != 4 {
		t.Errorf("%q", text)
	}
	hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: done})
	hk.SetOut(out)
	if hk.printErrors(errors.New("no \x1b[2J")); !strings.Contains(out.String(), `Error: no \x1b[2J`) {
		t.Errorf("%q", out)
	}
}

// The folder is one piece, to be copied, where the line is too long for the terminal.
func TestHeadline(t *testing.T) {
	c, _ := shown(false)
	for _, test := range []struct {
		folder  string
		columns int
		want    string
	}{
		{"/data", 35, "hk: starting db, scheduler in /data\n"},
		{"/data", 34, "hk: starting db, scheduler in\n    /data\n"},
		{"/dät", 34, "hk: starting db, scheduler in /dät\n"},
		{"/数据", 34, "hk: starting db, scheduler in\n    /数据\n"},
		{"/data", 29, "hk: starting db, scheduler in\n    /data\n"},
		{"/data", 28, "hk: starting db, scheduler\n    in\n    /data\n"},
		{"/a  b/" + strings.Repeat("x", 40), 20, "hk: starting db,\n    scheduler in\n    /a  b/" + strings.Repeat("x", 40) + "\n"},
	} {
		c.plan.DataDir = test.folder
		if got := c.headline("hk", test.columns); got != test.want {
			t.Errorf("%s in %d columns:\n%s", test.folder, test.columns, got)
		}
	}
}

// In a window in which the table has no room there are lines. In one that becomes too small, the table stays, and lines
// follow.
func TestSmallScreen(t *testing.T) {
	const table = "  db         ready       1.2s  127.0.0.1:1\n  scheduler  waiting\n"
	for _, test := range []struct {
		name                       string
		columns, rows              int
		columnsAfter, rowsAfter    int
		want                       string
		wantLine                   string // what a line of the log does
		wantAtLast, wantNotAtFirst string
	}{
		{name: "wide", columns: 80, rows: 24, columnsAfter: 80, rowsAfter: 24, want: "\x1b[2A\x1b[J" + table},
		{name: "cut", columns: 35, rows: 24, columnsAfter: 35, rowsAfter: 24, want: "\x1b[2A\x1b[J  db         ready       1.2s  127…\n  scheduler  waiting\n"},
		{name: "narrow", columns: 28, rows: 24, columnsAfter: 28, rowsAfter: 24, want: "  db         ready       1.2s  127.0.0.1:1\n"},
		{name: "low", columns: 80, rows: 2, columnsAfter: 80, rowsAfter: 2, want: "  db         ready       1.2s  127.0.0.1:1\n"},
		{name: "becomes narrow", columns: 80, rows: 24, columnsAfter: 20, rowsAfter: 24, want: "  db         ready       1.2s  127.0.0.1:1\n"},
		{name: "becomes low", columns: 80, rows: 24, columnsAfter: 80, rowsAfter: 1, want: "  db         ready       1.2s  127.0.0.1:1\n"},
		{name: "becomes wide", columns: 20, rows: 24, columnsAfter: 80, rowsAfter: 24, want: "  db         ready       1.2s  127.0.0.1:1\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, out := shown(false)
			c.live = true
			c.screen.size = func() (int, int) { return test.columns, test.rows }
			events := story()
			c.show(events[0])
			before := len(out.String())
			c.screen.size = func() (int, int) { return test.columnsAfter, test.rowsAfter }
			c.show(events[1])
			if diff := cmp.Diff(test.want, out.String()[before:]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A table that is wider than the window has become is not drawn over what is above it, also where a line of the log
// comes.
func TestLogLineAfterShrinking(t *testing.T) {
	c, out := shown(false)
	c.live = true
	c.show(story()[0])
	before := out.String()
	c.screen.size = func() (int, int) { return 20, 24 }
	for range 2 {
		if _, err := c.screen.Write([]byte("a log line\n")); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.TrimPrefix(out.String(), before); got != "a log line\na log line\n" {
		t.Errorf("%q", got)
	}
}

// The last table is whole, and nothing is drawn over it.
func TestLastTable(t *testing.T) {
	c, out := shown(false)
	c.live = true
	c.screen.size = func() (int, int) { return 32, 24 }
	for _, e := range story()[:4] {
		c.show(e)
	}
	if _, err := c.screen.Write([]byte("a log line\n")); err != nil {
		t.Fatal(err)
	}
	const end = "\x1b[2A\x1b[J  db         ready       1.2s  127.0.0.1:1\n  scheduler  ready       2.5s\nhk: ready after 2.5s\n\nGo on from here.\n\na log line\n"
	if !strings.HasSuffix(out.String(), end) {
		t.Errorf("%q", out)
	}
}
