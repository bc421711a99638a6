package text

import "errors"

// Errors returns the errors that were joined in err, or err itself.
func Errors(err error) []error {
	several, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	// An error with a text of its own, such as that of fmt.Errorf, says more than the errors in it.
	if joined := errors.Join(several.Unwrap()...); joined == nil || err.Error() != joined.Error() {
		return []error{err}
	}
	var all []error
	for _, err := range several.Unwrap() {
		all = append(all, Errors(err)...)
	}
	return all
}
