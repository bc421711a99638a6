package logging

// Phase is what a server is doing, as far as its lines are concerned.
type Phase int

// The phases of a server.
const (
	Running  Phase = iota // its lines are shown; the phase of a new Log
	Starting              // its lines are held until it is known whether the start succeeds
	Started               // it runs, but others do not yet: its lines are held until these do, or it fails
	Ending                // it has been asked to stop: its lines are left out
)

// heldLines is how many lines of a server that is starting are held; of more, the last ones.
const heldLines = 200

// SetPhase tells what the server is doing now. It matters only for Config.Out, and only if Config.Brief is set. Lines
// that are held from a start stay held when the server runs: it may fail at once, and they say why.
func (l *Log) SetPhase(p Phase) {
	l.onDisplay(func(*display) { l.phase = p })
}

// Advance changes the phase if it is still from: somebody else may have set it meanwhile.
func (l *Log) Advance(from, to Phase) {
	l.onDisplay(func(*display) {
		if l.phase == from {
			l.phase = to
		}
	})
}

// Release shows the lines that are held, and those that follow: the server has failed.
func (l *Log) Release() {
	l.onDisplay(func(d *display) { l.release(d) })
}

// Settle is to be called some time after a start. If the server is still starting, its lines are released: somebody
// will want to know why. Otherwise the lines held from the start are forgotten; the file has them. Later lines are
// shown, even if others are still starting.
func (l *Log) Settle() {
	l.onDisplay(func(d *display) {
		switch l.phase {
		case Starting:
			l.release(d)
		case Started:
			l.phase = Running
		}
		l.held = nil
	})
}

func (l *Log) release(d *display) {
	for _, line := range l.held {
		if !d.show(l, line) {
			l.counts.lost.Add(1)
		}
	}
	l.phase, l.held = Running, nil
}

func (l *Log) onDisplay(f func(*display)) {
	d := l.logs.display
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}
