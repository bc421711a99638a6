//go:build unix && !linux

package system

// followsStops reports whether Follow sees that a job has been stopped. Here that would take its end from those who
// wait for it.
const followsStops = false

// Follow does nothing.
func (t *Terminal) Follow(int) {}

// AwaitEnd does not wait.
func AwaitEnd(int) {}
