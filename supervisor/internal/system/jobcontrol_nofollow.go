//go:build unix && !darwin && !linux

package system

// followsStops reports whether Follow sees that the command has been stopped. Here looking for that would reap the
// command, for which others wait.
const followsStops = false

// Follow does nothing.
func (t *Terminal) Follow(int) {}
