package supervisor

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/seed-200a7251/km/supervisor/internal/admin"
)

// Of servers that share a process the CPU time since the beginning is not known; that of processes is.
func TestTopTable(t *testing.T) {
	at := time.Unix(1000, 0)
	s := &Status{PID: 77, Servers: []ServerStatus{{Name: "controller-manager", State: Ready, Restarts: 2}, {Name: "db", State: Backoff}}}
	u := &admin.Usage{Time: at.Add(2 * time.Second), CPUSeconds: 21.5, Servers: []admin.ServerUsage{
		{Name: "controller-manager", CPUSeconds: 11.5, Goroutines: 1234, LogLines: 120, LostLines: 3},
		{Name: "db", CPUSeconds: 1, TotalCPUSeconds: 1, Goroutines: 5},
		{Name: "hk", CPUSeconds: 0.126, Goroutines: 30, LogLines: 7},
	}}
	before := &admin.Usage{Time: at, CPUSeconds: 19.5, Servers: []admin.ServerUsage{
		{Name: "controller-manager", CPUSeconds: 10, LogLines: 100},
		{Name: "db", CPUSeconds: 1.5}, // a process of its own has ended meanwhile
	}}
	still := &admin.Usage{Time: at, CPUSeconds: 19.5, Servers: u.Servers}
	for _, test := range []struct {
		name   string
		before *admin.Usage
		err    string
		want   string
	}{
		{"two looks", before, "", `
SERVER                STATE  RESTARTS  CPU %  CPU TIME  GOROUTINES  LINES/s  LOST
controller-manager    ready         2   75.0         -        1234     10.0     3
db                  backoff         0    0.0     1.00s           5      0.0     0
hk                        -         -      -         -          30        -     0
process 77                -         -  100.0    21.50s        1264        -     -
`},
		{"one look", nil, "somebody else\nlooks", `
SERVER                STATE  RESTARTS  CPU %  CPU TIME  GOROUTINES  LINES/s  LOST
controller-manager    ready         2      -         -        1234        -     3
db                  backoff         0      -     1.00s           5        -     0
hk                        -         -      -         -          30        -     0
process 77                -         -      -    21.50s        1264        -     -

somebody else
`},
		{"nobody has measured", still, "somebody else\nlooks", `
SERVER                STATE  RESTARTS  CPU %  CPU TIME  GOROUTINES  LINES/s  LOST
controller-manager    ready         2      -         -        1234      0.0     3
db                  backoff         0    0.0     1.00s           5      0.0     0
hk                        -         -      -         -          30      0.0     0
process 77                -         -  100.0    21.50s        1264        -     -

somebody else
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			u.Error = test.err
			var out bytes.Buffer
			if err := (&top{before: test.before}).table(&out, s, u); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(test.want, "\n"), out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What does not fit on the screen is left out: it would scroll.
func TestTopFrame(t *testing.T) {
	for _, test := range []struct {
		columns, rows int
		want          string
	}{
		{80, 24, "\x1b[H\x1b[Kone\r\n\x1b[Ktwo …\r\n\x1b[Kthree\r\n\x1b[J"},
		{80, 4, "\x1b[H\x1b[Kone\r\n\x1b[Ktwo …\r\n\x1b[Kthree\r\n\x1b[J"},
		{80, 3, "\x1b[H\x1b[Kone\r\n\x1b[Ktwo …\r\n\x1b[Kthree"},
		{80, 2, "\x1b[H\x1b[Kone\r\n\x1b[K… 2 more lines: enlarge the window, or use --once"},
		{80, 1, "\x1b[H\x1b[K… 3 more lines: enlarge the window, or use --once"},
		{5, 24, "\x1b[H\x1b[Kone\r\n\x1b[Ktwo …\r\n\x1b[Kthree\r\n\x1b[J"},
		{4, 24, "\x1b[H\x1b[Kone\r\n\x1b[Ktwo…\r\n\x1b[Kthr…\r\n\x1b[J"},
	} {
		if got := frame("one\ntwo …\nthree\n", test.columns, test.rows); got != test.want {
			t.Errorf("%d columns, %d rows: %q, want %q", test.columns, test.rows, got, test.want)
		}
	}
}

// Where no server has been seen at work, it is measured on: an idle one has no sample in two seconds.
func TestSampled(t *testing.T) {
	before := &admin.Usage{Time: time.Unix(1, 0), Servers: []admin.ServerUsage{{Name: "db", CPUSeconds: 1}, {Name: "hk", CPUSeconds: 2}}}
	for _, test := range []struct {
		db, hk float64
		want   bool
	}{{1, 2, false}, {1.01, 2, true}, {1, 2.01, false}, {0.5, 2, false}} {
		u := &admin.Usage{Servers: []admin.ServerUsage{{Name: "db", CPUSeconds: test.db}, {Name: "hk", CPUSeconds: test.hk}}}
		if got := sampled(before, u); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}
