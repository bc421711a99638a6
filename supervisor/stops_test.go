//go:build unix

package supervisor

import (
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// after is a signal that comes some time after the one before.
type after struct {
	pause  time.Duration
	signal os.Signal
}

// passed sends signals, and returns those that come out, until all are sent and closed.
func passed(t *testing.T, through func(<-chan os.Signal) <-chan os.Signal, sent []after) (got []os.Signal) {
	caught := make(chan os.Signal, 8)
	out := through(caught)
	for _, s := range sent {
		time.Sleep(s.pause)
		caught <- s.signal
		synctest.Wait()
	}
	close(caught)
	for s := range out {
		got = append(got, s)
	}
	return got
}

const (
	sigint  = syscall.SIGINT
	sigterm = syscall.SIGTERM
)

// What comes within a second of a signal is the same wish: a copy, by whichever hand.
func TestCopiesOfASignal(t *testing.T) {
	const moment, second = time.Millisecond, time.Second
	for _, test := range []struct {
		name string
		sent []after
		want []os.Signal
	}{
		{"one", []after{{0, sigint}}, []os.Signal{sigint}},
		{"a copy at once", []after{{0, sigint}, {0, sigint}}, []os.Signal{sigint}},
		{"three copies", []after{{0, sigterm}, {moment, sigterm}, {second / 2, sigterm}}, []os.Signal{sigterm}},
		{"from a runner that sends SIGTERM", []after{{0, sigint}, {moment, sigterm}}, []os.Signal{sigint}},
		{"the last moment", []after{{0, sigint}, {second - 1, sigint}}, []os.Signal{sigint}},
		{"a second one", []after{{0, sigint}, {second, sigint}}, []os.Signal{sigint, sigint}},
		{"a second one of another kind", []after{{0, sigint}, {second, sigterm}}, []os.Signal{sigint, sigterm}},
		{"a key that is held", []after{{0, sigint}, {second / 4, sigint}, {second / 4, sigint}, {second / 4, sigint}, {second / 4, sigint}}, []os.Signal{sigint, sigint}},
		{"a second one, with copies", []after{{0, sigint}, {moment, sigint}, {2 * second, sigterm}, {moment, sigterm}}, []os.Signal{sigint, sigterm}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if diff := cmp.Diff(test.want, passed(t, withoutCopies, test.sent)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				// Before a command is started the servers get them in the same way, and the second one ends all at
				// once.
				j := &foreground{waits: true}
				if got := passed(t, j.signals, test.sent); len(got) != len(test.want) || got[0] != test.want[0] {
					t.Errorf("beside a command that waits: %v", got)
				}
			})
		})
	}
}

// While a command runs the first wish is its own, with each kind of signal that comes; the second one ends everything.
func TestCopiesOfASignalBesideJob(t *testing.T) {
	for _, test := range []struct {
		sent []after
		want int
	}{
		{[]after{{0, sigint}, {0, sigint}, {0, sigterm}, {0, sigterm}}, 0},
		{[]after{{0, sigint}, {0, sigint}, {time.Second, sigint}, {0, sigint}}, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			// No process has that number: what is sent to it is lost.
			j := &foreground{group: 1 << 30}
			if got := passed(t, j.signals, test.sent); len(got) != test.want {
				t.Errorf("%v: the servers got %v", test.sent, got)
			}
		})
	}
}
