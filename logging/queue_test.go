package logging

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// destination is where a queue writes to: an io.WriteCloser that does what a test wants of it.
type destination struct {
	// answer, if it is there, says how many bytes are taken, and the error.
	answer func(p []byte) (int, error)

	mu     sync.Mutex
	got    []byte
	writes []string
	closed int
}

func (d *destination) Write(p []byte) (n int, err error) {
	n = len(p)
	if d.answer != nil {
		n, err = d.answer(p)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got = append(d.got, p[:n]...)
	d.writes = append(d.writes, string(p[:n]))
	return n, err
}

func (d *destination) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed++
	return nil
}

func (d *destination) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return string(d.got)
}

// tellings is what a queue has told of itself.
type tellings struct {
	mu  sync.Mutex
	all []string
}

func (ts *tellings) tell(name string, err error, lost int64) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if err == nil {
		ts.all = append(ts.all, fmt.Sprintf("%s works, %d lost", name, lost))
	} else {
		ts.all = append(ts.all, fmt.Sprintf("%s fails: %v", name, err))
	}
}

func (ts *tellings) check(t *testing.T, want ...string) {
	t.Helper()
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if diff := cmp.Diff(want, ts.all); diff != "" {
		t.Errorf("what is told (-want +got):\n%s", diff)
	}
}

// putNumbers puts the numbers from and to, and those between, each as a line.
func putNumbers(q *queue, from, to int) {
	for n := from; n <= to; n++ {
		q.put(append(strconv.AppendInt(nil, int64(n), 10), '\n'))
	}
}

// checkNumbers checks that text is the lines of these numbers, each once, whole, and in order.
func checkNumbers(t *testing.T, text string, from, to int) {
	t.Helper()
	n := from
	for line := range strings.Lines(text) {
		if line != fmt.Sprintln(n) {
			t.Fatalf("line %.40q, want %d", line, n)
		}
		n++
	}
	if n != to+1 {
		t.Errorf("the last line is %d, want %d", n-1, to)
	}
}

var errFull = errors.New("disk full")

// soon is a deadline for flush and close that is not reached.
func soon() time.Time { return time.Now().Add(flushLimit) }

// Whoever logs goes on at once, whatever becomes of the lines; and when the destination takes them again, all come, in
// order.
func TestPutNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		d := &destination{answer: func(p []byte) (int, error) { <-goOn; return len(p), nil }}
		o := &tellings{}
		q := newQueue("q", o.tell)
		q.open(d)
		begin := time.Now()
		putNumbers(q, 1, 1)
		synctest.Wait() // the goroutine is in Write
		putNumbers(q, 2, 10000)
		if waited := time.Since(begin); waited != 0 || d.String() != "" {
			t.Errorf("put has waited %v, and %d bytes are written", waited, len(d.got))
		}
		close(goOn)
		q.flush(soon())
		checkNumbers(t, d.String(), 1, 10000)
		q.close(soon())
		o.check(t)
	})
}

// For a blocked destination a limited amount is kept; how much is lost is told once, when it takes lines again.
func TestQueueIsBounded(t *testing.T) {
	const size = 1 << 10
	line := func(n int) []byte { return fmt.Appendf(nil, "%0*d\n", size-1, n) }
	for _, test := range []struct {
		name   string
		answer func(ok <-chan struct{}) func(p []byte) (int, error)
		fails  bool
	}{
		{"it blocks", func(ok <-chan struct{}) func([]byte) (int, error) {
			return func(p []byte) (int, error) { <-ok; return len(p), nil }
		}, false},
		{"it fails", func(ok <-chan struct{}) func([]byte) (int, error) {
			return func(p []byte) (int, error) {
				select {
				case <-ok:
					return len(p), nil
				default:
					return 0, errFull
				}
			}
		}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ok := make(chan struct{})
				d := &destination{answer: test.answer(ok)}
				o := &tellings{}
				q := newQueue("q", o.tell)
				q.open(d)
				q.put(line(0))
				synctest.Wait() // the goroutine has this one, and is stuck
				const more = 3 * queueSize / size
				for n := range more {
					q.put(line(n + 1))
				}
				q.mu.Lock()
				kept := len(q.lines)
				q.mu.Unlock()
				if kept > queueSize || kept <= queueSize-size {
					t.Errorf("%d bytes are kept, want just %d", kept, queueSize)
				}
				close(ok)
				time.Sleep(retry) // of the bubble's time
				synctest.Wait()
				q.flush(soon())
				text := d.String()
				const all = 1 + queueSize/size
				if len(text) != all*size {
					t.Errorf("%d bytes are written, want %d", len(text), all*size)
				}
				for n := range all {
					if got := text[n*size : (n+1)*size]; got != string(line(n)) {
						t.Fatalf("line %d is %.30q...", n, got)
					}
				}
				want := []string{fmt.Sprintf("q works, %d lost", more+1-all)}
				if test.fails {
					want = append([]string{"q fails: disk full"}, want...)
				}
				o.check(t, want...)
				// And that was it.
				q.put(line(1))
				q.flush(soon())
				if text := d.String(); !strings.HasSuffix(text, string(line(1))) {
					t.Error("it takes nothing any more")
				}
				q.close(soon())
				o.check(t, want...)
			})
		})
	}
}

