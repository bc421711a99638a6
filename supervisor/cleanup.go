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
	c := &s.at().cleanup
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, f)
}

// release is called when a start of the server has ended.
func (p *seat) release() {
	p.cleanup.mu.Lock()
	calls := p.cleanup.calls
	p.cleanup.calls = nil
	p.cleanup.mu.Unlock()
	for _, f := range slices.Backward(calls) {
		_ = p.server.Guard(func() error { f(); return nil }) // the log has it
	}
	p.sockets.CloseGiven()
}
