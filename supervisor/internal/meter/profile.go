package meter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/google/pprof/profile"
)

var errCut = errors.New("somebody else has ended this CPU profile, or begun another: what is written lacks the time since then; take it again")

// taking is a profile that is being taken. Each call of Seconds meanwhile ends a window, so the profile comes in
// pieces.
type taking struct {
	pieces []*profile.Profile
	err    error         // why it is not whole
	closed chan struct{} // closed by Close
}

// Profile takes a CPU profile for the duration d, and writes it to w as `go tool pprof` reads it: a gzipped protocol
// buffer. With a server it has the samples of that one alone, with "" those of the whole process. A server that did not
// run, or does not exist, gives a profile without samples.
//
// It ends early when ctx does, or with Close, and writes what there is; that is no error. Memory is needed for each
// different stack that is seen.
//
// Seconds may be called meanwhile, and has the time of the profile in its sums. Where it was measuring before, it goes
// on after.
//
// The error is ErrBusy if another CPU profile is being taken, by another call of Profile or by somebody else; nothing
// is written then.
func (c *CPU) Profile(ctx context.Context, w io.Writer, d time.Duration, server string) error {
	t, err := c.take()
	if err != nil {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-t.closed:
	}
	c.taken()
	if err := t.write(w, server); err != nil {
		return fmt.Errorf("the CPU profile cannot be written: %w", err)
	}
	return t.err
}

// take begins a profile.
func (c *CPU) take() (*taking, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, errClosed
	case c.taking != nil:
		return nil, errTaking
	}
	_ = c.turn() // an error is about the window before, or says that there is no new one
	if c.window == nil {
		return nil, errForeign
	}
	c.taking = &taking{closed: make(chan struct{})}
	return c.taking, nil
}

// taken ends the profile, and goes on measuring if somebody wants it.
func (c *CPU) taken() {
	c.mu.Lock()
	defer c.mu.Unlock()
	// t has the errors of the profile; and if the next window cannot begin, Seconds returns that.
	if c.isAwaited() {
		_ = c.turn()
	} else {
		_ = c.end()
	}
	c.taking = nil
}

// write writes what was taken of that server.
func (t *taking) write(w io.Writer, server string) error {
	if len(t.pieces) == 0 {
		return t.err
	}
	for _, p := range t.pieces {
		p.Sample = slices.DeleteFunc(p.Sample, func(s *profile.Sample) bool { return server != "" && serverOf(s) != server })
	}
	p, err := profile.Merge(t.pieces) // it leaves out what no sample needs, too
	if err != nil {
		return err
	}
	return p.Write(w)
}
