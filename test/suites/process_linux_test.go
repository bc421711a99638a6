package suites

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// endProcesses kills the processes that have a variable in their environment, and says which these were. A suite's
// process group is not enough: envtest starts each of its processes in a group of its own.
func endProcesses(variable string) (ended []string, err error) {
	for range 600 { // a minute, in which killed processes end
		found := processesWith(variable)
		if len(found) == 0 {
			return ended, nil
		}
		for pid, args := range found {
			if line := fmt.Sprintf("%d: %s", pid, args); !slices.Contains(ended, line) {
				ended = append(ended, line)
			}
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return ended, fmt.Errorf("process %d of a suite cannot be killed: %w", pid, err)
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return ended, fmt.Errorf("processes of a suite do not end when they are killed: %v", ended)
}

// processesWith returns the command lines of processes that have a variable in their environment. Zombies have none.
func processesWith(variable string) map[int]string {
	found := map[int]string{}
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	for _, dir := range all {
		environ, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil { // it has ended, or is another user's
			continue
		}
		if !bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+variable+"\x00")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		args, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err == nil {
			found[pid] = string(bytes.ReplaceAll(args, []byte{0}, []byte(" ")))
		}
	}
	return found
}
