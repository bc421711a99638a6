package meter

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/google/pprof/profile"

	"github.com/seed-200a7251/km/logging"
)

const (
	// patience is how long it goes on measuring for nobody. It bounds the memory of a profile, too.
	patience = time.Minute
	// shortest is the shortest time of a profile: ending one and beginning the next costs a millisecond or two.
	shortest = 250 * time.Millisecond
)

// ErrBusy says that another CPU profile of this process is being taken, and there can be one at a time.
var ErrBusy = errors.New("the CPU profile of this process is in use")

var (
	errForeign = fmt.Errorf("%w by somebody else, such as a server's own /debug/pprof/profile; wait until that has ended, or end it", ErrBusy)
	errTaking  = fmt.Errorf("%w: one is being taken already; wait until it has ended, or end it", ErrBusy)
	errClosed  = errors.New("no CPU profiles are taken any more, because the program is ending; start it again")
)

// CPU measures the CPU time of this process by server. The zero value is ready for use, and measures nothing until it
// is asked. Its methods may be called from several goroutines at once. A process needs just one: two would be in each
// other's way.
type CPU struct {
	mu     sync.Mutex // guards what follows; it is held for some milliseconds at most
	totals map[string]float64
	// unshared is CPU time, in seconds, that is no server's yet for want of samples. The next samples decide.
	// (Otherwise most of the little that a quiet server uses would be the program's.)
	unshared float64
	window   *window // nil while nothing is measured
	asked    time.Time
	idle     *time.Timer
	taking   *taking // by Profile
	closed   bool

	// In place of the constants, if they are not zero: for tests.
	patience, shortest time.Duration
}

// Seconds returns how many seconds of CPU time, of all CPUs together and user and system time alike, each server has
// used while it was measured. The entry "" has what is no server's. A server that has never been seen running has no
// entry.
//
// The first call begins to measure. Measuring ends when nobody has called for a minute, and with Close; what was used
// until then is in the sums. The next call begins again: sums never go down, and stand still for the time in between.
// Call it at regular intervals, then, and take differences. A call within 250 ms of another one may get the same
// answer.
//
// All sums together are the CPU time of the process while it was measured; what lacks samples is added later. On
// systems other than Unix the process's CPU time is not asked for, and the sums are what the samples alone say.
//
// The map is the caller's, and is valid even if there is an error. ErrBusy says that somebody else takes a CPU profile.
// What is used meanwhile is in no sum, as nobody knows whose it is; a later call goes on measuring. Other errors say
// that the runtime's profile could not be read.
func (c *CPU) Seconds() (map[string]float64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var err error
	if !c.closed {
		c.await()
		if c.window == nil || c.window.isOver() || time.Since(c.window.began) >= cmp.Or(c.shortest, shortest) {
			err = c.turn()
		}
		if c.window == nil && c.taking != nil {
			c.taking.err = errCut
		}
	}
	answer := make(map[string]float64, len(c.totals))
	maps.Copy(answer, c.totals)
	return answer, err
}

// Close ends measuring for good. Profiles that are being taken end now. Seconds returns the last sums from then on.
func (c *CPU) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	if c.idle != nil {
		c.idle.Stop()
	}
	_ = c.end() // the error is about the last window; a profile that is being taken has it, too
	if c.taking != nil {
		close(c.taking.closed)
	}
}

// await notes that somebody has asked, and lets measuring end when nobody asks any more. The lock is held, as in what
// follows.
func (c *CPU) await() {
	c.asked = time.Now()
	if c.idle == nil {
		c.idle = time.AfterFunc(cmp.Or(c.patience, patience), c.expire)
	} else {
		c.idle.Reset(cmp.Or(c.patience, patience))
	}
}

// isAwaited reports whether somebody has asked not long ago.
func (c *CPU) isAwaited() bool {
	return !c.closed && !c.asked.IsZero() && time.Since(c.asked) < cmp.Or(c.patience, patience)
}

// expire ends measuring if nobody asks.
func (c *CPU) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	// otherwise the one who takes a profile ends it, or a new request has set the timer again
	if c.taking == nil && !c.isAwaited() {
		_ = c.end() // there is nobody to tell
	}
}

// turn ends the window and begins the next one.
func (c *CPU) turn() (err error) {
	// What this costs is the program's, whoever asks; and so is the goroutine that the runtime starts for a profile.
	// Both would have the label of the goroutine that is running here.
	unlabelled(func() {
		ended := c.window
		mine := ended.stop()
		c.window, err = open()
		if ended != nil && c.window != nil {
			c.add("", ended.bridge(c.window))
		}
		if e := c.read(ended, mine); err == nil {
			err = e
		}
	})
	return err
}

// end ends the window.
func (c *CPU) end() error {
	ended := c.window
	c.window = nil
	return c.read(ended, ended.stop())
}

// read adds a window, if there was one, to the sums, and to the profile that is being taken. mine is what stop has
// returned.
func (c *CPU) read(w *window, mine bool) error {
	if w == nil {
		return nil
	}
	p, err := w.profile()
	if err != nil {
		c.unshared += max(0, w.used())
		err = fmt.Errorf("the CPU profile that the Go runtime has made cannot be read: %w; ask again", err)
	} else {
		c.share(w.used(), samples(p))
	}
	if t := c.taking; t != nil {
		switch {
		case err != nil:
			t.err = err
		case !mine:
			t.err = errCut
		}
		if p != nil {
			t.pieces = append(t.pieces, p)
		}
	}
	return err
}

// share divides used, in seconds, among the servers in proportion to their samples, in nanoseconds.
func (c *CPU) share(used float64, samples map[string]int64) {
	all := int64(0)
	for _, n := range samples {
		all += n
	}
	if !usageKnown {
		used = float64(all) / 1e9
	}
	used = max(0, used) + c.unshared
	if c.unshared = 0; all == 0 {
		c.unshared = used
		return
	}
	for server, n := range samples {
		c.add(server, used*float64(n)/float64(all))
	}
}

func (c *CPU) add(server string, seconds float64) {
	if c.totals == nil {
		c.totals = map[string]float64{}
	}
	c.totals[server] += max(0, seconds)
}

// samples are the samples of a CPU profile by server, in nanoseconds.
func samples(p *profile.Profile) map[string]int64 {
	byServer := map[string]int64{}
	for _, s := range p.Sample {
		byServer[serverOf(s)] += s.Value[len(s.Value)-1] // as pprof has it: the last type is the default one
	}
	return byServer
}

// serverOf is the server whose goroutine a sample is of, or "".
func serverOf(s *profile.Sample) string {
	if of := s.Label[logging.LabelKey]; len(of) > 0 {
		return of[0]
	}
	return ""
}
