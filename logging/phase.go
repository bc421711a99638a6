package logging

import "slices"

// Phase is what a server is doing, as far as its lines are concerned.
type Phase int

// The phases of a server.
const (
	Running  Phase = iota // its lines are written; so it is from the beginning
	Starting              // they are held until it is known whether the start succeeds
	Ending                // it has been asked to stop: they are left out
)

// heldLines is how many lines of a server that is starting are held; of more, the last ones.
const heldLines = 200

// SetPhase tells what the server is doing now. It matters only where Config.Quiet is set. Lines that are held from a start
// stay held when the server runs: it may fail at once, and they say why.
func (l *Log) SetPhase(p Phase) {
	l.logs.mu.Lock()
	defer l.logs.mu.Unlock()
	l.phase = p
}

// Release writes the lines that are held, and those that follow: the server has failed.
func (l *Log) Release() {
	l.logs.mu.Lock()
	defer l.logs.mu.Unlock()
	l.release()
}

func (l *Log) release() {
	for _, line := range l.held {
		_, _ = l.logs.out.Write(line) // nothing can be told about it here
	}
	l.phase, l.held = Running, nil
}

// Settle is for some time after a start. If the server is still starting, its lines are released: somebody will want to
// know why. Otherwise what is held from the start is forgotten.
func (l *Log) Settle() {
	l.logs.mu.Lock()
	defer l.logs.mu.Unlock()
	if l.phase == Starting {
		l.release()
	}
	l.held = nil
}

// pass reports whether the line is to be written now. The lock of logs is held.
func (l *Log) pass(line []byte) bool {
	switch {
	case !l.logs.quiet || l.phase == Running:
		return true
	case l.phase == Starting:
		if len(l.held) == heldLines {
			l.held = l.held[1:]
		}
		l.held = append(l.held, slices.Clone(line))
	}
	return false
}
