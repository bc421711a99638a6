package logging

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"
)

const (
	// queueSize is how many bytes a queue keeps for a blocked destination; further lines are lost.
	queueSize = 4 << 20
	// chunkSize is how much is written at a time, if it is more than one line.
	chunkSize = 256 << 10
	// pause is how long the goroutine rests after it has written, so that the lines of a busy time are written
	// together. A kill -9 may lose the lines of that time.
	pause = 5 * time.Millisecond
	// retry is how long it rests after the destination has failed.
	retry = time.Second
)

// queue takes lines for a destination that may be slow or broken, such as a file on a full disk. Putting a line never
// waits: a goroutine writes.
type queue struct {
	name string
	// tell is called with an error when the destination begins to fail, and with nil and the number of lost lines when
	// it works again.
	tell func(name string, err error, lost int64)

	mu      sync.Mutex
	lines   []byte // put and not yet taken by the goroutine
	total   int64  // bytes that were ever put
	written int64  // bytes of these that are written, or given up
	lost    int64  // lines that were not taken, since the destination failed
	failing bool   // the last write has failed
	closing bool
	done    bool          // closed, or discarded: nothing is taken any more
	change  chan struct{} // closed, and replaced, when written or failing have changed and somebody waits
	waiting bool
	asleep  bool          // the goroutine waits for lines
	wake    chan struct{} // has lines, or is to hurry
	next    *queue        // takes all instead of this one
	to      io.Writer     // nil as long as it is not known
	ended   chan struct{} // closed when the goroutine has ended; nil as long as there is none
}

func newQueue(name string, tell func(string, error, int64)) *queue {
	return &queue{name: name, tell: tell, change: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// put takes a line. It returns false if the line is lost.
func (q *queue) put(line []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.next != nil {
		return q.next.put(line)
	}
	if q.done {
		return false
	}
	if len(q.lines)+len(line) > queueSize {
		q.lost++
		return false
	}
	q.lines = append(q.lines, line...)
	q.total += int64(len(line))
	q.start()
	if q.asleep {
		q.asleep = false
		q.hurry()
	}
	return true
}

// start starts the goroutine, if there is something to write and a destination. The lock is held.
func (q *queue) start() {
	if q.ended == nil && q.to != nil && len(q.lines) > 0 {
		q.ended = make(chan struct{})
		go q.write(q.to)
	}
}

// hurry wakes the goroutine.
func (q *queue) hurry() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// open has the lines written to w from now on, beginning with those that wait. If w is an io.Closer, it is closed at
// the end.
func (q *queue) open(w io.Writer) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.to = w
	q.start()
}

// discard drops all lines, those that were put and those to come.
func (q *queue) discard() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.done, q.lines = true, nil
	q.hurry() // the goroutine ends
}

// write is the goroutine.
func (q *queue) write(w io.Writer) {
	setGoroutineLabel(nil) // the goroutine is no server's, whoever has put the first line
	defer close(q.ended)
	if c, ok := w.(io.Closer); ok {
		// Failed writes have been told before.
		defer func() { _ = c.Close() }()
	}
	var lines []byte
	for {
		lines = q.take(lines)
		if lines == nil {
			return
		}
		for rest := lines; len(rest) > 0; {
			chunk := wholeLines(rest)
			n, err := w.Write(chunk)
			rest = rest[n:]
			if !q.wrote(n, err, len(rest)) {
				return
			}
		}
		q.rest(pause)
	}
}

// take waits for lines and returns them; nil if there are none and there will be none. spare is memory to use again.
func (q *queue) take(spare []byte) []byte {
	for {
		q.mu.Lock()
		if len(q.lines) > 0 {
			lines := q.lines
			if q.lines = spare[:0]; cap(spare) > 4*chunkSize {
				q.lines = nil // much was needed, which is rare
			}
			q.mu.Unlock()
			return lines
		}
		if q.closing || q.done {
			q.mu.Unlock()
			return nil
		}
		q.asleep = true
		q.mu.Unlock()
		<-q.wake
	}
}

// wholeLines is the beginning of lines, as much as is written at a time.
func wholeLines(lines []byte) []byte {
	if len(lines) <= chunkSize {
		return lines
	}
	if i := bytes.LastIndexByte(lines[:chunkSize], '\n'); i >= 0 {
		return lines[:i+1]
	}
	return lines[:bytes.IndexByte(lines, '\n')+1]
}

// wrote notes the result of a write, and rests if it has failed; left is how much the goroutine still has. It returns
// false if the queue is to end.
func (q *queue) wrote(n int, err error, left int) bool {
	q.mu.Lock()
	q.written += int64(n)
	failed := err != nil && !errors.Is(err, errMissed)
	begins := failed && !q.failing
	caughtUp := left == 0 && len(q.lines) == 0
	ends := err == nil && (q.failing || q.lost > 0 && caughtUp) // a slow one has not failed, but loses lines, too
	q.failing = failed || err != nil && q.failing
	lost := q.lost
	if ends {
		q.lost = 0
	}
	q.changed()
	giveUp := err != nil && (q.closing || q.done)
	if giveUp {
		q.written = q.total
		q.done, q.lines = true, nil
	}
	q.mu.Unlock()
	// Not under the lock: this puts lines, perhaps into this queue.
	if begins {
		q.tell(q.name, err, 0)
	}
	if ends {
		q.tell(q.name, nil, lost)
	}
	if err != nil && !giveUp {
		q.rest(retry)
		q.mu.Lock()
		giveUp = q.done // meanwhile
		q.mu.Unlock()
	}
	return !giveUp
}

// rest waits for that time, or until somebody is in a hurry.
func (q *queue) rest(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-q.wake:
	}
}

// changed wakes those who wait. The lock is held.
func (q *queue) changed() {
	if q.waiting {
		q.waiting = false
		close(q.change)
		q.change = make(chan struct{})
	}
}

// flush waits until all that was put before is written, the destination fails, or the deadline has come.
func (q *queue) flush(deadline time.Time) {
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	q.mu.Lock()
	target := q.total
	for q.ended != nil && q.written < target && !q.failing && !q.done {
		q.waiting = true
		change := q.change
		q.mu.Unlock()
		q.hurry()
		select {
		case <-change:
		case <-q.ended:
			return
		case <-t.C:
			return
		}
		q.mu.Lock()
	}
	q.mu.Unlock()
}

// close writes what there is, and ends the goroutine. It waits until the deadline at most.
func (q *queue) close(deadline time.Time) {
	q.flush(deadline)
	q.mu.Lock()
	q.closing = true
	ended, done := q.ended, q.done
	q.mu.Unlock()
	if ended != nil && !done {
		q.hurry()
		select {
		case <-ended:
		case <-time.After(time.Until(deadline)):
		}
	}
	q.discard()
}

// handTo moves the lines to another queue, which gets all later ones, too. It returns how many lines are lost by that.
func (q *queue) handTo(other *queue) (lost int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !other.put(q.lines) {
		lost = bytes.Count(q.lines, []byte("\n"))
	}
	q.next, q.lines = other, nil
	return lost
}
