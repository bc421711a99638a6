package meter

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/pprof/profile"
)

// awaitTaking waits until a profile is being taken, or has been.
func awaitTaking(c *CPU, done <-chan error) {
	for begun := false; !begun && len(done) == 0; {
		c.mu.Lock()
		begun = c.taking != nil
		c.mu.Unlock()
		runtime.Gosched()
	}
}

// take takes a profile. It asks for Seconds until they are enough; or, without enough, not at all.
func take(t *testing.T, c *CPU, server string, enough func(map[string]float64) bool) *profile.Profile {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var data bytes.Buffer
	done := make(chan error, 1)
	go func() { done <- c.Profile(ctx, &data, time.Hour, server) }()
	awaitTaking(c, done)
	if enough == nil {
		spend(0.5, func() {})
	} else {
		until(t, c, enough)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse(&data)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.CheckValid(); err != nil {
		t.Error(err)
	}
	return p
}

func total(samples map[string]int64) (all int64) {
	for n := range maps.Values(samples) {
		all += n
	}
	return all
}

// A profile has what is asked for, whether it is read for the measuring meanwhile or not; and measuring has it, too.
func TestProfile(t *testing.T) {
	all := servers(t, "quiet", "busy")
	quiet, busy := all[0].Name(), all[1].Name()
	burn(t, all[0], 1)
	burn(t, all[1], 3)
	for _, test := range []struct {
		name      string
		server    string
		measuring bool // before, and after
		asking    bool // meanwhile
	}{
		{"of one", busy, false, false},
		{"of one, while measuring", busy, true, false},
		{"of one, while somebody asks", quiet, true, true},
		{"of one, when somebody begins to ask", quiet, false, true},
		{"of all", "", false, false},
		{"of all, while somebody asks", "", true, true},
		{"of nobody", "nobody", true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCPU(t)
			if test.measuring {
				if _, err := c.Seconds(); err != nil {
					t.Fatal(err)
				}
			}
			var enough func(map[string]float64) bool
			if test.asking {
				enough = func(s map[string]float64) bool { return s[quiet] > 0.1 && s[busy] > 0.1 }
			}
			p := take(t, c, test.server, enough)
			got := samples(p)
			switch {
			case test.server == "nobody":
				if len(got) != 0 {
					t.Errorf("there are samples of %v", got)
				}
			case test.server == "":
				if got[quiet] == 0 || got[busy] == 0 || got[""] == 0 && !test.asking {
					t.Errorf("there are samples of %v", got)
				}
			default:
				if len(got) != 1 || got[test.server] == 0 {
					t.Errorf("there are samples of %v", got)
				}
			}
			var text bytes.Buffer
			for _, f := range p.Function {
				text.WriteString(f.Name + "\n")
			}
			if len(got) > 0 && !strings.Contains(text.String(), "meter.spin\n") {
				t.Errorf("its functions are\n%s", text.String())
			}
			if p.DurationNanos == 0 || p.Period != 10_000_000 || p.PeriodType.Type != "cpu" {
				t.Errorf("%d ns, each %d ns of %v", p.DurationNanos, p.Period, p.PeriodType)
			}
			if test.server == "" && total(got) < 50_000_000 {
				t.Errorf("it has %d ns only", total(got))
			}

			c.mu.Lock()
			if c.totals[busy] == 0 || c.totals[quiet] == 0 {
				t.Errorf("the profile is not in the sums: %v", c.totals)
			}
			c.mu.Unlock()
			if goesOn := test.measuring || test.asking; free() == goesOn {
				t.Errorf("measuring goes on: %v, want %v", !goesOn, goesOn)
			}
		})
	}
}

// A second one is refused, and does not harm the first.
func TestTwoProfiles(t *testing.T) {
	c := newCPU(t)
	ctx, cancel := context.WithCancel(t.Context())
	var first, second bytes.Buffer
	done := make(chan error, 1)
	go func() { done <- c.Profile(ctx, &first, time.Hour, "") }()
	awaitTaking(c, done)
	err := c.Profile(t.Context(), &second, time.Hour, "")
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "already") || second.Len() != 0 {
		t.Errorf("the error is %v, and %d bytes are written", err, second.Len())
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := profile.Parse(&first); err != nil {
		t.Error(err)
	}
}

func TestProfileEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		d    time.Duration
		end  func(c *CPU, cancel func())
	}{
		{"after its duration", time.Millisecond, func(*CPU, func()) {}},
		{"with the context", time.Hour, func(_ *CPU, cancel func()) { cancel() }},
		{"with Close", time.Hour, func(c *CPU, _ func()) { c.Close() }},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCPU(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var data bytes.Buffer
			done := make(chan error, 1)
			go func() { done <- c.Profile(ctx, &data, test.d, "") }()
			awaitTaking(c, done)
			test.end(c, cancel)
			if err := <-done; err != nil {
				t.Error(err)
			}
			if p, err := profile.Parse(&data); err != nil || p.PeriodType == nil {
				t.Errorf("%v, %v", p, err)
			}
			if !free() {
				t.Error("it goes on")
			}
		})
	}
}

// It lasts longer than the minute for which measuring goes on for nobody, and measuring does not go on after.
func TestProfileOutlastsPatience(t *testing.T) {
	c := newCPU(t)
	c.patience = time.Hour
	if _, err := c.Seconds(); err != nil {
		t.Fatal(err)
	}
	ta, err := c.take()
	if err != nil {
		t.Fatal(err)
	}
	c.patience = 1
	c.expire()
	if free() {
		t.Error("it has ended")
	}
	c.taken()
	if !free() {
		t.Error("it goes on")
	}
	if len(ta.pieces) != 1 || ta.err != nil {
		t.Errorf("it has %d pieces, %v", len(ta.pieces), ta.err)
	}
}

type broken struct{}

var errBroken = errors.New("broken pipe")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestProfileCannotBeWritten(t *testing.T) {
	if err := newCPU(t).Profile(t.Context(), broken{}, 0, ""); !errors.Is(err, errBroken) {
		t.Errorf("the error is %v", err)
	}
}

// When somebody else gets between two pieces, or ends one, what there is is written, and it is said that it is not all.
func TestProfileIsCut(t *testing.T) {
	for _, test := range []struct {
		name string
		cut  func(t *testing.T, c *CPU)
	}{
		{"ended", func(*testing.T, *CPU) { stopForeign() }},
		{"ended, and another begun", func(t *testing.T, c *CPU) {
			stopForeign()
			startForeign(t)
			if _, err := c.Seconds(); !errors.Is(err, ErrBusy) {
				t.Errorf("the error is %v", err)
			}
		}},
		{"another begun between pieces", func(t *testing.T, c *CPU) {
			c.mu.Lock()
			if err := c.end(); err != nil {
				t.Error(err)
			}
			startForeign(t)
			c.mu.Unlock()
			if _, err := c.Seconds(); !errors.Is(err, ErrBusy) {
				t.Errorf("the error is %v", err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCPU(t)
			ta, err := c.take()
			if err != nil {
				t.Fatal(err)
			}
			test.cut(t, c)
			c.taken()
			var data bytes.Buffer
			if err := ta.write(&data, ""); err != nil {
				t.Error(err)
			}
			if p, err := profile.Parse(&data); err != nil || p.PeriodType == nil {
				t.Errorf("%v, %v", p, err)
			}
			if diff := cmp.Diff(errCut.Error(), ta.err.Error()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			stopForeign()
		})
	}
}
