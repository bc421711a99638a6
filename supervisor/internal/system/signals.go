package system

import (
	"os"
	"os/signal"
)

// StopSignals ends what signal.Notify has begun for the channel, and closes it.
func StopSignals(c chan os.Signal) {
	signal.Stop(c)
	close(c)
}
