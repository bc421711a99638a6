//go:build !linux

package supervisor

func dropBinary() {} // there is no way to
