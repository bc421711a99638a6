package errno

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// What the system returns.
var (
	taken      = []syscall.Errno{windows.WSAEADDRINUSE}
	notAllowed = []syscall.Errno{windows.WSAEACCES} // the port may be reserved, for Hyper-V for one
	noAddress  = []syscall.Errno{windows.WSAEADDRNOTAVAIL}
	refused    = []syscall.Errno{windows.WSAECONNREFUSED}
	reset      = []syscall.Errno{windows.WSAECONNRESET, windows.WSAECONNABORTED, windows.ERROR_BROKEN_PIPE, windows.ERROR_NO_DATA}
	noSpace    = []syscall.Errno{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED}
)
