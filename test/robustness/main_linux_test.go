package robustness

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long anything may take before a test gives up. It is no expectation of speed: a busy machine is slow.
const patience = 3 * time.Minute

// failed is the folder for what remains of these tests.
const failed = "../../bin/failed/robustness"

var (
	seed       = flag.Uint64("seed", 0, "chooses the faults' order and moments, and what clients ask for; 0: another one each time")
	rounds     = flag.Int("rounds", 1, "how often each plan of faults is gone through, with seeds that follow one another")
	operations = flag.Int("operations", 60, "how many operations are answered between two faults at least; up to twice as many are")
	nodes      = flag.Int("nodes", 60, "how many simulated nodes TestScale starts")
	pods       = flag.Int("pods", 600, "how many pods TestScale runs on them")
	with       = flag.String("with", "", "further flags for km, separated by spaces")
	kept       = flag.String("kept", failed, "folder for what explains a failure: histories, drawings, logs")
	results    = flag.String("results", "", "file that counts how often each fault was injected and what was promised held")

	binary string
)

// apart is set in the environment of a test that has its own mount namespace.
const apart = "KM_ROBUSTNESS_APART"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := writeResults(code == 0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func prepare() error {
	// What is mounted is gone when the last process in the namespace has ended, however that ends.
	if os.Geteuid() == 0 && os.Getenv(apart) == "" {
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
			fmt.Fprintf(os.Stderr, "no mount namespace of its own, and no disk's faults: %v\n", err)
		} else {
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return fmt.Errorf("the mount namespace cannot be made private: %w", err)
			}
			return syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), apart+"=yes"))
		}
	}
	binary = os.Getenv("KM")
	if binary == "" {
		binary = filepath.Join("..", "..", "bin", "km")
	}
	var err error
	if binary, err = filepath.Abs(binary); err == nil {
		_, err = os.Stat(binary)
	}
	if err != nil {
		return fmt.Errorf("no binary to test: %w; run `make build`, or name one with KM", err)
	}
	if *seed == 0 {
		*seed = rand.Uint64N(1_000_000) + 1
	}
	return nil
}