// A destination that is too slow for a time loses lines all the while. That is told once, when it has caught up.
func TestSlowDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{answer: func(p []byte) (int, error) { time.Sleep(100 * time.Millisecond); return len(p), nil }}
		o := &tellings{}
		q := newQueue("q", o.tell)
		q.open(d)
		line := []byte(strings.Repeat("x", chunkSize/4-1) + "\n")
		put := 0
		for range 100 { // four times as much as it takes
			for range 16 {
				q.put(line)
				put++
			}
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		lost := put - strings.Count(d.String(), "\n")
		if lost == 0 {
			t.Error("it was not too slow")
		}
		o.check(t, fmt.Sprintf("q works, %d lost", lost))
		q.close(soon())
	})
}

// A destination that fails is tried again each second; people are told when it begins to fail and when it works again,
// and not in between. Each line is written once.
func TestQueueTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var tries []time.Duration
		d := &destination{answer: func(p []byte) (int, error) {
			at := time.Since(begin)
			tries = append(tries, at)
			if at < 3*retry || 10*retry <= at && at < 11*retry {
				return 0, errFull
			}
			return len(p), nil
		}}
		o := &tellings{}
		q := newQueue("q", o.tell)
		q.open(d)
		putNumbers(q, 1, 10)
		synctest.Wait()
		o.check(t, "q fails: disk full")
		putNumbers(q, 11, 20)
		time.Sleep(3*retry + pause)
		synctest.Wait()
		checkNumbers(t, d.String(), 1, 20)
		o.check(t, "q fails: disk full", "q works, 0 lost")
		if diff := cmp.Diff([]time.Duration{0, retry, 2 * retry, 3 * retry}, tries[:4]); diff != "" {
			t.Errorf("tried at (-want +got):\n%s", diff)
		}

		time.Sleep(7 * retry)
		putNumbers(q, 21, 30)
		time.Sleep(2 * retry)
		synctest.Wait()
		checkNumbers(t, d.String(), 1, 30)
		o.check(t, "q fails: disk full", "q works, 0 lost", "q fails: disk full", "q works, 0 lost")
		q.close(soon())
	})
}

// A destination may take a part and fail then, as a full disk does. What it has taken is not written again.
func TestPartialWrites(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			var works atomic.Bool
			random := rand.New(rand.NewPCG(seed, 1)) // the queue's goroutine has one of its own
			d := &destination{answer: func(p []byte) (int, error) {
				switch n := random.IntN(3); {
				case works.Load():
				case n == 0:
					return 0, errFull
				case n == 1:
					return random.IntN(len(p)), errFull
				}
				return len(p), nil
			}}
			q := newQueue("q", (&tellings{}).tell)
			q.open(d)
			n := 0
			for range 100 {
				more := rnd.IntN(20)
				putNumbers(q, n+1, n+more)
				n += more
				time.Sleep(time.Duration(rnd.Int64N(int64(2 * retry))))
			}
			works.Store(true)
			time.Sleep(retry)
			synctest.Wait()
			q.close(soon())
			checkNumbers(t, d.String(), 1, n)
		})
	}
}

