package life

import "errors"

// Permanent marks err as a failure after which another try is pointless, such as damaged data: a server whose Build,
// Run or Ready returns it, or on which Fail is called with it, has failed for good at once, whatever its restart
// policy. People can still ask for a start, when the cause has been removed. It returns nil if err is nil; errors.Is
// and errors.As see through it.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }

func (e *permanentError) Unwrap() error { return e.err }

// IsPermanent reports whether err, or one that it wraps, is from Permanent.
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}
