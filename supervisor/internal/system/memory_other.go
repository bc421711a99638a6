//go:build !linux

package system

// DropBinary does nothing: there is no way to.
func DropBinary() {}