// The same for the screen, for which lines are made into text: what it has been shown of a line is not shown again.
func TestPartialWritesOfText(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 0))
			var works atomic.Bool
			random := rand.New(rand.NewPCG(seed, 1))
			d := &destination{answer: func(p []byte) (int, error) {
				if random.IntN(2) == 0 && !works.Load() {
					return random.IntN(len(p)), errFull
				}
				return len(p), nil
			}}
			ls := New(Config{Out: d})
			db := ls.Server("db")
			for n := range 100 {
				db.Zap().Info(strconv.Itoa(n))
				time.Sleep(time.Duration(rnd.Int64N(int64(retry))))
			}
			works.Store(true)
			time.Sleep(retry)
			synctest.Wait()
			ls.Close()
			n := 0
			for line := range strings.Lines(afterTime(d.String())) {
				if strings.HasPrefix(line, "W main") { // it is told of its failure when it works again
					continue
				}
				if line != fmt.Sprintf("I db    %d\n", n) {
					t.Fatalf("line %q, want %d", line, n)
				}
				n++
			}
			if n != 100 {
				t.Errorf("%d lines, want 100", n)
			}
		})
	}
}

// Lines of a busy time are written together, and none waits long for others: so much is lost by a kill -9.
func TestLinesAreWrittenTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		latest := time.Duration(0)
		d := &destination{answer: func(p []byte) (int, error) {
			for line := range bytes.Lines(p) {
				n, err := strconv.Atoi(string(bytes.TrimSpace(line)))
				if err != nil {
					t.Error(err)
				}
				latest = max(latest, time.Since(begin)-time.Duration(n)*time.Millisecond)
			}
			return len(p), nil
		}}
		q := newQueue("q", (&tellings{}).tell)
		q.open(d)
		for n := range 1000 { // one each millisecond
			putNumbers(q, n, n)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(pause)
		synctest.Wait()
		checkNumbers(t, d.String(), 0, 999)
		if latest > pause {
			t.Errorf("a line has waited %v", latest)
		}
		if n := len(d.writes); n > 2*int(time.Second/pause) {
			t.Errorf("%d writes for 1000 lines in a second", n)
		}
		q.close(soon())
	})
}

// Much is written in several pieces, none of them too large for a file that is rotated, and each of whole lines.
func TestChunks(t *testing.T) {
	goOn := make(chan struct{})
	d := &destination{answer: func(p []byte) (int, error) { <-goOn; return len(p), nil }}
	q := newQueue("q", (&tellings{}).tell)
	q.open(d)
	const last = 200_000
	putNumbers(q, 1, last)
	close(goOn)
	q.close(soon())
	checkNumbers(t, d.String(), 1, last)
	for _, w := range d.writes {
		if len(w) > chunkSize || !strings.HasSuffix(w, "\n") {
			t.Errorf("a piece of %d bytes, that ends in %q", len(w), w[len(w)-1:])
		}
	}
}

// A line that is longer than a piece is written whole nevertheless: between two pieces the file may be rotated, and a
// terminal is shown lines.
func TestLongLineIsOnePiece(t *testing.T) {
	goOn := make(chan struct{})
	d := &destination{answer: func(p []byte) (int, error) { <-goOn; return len(p), nil }}
	q := newQueue("q", (&tellings{}).tell)
	q.open(d)
	var want string
	for _, size := range []int{1, chunkSize, 10, chunkSize + 1, 10, 2 * chunkSize, 3*chunkSize + 7, 10} {
		line := strings.Repeat("x", size-1) + "\n"
		q.put([]byte(line))
		want += line
	}
	close(goOn)
	q.close(soon())
	if d.String() != want {
		t.Errorf("%d bytes are written, want %d", len(d.got), len(want))
	}
	for _, w := range d.writes {
		if !strings.HasSuffix(w, "\n") {
			t.Errorf("a piece of %d bytes that does not end a line", len(w))
		}
	}
}

// What is longer than all that is kept is lost, and stands in nobody's way.
func TestLineThatIsTooLong(t *testing.T) {
	d := &destination{}
	q := newQueue("q", (&tellings{}).tell)
	q.open(d)
	putNumbers(q, 1, 1)
	q.put(make([]byte, queueSize+1))
	putNumbers(q, 2, 2)
	q.close(soon())
	checkNumbers(t, d.String(), 1, 2)
}

// What is put before it is known where it goes is written first.
func TestLinesBeforeOpen(t *testing.T) {
	d := &destination{}
	q := newQueue("q", (&tellings{}).tell)
	putNumbers(q, 1, 100)
	q.flush(soon()) // there is nothing to wait for yet
	q.open(d)
	putNumbers(q, 101, 200)
	q.flush(soon())
	checkNumbers(t, d.String(), 1, 200)
	q.close(soon())
	if d.closed != 1 {
		t.Errorf("it has been closed %d times", d.closed)
	}
}

