//go:build unix && !linux

package supervisor

// followsStops says whether follow sees that a job has been stopped. Here that would take its end from those who wait
// for it.
const followsStops = false

// follow does nothing.
func (t *terminal) follow(int) {}

// awaitEnd does not wait.
func awaitEnd(int) {}
