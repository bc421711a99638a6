package system

import (
	"os"
	"path/filepath"
	"runtime"
)

// Executable is the path of this process's own binary. On Linux it is the same file even if another one has replaced it
// since.
func Executable() (string, error) {
	if runtime.GOOS == "linux" {
		if _, err := os.Stat("/proc/self/exe"); err == nil {
			return "/proc/self/exe", nil
		}
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(self)
}