func TestFlush(t *testing.T) {
	block := func(end <-chan struct{}) func([]byte) (int, error) {
		return func(p []byte) (int, error) { <-end; return len(p), nil }
	}
	fail := func(<-chan struct{}) func([]byte) (int, error) {
		return func([]byte) (int, error) { return 0, errFull }
	}
	slow := func(<-chan struct{}) func([]byte) (int, error) {
		return func(p []byte) (int, error) { time.Sleep(flushLimit / 4); return len(p), nil }
	}
	for _, test := range []struct {
		name   string
		answer func(end <-chan struct{}) func([]byte) (int, error)
		lines  int
		wait   time.Duration
		want   int // so many lines are written when it returns
	}{
		{"nothing to do", nil, 0, 0, 0},
		{"it works", nil, 10, 0, 10},
		{"it is slow", slow, 1, flushLimit / 4, 1},
		{"it blocks for ever", block, 10, flushLimit, 0},
		{"it fails", fail, 10, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				end := make(chan struct{})
				d := &destination{}
				if test.answer != nil {
					d.answer = test.answer(end)
				}
				ls := New(Config{Out: d, Format: FormatJSON})
				for n := range test.lines {
					ls.Server("db").Zap().Info(strconv.Itoa(n))
				}
				var all sync.WaitGroup
				for range 3 { // several at once, as when several servers end
					all.Go(func() {
						begin := time.Now()
						ls.Flush()
						if waited := time.Since(begin); waited != test.wait {
							t.Errorf("it has waited %v, want %v", waited, test.wait)
						}
					})
				}
				all.Wait()
				if got := strings.Count(d.String(), "\n"); got != test.want {
					t.Errorf("%d lines are written, want %d", got, test.want)
				}
				close(end)
				ls.Close()
			})
		})
	}
}

// Flush does not wait for what is logged after it has begun: there may always be more.
func TestFlushIsForWhatWasThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &destination{}
		q := newQueue("q", (&tellings{}).tell)
		n := 0
		d.answer = func(p []byte) (int, error) {
			time.Sleep(time.Millisecond)
			if n++; n < 100 {
				putNumbers(q, n, n)
			}
			return len(p), nil
		}
		q.open(d)
		putNumbers(q, 0, 0)
		begin := time.Now()
		q.flush(soon())
		if waited := time.Since(begin); waited > 10*time.Millisecond {
			t.Errorf("it has waited %v for lines that came later", waited)
		}
		q.close(soon())
		checkNumbers(t, d.String(), 0, 99)
	})
}

func TestClose(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer func(end <-chan struct{}) func([]byte) (int, error)
		wait   time.Duration
		want   bool // all is written
		closed int
	}{
		{"it works", func(<-chan struct{}) func([]byte) (int, error) { return nil }, 0, true, 1},
		{"it is slow", func(<-chan struct{}) func([]byte) (int, error) {
			return func(p []byte) (int, error) { time.Sleep(flushLimit / 4); return len(p), nil }
		}, flushLimit / 4, true, 1},
		{"it fails", func(<-chan struct{}) func([]byte) (int, error) {
			return func([]byte) (int, error) { return 0, errFull }
		}, 0, false, 1},
		// Whoever blocks cannot be helped: the goroutine is left to it.
		{"it blocks for ever", func(end <-chan struct{}) func([]byte) (int, error) {
			return func(p []byte) (int, error) { <-end; return 0, errFull }
		}, flushLimit, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				end := make(chan struct{})
				d := &destination{answer: test.answer(end)}
				ls := New(Config{Files: true})
				ls.Program().Discard()
				db := ls.Server("db")
				z := db.Zap()
				for range 10 {
					z.Info("before")
				}
				db.file.Load().open(d) // now, so that all are written at once
				var all sync.WaitGroup
				for range 3 { // once is enough, but several do no harm
					all.Go(func() {
						begin := time.Now()
						ls.Close()
						if waited := time.Since(begin); waited != test.wait {
							t.Errorf("it has waited %v, want %v", waited, test.wait)
						}
					})
				}
				all.Wait()
				begin := time.Now()
				ls.Close()
				for range 10 {
					z.Info("after")
				}
				if q := db.file.Load(); len(q.lines) > 0 {
					t.Errorf("%d bytes are kept for nobody", len(q.lines))
				}
				ls.Flush()
				ls.Close()
				if waited := time.Since(begin); waited != 0 {
					t.Errorf("when it is closed it still waits, %v", waited)
				}
				if got := strings.Count(d.String(), "before"); (got == 10) != test.want {
					t.Errorf("%d lines are written, want all: %v", got, test.want)
				}
				if d.closed != test.closed {
					t.Errorf("the destination has been closed %d times, want %d", d.closed, test.closed)
				}
				close(end)
				time.Sleep(10 * retry)
				synctest.Wait()
				if text := d.String(); strings.Contains(text, "after") {
					t.Errorf("it is written to after Close: %s", text)
				}
				if d.closed != 1 {
					t.Errorf("the destination has been closed %d times", d.closed)
				}
			})
		})
	}
}

