//go:build !linux

package snapshot

// exchange gives two files or folders each other's name.
func exchange(a, b string) error { return exchangeInSteps(a, b) }
