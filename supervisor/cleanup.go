package supervisor

import (
	"slices"
	"sync"
)

// cleanup is what is to be called when the start of a server that goes on has ended. There is one at a time: a server
// that was left behind does not start before it has ended after all.
type cleanup struct {
	mu    sync.Mutex
	calls []func()
}

// Cleanup has f called when this start of the server has ended: Build, Run and Ready have returned, or Run was never
// called. It is for what Build or Run has opened that does not end with their context, and to be called in one of them;
// what was added last is called first. The server counts as running until f has returned.
func (s *Server) Cleanup(f func()) {
	s.cleanup.mu.Lock()
	defer s.cleanup.mu.Unlock()
	s.cleanup.calls = append(s.cleanup.calls, f)
}

// release is called when a start of the server has ended.
func (s *Server) release() {
	s.cleanup.mu.Lock()
	calls := s.cleanup.calls
	s.cleanup.calls = nil
	s.cleanup.mu.Unlock()
	for _, f := range slices.Backward(calls) {
		_ = s.Guard(func() error { f(); return nil }) // the log has it
	}
	s.sockets.closeGiven()
}