// Out is the caller's, who may go on writing there.
func TestOutIsNotClosed(t *testing.T) {
	for _, format := range []Format{FormatConsole, FormatJSON} {
		d := &destination{}
		ls := New(Config{Out: d, Format: format})
		ls.Program().Zap().Info("x")
		ls.Close()
		if d.closed != 0 || strings.Count(d.String(), "\n") != 1 {
			t.Errorf("%s: it has been closed %d times, and has %q", format, d.closed, d)
		}
	}
}

// A slow destination takes no time from the others.
func TestCloseOfSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		stuck := &destination{answer: func(p []byte) (int, error) { <-end; return len(p), nil }}
		fine := &destination{}
		ls := New(Config{Out: stuck, Files: true})
		db := ls.Server("db")
		ls.Program().Discard()
		db.file.Load().open(fine)
		db.Zap().Info("x")
		begin := time.Now()
		ls.Flush()
		ls.Close()
		if waited := time.Since(begin); waited != 2*flushLimit {
			t.Errorf("it has waited %v for one destination, want %v", waited, 2*flushLimit)
		}
		if strings.Count(fine.String(), "\n") != 1 || fine.closed != 1 {
			t.Error("the other one has not been written to the end")
		}
		close(end)
	})
}

// Lines that come from many goroutines at once all arrive, whole, and those of one goroutine in order.
func TestConcurrentPut(t *testing.T) {
	d := &destination{}
	ls := newLogs(t, Config{Out: d, Format: FormatJSON})
	const goroutines, rounds = 16, 500
	var wg sync.WaitGroup
	for g := range goroutines {
		z := ls.Server(fmt.Sprint("s", g)).Zap()
		wg.Go(func() {
			for n := range rounds {
				z.Info(strconv.Itoa(n))
				if n%100 == 0 {
					ls.Flush()
				}
			}
		})
	}
	wg.Wait()
	ls.Close()
	next := map[string]int{}
	for line := range strings.Lines(d.String()) {
		l, err := ParseLine([]byte(line))
		if err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if want := strconv.Itoa(next[l.Server]); l.Msg != want {
			t.Fatalf("%s says %s, want %s", l.Server, l.Msg, want)
		}
		next[l.Server]++
	}
	for g := range goroutines {
		if n := next[fmt.Sprint("s", g)]; n != rounds {
			t.Errorf("%d lines of s%d, want %d", n, g, rounds)
		}
	}
}

// Lines are put, and the queue is opened, flushed, and closed, all at once: nothing is torn, doubled, or hangs.
func TestConcurrentClose(t *testing.T) {
	for range 50 {
		d := &destination{}
		q := newQueue("q", (&tellings{}).tell)
		var wg sync.WaitGroup
		wg.Go(func() { putNumbers(q, 1, 1000) })
		wg.Go(func() { q.open(d) })
		wg.Go(func() { q.flush(soon()) })
		wg.Wait()
		wg.Go(func() { putNumbers(q, 1001, 2000) })
		wg.Go(func() { q.close(soon()) })
		wg.Go(func() { q.flush(soon()) })
		wg.Wait()
		text := d.String()
		if n := strings.Count(text, "\n"); n < 1000 || n > 2000 {
			t.Fatalf("%d lines", n)
		} else {
			checkNumbers(t, text, 1, n)
		}
	}
}

// The goroutine that writes is no server's, whoever has put the first line: it would be taken for one of the server's
// that has not ended.
func TestWriterIsNobodys(t *testing.T) {
	whose := make(chan string, 1)
	d := &destination{answer: func(p []byte) (int, error) { whose <- owner(); return len(p), nil }}
	ls := newLogs(t, Config{Out: d})
	db := ls.Server("db")
	db.Do(func() { db.Zap().Info("x") })
	if got := receive("the line", whose); got != "" {
		t.Errorf("it is %s's", got)
	}
}

