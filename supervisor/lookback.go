package supervisor

import (
	"maps"
	"slices"

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/supervisor/internal/crash"
)

// lookBack tells how the run before has ended, if it was not stopped, and makes sure that the same can be told of this
// one.
func (r *run) lookBack() {
	logger := r.logs.Program().Zap().WithOptions(zap.WithCaller(false))
	found, err := r.keepCrash()
	r.crash = found
	if err != nil {
		logger.Warn("how the previous run has ended, or this one will, cannot be told", zap.Error(err))
	}
	if found != nil {
		logger.Warn(found.String())
	}
}

// keepCrash keeps how this run ends, and tells how the one before has ended: see crash.Keep. The run's forget is for an
// orderly end. It must not be deferred: deferred calls run before the runtime writes the traceback of a panic, which
// would be lost.
func (r *run) keepCrash() (*crash.Crash, error) {
	if r.plan.Ephemeral { // nobody will look into its folder
		return nil, crash.LabelTracebacks()
	}
	r.forget = func() error {
		dir := r.plan.DataDir
		if r.lost.Load() { // what is there now is another run's
			dir = r.moved
		}
		return crash.Forget(dir)
	}
	return crash.Keep(r.plan.DataDir, r.plan.logPaths)
}

// lastCrash tells how the last run with the data folder has ended, as crash.Last does.
func lastCrash(p *Plan) (*crash.Crash, error) { return crash.Last(p.DataDir, p.logPaths) }

// logPaths are the log files that there are, or were.
func (p *Plan) logPaths() ([]string, error) {
	files, err := findLogs(p)
	return slices.Collect(maps.Values(files)), err
}
