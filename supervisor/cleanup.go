package supervisor

import (
	"slices"
	"sync"
)

// cleanup has the functions to call when the current start of a server has ended. There is one start at a time: a
// server that was left behind starts again only when it has ended after all.
type cleanup struct {
	mu    sync.Mutex
	calls []func()
}

// Cleanup has f called when this start of the server has ended: Build, Run and Ready have returned, or Run was never
// called. It is for what Build or Run has opened that does not end with their context, and to be called in one of them;
// what was added last is called first. The server counts as running until f has returned.
func (s *Server) Cleanup(f func()) {
	c := &s.at().cleanup
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, f)
}

// release is called when a start of the server has ended.
func (st *seat) release() {
	st.cleanup.mu.Lock()
	calls := st.cleanup.calls
	st.cleanup.calls = nil
	st.cleanup.mu.Unlock()
	for _, f := range slices.Backward(calls) {
		_ = st.server.Guard(func() error { f(); return nil }) // the log has it
	}
	st.sockets.CloseGiven()
	select {
	case <-st.marks: // it is not for the next start
	default:
	}
}
