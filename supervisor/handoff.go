package supervisor

import "context"

// Handoff takes what one start of a server has made from its Run to its Ready. (A server whose Run knows when it can be
// used needs none: see Server.MarkReady.)
type Handoff[T any] chan T

// NewHandoff returns an empty Handoff.
func NewHandoff[T any]() Handoff[T] { return make(Handoff[T], 1) }

// Put is for Run. Run calls clear when it returns: what Ready has not taken is not for the next start.
func (h Handoff[T]) Put(v T) (clear func()) {
	h <- v
	return func() {
		select {
		case <-h:
		default:
		}
	}
}

// Get is for Ready. It blocks until Run has put something, or ctx ends.
func (h Handoff[T]) Get(ctx context.Context) (T, error) {
	select {
	case v := <-h:
		return v, nil
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
