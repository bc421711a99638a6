package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"syscall"
)

// crashes are ways in which a goroutine of a server ends the process.
var crashes = map[string]func(){
	"panic":       func() { panic("out of ink") },
	"lines":       func() { panic(errors.New("out of ink\n\npanic: and of paper")) },
	"own type":    func() { panic(word("out of ink")) },
	"nil pointer": func() { _ = *(*int)(nil) },
	"goexit":      func() { defer func() { panic("out of ink") }(); runtime.Goexit() },
	"locked":      func() { runtime.LockOSThread(); panic("out of ink") },
	"in a panic":  func() { defer func() { panic("second") }(); panic("first") },
	"recovered":   func() { defer func() { panic(fmt.Sprint("behind the ", recover())) }(); panic("first") },
	"again":       func() { defer func() { panic(recover()) }(); panic("first") },
	"unlabelled":  func() { pprof.SetGoroutineLabels(context.Background()); panic("out of ink") },
	"map": func() {
		shared := map[int]int{}
		for range 4 {
			go func() {
				for {
					shared[0]++
				}
			}()
		}
	},
	"mutex": func() { new(sync.Mutex).Unlock() },
	"rw":    func() { new(sync.RWMutex).Unlock() },
	"stack": func() { debug.SetMaxStack(1 << 20); _ = deeper(0) },
	"QUIT":  func() { _ = signalSelf(syscall.SIGQUIT) },
	"KILL":  func() { _ = signalSelf(os.Kill) },
	"exit":  func() { os.Exit(3) },
}

type word string

// deeper ends when the stack does.
func deeper(n int) int {
	if n < 0 { // never: the number does not get that far
		return 0
	}
	return deeper(n+1) + 1
}

func signalSelf(s os.Signal) error {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	return self.Signal(s)
}
