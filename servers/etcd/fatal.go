package etcd

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"go.uber.org/zap/zapcore"

	"github.com/seed-200a7251/km/supervisor"
)

// guarded calls f, which is code of etcd's that gets a logger with the hook. A fatal log line ends the goroutine that
// writes it, and data that etcd cannot make sense of may have it panic: both become errors.
func guarded[T any](s *supervisor.Server, fatal <-chan error, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	returned := make(chan result, 1)
	go func() {
		var r result
		r.err = s.Guard(func() (err error) {
			r.value, err = f()
			return err
		})
		returned <- r
	}()
	select {
	case r := <-returned:
		return r.value, r.err
	case err := <-fatal:
		var none T
		return none, err
	}
}

// fatalHook makes of a log line after which the process would end an error, and the end of the goroutine.
type fatalHook chan error

func (h fatalHook) OnWrite(e *zapcore.CheckedEntry, fields []zapcore.Field) {
	err := errors.New(e.Message)
	for _, f := range fields {
		if why, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType {
			err = fmt.Errorf("%s: %w", e.Message, why)
		}
	}
	select {
	case h <- &fatalError{err}:
	default: // the first one counts
	}
	runtime.Goexit()
}

// loneHook is that for the panics of a member that is alone. It lets raft go on after the one that says unscanned.
type loneHook struct{ fatalHook }

// unscanned begins what raft says as it panics because entries that it was to look through before an election are gone
// from memory (go.etcd.io/raft/v3, hasUnappliedConfChanges). They are gone because etcd has applied them, and has
// compacted them before raft was told so: it forgets the first entry when it has applied a hundred, and a member that
// is alone is hurried into its election at the same time (etcdserver, compactRaftLog and adjustTicks). What raft looks
// for, a change of members that is not applied, is not among them, so that the election may go on.
const unscanned = "error scanning unapplied entries"

func (h loneHook) OnWrite(e *zapcore.CheckedEntry, fields []zapcore.Field) {
	if !strings.HasPrefix(e.Message, unscanned) {
		h.fatalHook.OnWrite(e, fields)
	}
}

// fatalError is one after which upstream would end the process.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }

func (e *fatalError) Unwrap() error { return e.err }
