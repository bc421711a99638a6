//go:build !unix

package logging

// TakeStderr does nothing here: what is printed to os.Stderr stays where it is.
func (ls *Logs) TakeStderr() error { return nil }
