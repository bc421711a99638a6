package kmtest

import (
	"bytes"
	"fmt"
	"os"
	"sync"
	"testing"
)

// screen takes what km shows: the states of the servers, and log lines.
type screen struct {
	mu   sync.Mutex
	kept bytes.Buffer
	part []byte       // a line that has no end yet
	show func(string) // nil for nobody
}

// enough is how much of it is kept.
const enough = 64 << 10

// newScreen is the one of a cluster that belongs to no test: lines are shown on standard error, if they are to be.
func newScreen(c Config) *screen {
	s := &screen{}
	if c.LogToTest {
		s.show = func(line string) { fmt.Fprintln(os.Stderr, line) }
	}
	return s
}

// to has the lines shown in the log of a test from now on.
func (s *screen) to(t testing.TB, shown bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if shown {
		s.show = func(line string) { t.Log(line) }
	}
}

// silence has nothing shown any more: a test that has ended takes no lines.
func (s *screen) silence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.show = nil
}

func (s *screen) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept.Write(text)
	if over := s.kept.Len() - enough; over > 0 {
		s.kept.Next(over)
	}
	if s.show != nil {
		s.part = append(s.part, text...)
		for {
			line, rest, whole := bytes.Cut(s.part, []byte("\n"))
			if !whole {
				break
			}
			s.show(string(line))
			s.part = rest
		}
	}
	return len(text), nil
}

// text is what was shown last.
func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.String()
}