// The program's file tells once that the screen fails, and once that it works again.
func TestScreenThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ok atomic.Bool
		screen, file := &destination{}, &destination{}
		screen.answer = func(p []byte) (int, error) {
			if !ok.Load() {
				return 0, errFull
			}
			return len(p), nil
		}
		ls := New(Config{Out: screen, Files: true, Program: "km"})
		ls.Program().file.Load().open(file)
		db := ls.Server("db")
		db.Discard()
		for range 3 {
			db.Zap().Info("x")
			time.Sleep(2 * retry)
		}
		synctest.Wait()
		checkTold(t, file.String(), "km", "disk full")
		ok.Store(true)
		time.Sleep(2 * retry)
		ls.Close()
		checkTold(t, file.String(), "km", "disk full", "again")
		if got := strings.Count(screen.String(), "I db  x\n"); got != 3 {
			t.Errorf("%d lines are shown, want 3", got)
		}
	})
}

// A screen that takes nothing for a time, because somebody has typed Ctrl-S, holds nobody up; how much it does not show
// is told when it goes on.
func TestScreenThatBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		screen, file := &destination{}, &destination{}
		screen.answer = func(p []byte) (int, error) { <-goOn; return len(p), nil }
		ls := New(Config{Out: screen, Files: true, Program: "km"})
		ls.Program().file.Load().open(file)
		db := ls.Server("db")
		db.Discard()
		const count = 3 * queueSize / 1024
		for range count {
			db.Zap().Info(strings.Repeat("x", 1024))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		checkTold(t, file.String(), "km")
		close(goOn)
		time.Sleep(time.Minute)
		ls.Close()
		lost := count - strings.Count(screen.String(), "I db  xx")
		checkTold(t, file.String(), "km", fmt.Sprintf(`"lost lines":%d`, lost))
	})
}

// checkTold checks that text are so many warnings of the program, each with that in it.
func checkTold(t *testing.T, text, program string, parts ...string) {
	t.Helper()
	if n := strings.Count(text, "\n"); n != len(parts) {
		t.Fatalf("told %d times, want %d:\n%s", n, len(parts), text)
	}
	i := -1
	for line := range strings.Lines(text) {
		i++
		l, err := ParseLine([]byte(line))
		if err != nil || l.Level != "warn" || l.Server != program || !strings.Contains(line, parts[i]) {
			t.Errorf("%v: %s, want a warning with %q", err, line, parts[i])
		}
	}
}

// The screen tells that a file fails and, when it works again, so does the file.
func TestFileThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ok atomic.Bool
		screen := &destination{}
		disk := func() *destination {
			d := &destination{}
			d.answer = func(p []byte) (int, error) {
				if !ok.Load() {
					return 0, errFull
				}
				return len(p), nil
			}
			return d
		}
		ls := New(Config{Out: screen, Format: FormatJSON, Brief: true, Files: true, Program: "km"})
		var files []*destination
		for _, l := range []*Log{ls.Program(), ls.Server("a"), ls.Server("b")} {
			d := disk()
			files = append(files, d)
			l.file.Load().open(d)
			l.Zap().Info("x")
		}
		time.Sleep(5 * retry)
		synctest.Wait()
		// The disk is one, and its end is told of once.
		checkTold(t, screen.String(), "km", "disk full")
		ok.Store(true)
		time.Sleep(2 * retry)
		synctest.Wait()
		checkTold(t, screen.String(), "km", "disk full", "again")
		ls.Close()
		for i, want := range []int{3, 1, 1} {
			if got := strings.Count(files[i].String(), "\n"); got != want {
				t.Errorf("file %d has %d lines, want %d", i, got, want)
			}
		}
	})
}

// Somebody may have looked up the queue just before it was handed over: what he puts there goes on to the other one.
func TestPutAfterHandTo(t *testing.T) {
	d := &destination{}
	q, other := newQueue("q", (&tellings{}).tell), newQueue("other", (&tellings{}).tell)
	other.open(d)
	putNumbers(q, 1, 10)
	q.handTo(other)
	putNumbers(q, 11, 20)
	other.close(soon())
	checkNumbers(t, d.String(), 1, 20)
}
