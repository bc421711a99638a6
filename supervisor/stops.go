package supervisor

import (
	"os"
	"time"
)

// sameStop is how long further signals that ask the process to stop count as copies of the first one. One Ctrl-C comes
// several times: from the terminal, from a shell or a package manager that passes it on, and as another signal from a
// runner of processes that takes SIGINT and sends SIGTERM. Within that time nobody has seen what the first one did, and
// wants more.
const sameStop = time.Second

// stops distinguishes a new signal that asks the process to stop from copies of the one before.
type stops struct {
	since time.Time // the time of the last new signal
	seen  map[os.Signal]bool
}

// again reports whether a signal belongs to the one before, and whether it is the very same one.
func (sp *stops) again(s os.Signal) (again, copied bool) {
	if at := now(); sp.since.IsZero() || at.Sub(sp.since) >= sameStop {
		sp.since, sp.seen = at, map[os.Signal]bool{s: true}
		return false, false
	}
	copied = sp.seen[s]
	sp.seen[s] = true
	return true, copied
}

// withoutCopies passes on the first signal, and one that comes when sameStop is over, until caught is closed.
func withoutCopies(caught <-chan os.Signal) <-chan os.Signal {
	out := make(chan os.Signal, 2)
	go func() {
		defer close(out)
		var st stops
		for s := range caught {
			if again, _ := st.again(s); again {
				continue
			}
			select {
			case out <- s:
			default: // two are enough
			}
		}
	}()
	return out
}
