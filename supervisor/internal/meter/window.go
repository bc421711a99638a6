package meter

import (
	"bytes"
	"context"
	"runtime/pprof"
	"sync"
	"time"

	"github.com/google/pprof/profile"
)

// window is a stretch of time of which the runtime takes a CPU profile.
type window struct {
	began, ended time.Time
	from, to     float64 // the process's CPU time, in seconds, at its beginning and its end

	mu       sync.Mutex // guards what follows, and ended and to until it has ended
	data     bytes.Buffer
	stopping bool // stop has noted the end
	over     bool // the profile is being written: it has ended
}

// open begins one. The error is errForeign.
func open() (*window, error) {
	w := &window{began: time.Now(), from: usage()}
	if err := pprof.StartCPUProfile(w); err != nil {
		return nil, errForeign // there is no other reason
	}
	return w, nil
}

// unlabelled runs f in a goroutine without a label, and waits for it.
func unlabelled(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		pprof.SetGoroutineLabels(context.Background())
		f()
	}()
	<-done
}

// Write takes the profile. The runtime writes nothing before the end.
func (w *window) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over && !w.stopping {
		w.ended, w.to = time.Now(), usage()
	}
	w.over = true
	return w.data.Write(p)
}

func (w *window) isOver() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}

// stop ends the window; data has the profile then. It returns false if the window was over already:
// pprof.StopCPUProfile ends anybody's profile, and somebody has called it without having one. Calling it again here
// might end one of theirs.
func (w *window) stop() bool {
	if w == nil {
		return false
	}
	w.mu.Lock()
	w.stopping = !w.over
	if w.stopping {
		w.ended, w.to = time.Now(), usage() // not later: what the runtime does now is in no sample
	}
	w.mu.Unlock()
	if w.stopping {
		pprof.StopCPUProfile()
	}
	return w.stopping
}

// used is the CPU time in it, in seconds.
func (w *window) used() float64 { return w.to - w.from }

// bridge extends the window until next begins, so that nothing is missing in the sums. There are no samples of the time
// between: servers are assumed to go on as before. What was used beyond that, to end one profile and begin another, is
// the program's own, and returned. (Not all is: in a busy process, this may have to wait for its turn.)
func (w *window) bridge(next *window) (own float64) {
	between := max(0, next.from-w.to)
	asBefore := 0.0
	if d := w.ended.Sub(w.began); d > 0 {
		asBefore = w.used() * float64(next.began.Sub(w.ended)) / float64(d)
	}
	asBefore = min(max(0, asBefore), between)
	w.to += asBefore
	return between - asBefore
}

// profile is what it has seen, after stop.
func (w *window) profile() (*profile.Profile, error) {
	w.mu.Lock() // if somebody else has ended it, it may be half written: then it cannot be read
	defer w.mu.Unlock()
	return profile.ParseData(w.data.Bytes())
}
