package supervisor

import (
	"maps"
	"slices"

	"github.com/seed-200a7251/km/supervisor/internal/crash"
)

// keepCrash has it kept how this run ends, and tells how the one before has, as crash.Keep does. end is for the orderly
// end, and is not to be deferred. Of an ephemeral run nothing is kept: nobody will look into its folder.
func keepCrash(p *Plan) (found *Crash, end func() error, err error) {
	if p.Ephemeral {
		return nil, func() error { return nil }, crash.LabelTracebacks()
	}
	end = func() error {
		dir := p.DataDir
		if p.lost.Load() { // what is there now is another run's
			dir = p.moved
		}
		return crash.Forget(dir)
	}
	found, err = crash.Keep(p.DataDir, p.logPaths)
	return found, end, err
}

// lastCrash tells how the last run with the data folder has ended, if that was not by a stop. No process holds the
// folder.
func lastCrash(p *Plan) (*Crash, error) { return crash.Last(p.DataDir, p.logPaths) }

// logPaths are the log files that there are, or were.
func (p *Plan) logPaths() ([]string, error) {
	files, err := findLogs(p)
	return slices.Collect(maps.Values(files)), err
}
