//go:build !linux

package component

// LackWatchers finds no lack: there is no inotify.
func LackWatchers(int) (lack, remedy string) { return "", "" }
