//go:build !linux

package etcd

// exchange gives two files or folders each other's name.
func exchange(a, b string) error { return exchangeInSteps(a, b) }
