// Package sweep removes what a process could not remove itself because it was killed: folders, and groups of processes.
//
// Start starts a second process of the same binary, the sweeper. All that it does is wait until the first one has
// ended. Nothing asks for its attention meanwhile, so it is there when the first one is killed for taking too much
// memory, or by hand. A pipe tells it what to remove, and the end of the pipe tells it that the first one is gone.
package sweep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/seed-200a7251/km/supervisor/mounts"
)

// variable is set in the environment of a sweeper, and of no other process.
const variable = "SUPERVISOR_SWEEPER"

// A sweeper is begun here, and not where a program looks at its arguments: the packages that a program of some size
// initializes cost more than all that the sweeper does, and this one is initialized before most of them. (The order is
// that of import paths, for packages that need no others. With another order it works as well.)
func init() {
	if os.Getenv(variable) != "" {
		// Signals that end the first process may go to all that belong to it. A sweeper goes on: it ends by itself.
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
		serve(os.Stdin)
		os.Exit(0)
	}
}

// Sweeper is the process that sweeps up after this one. The methods may be called from several goroutines.
type Sweeper struct {
	cmd    *exec.Cmd
	mu     sync.Mutex // guards orders
	pipe   io.Closer
	orders *json.Encoder
}

// order is what a sweeper is told. One field is set.
type order struct {
	Folder []byte `json:"folder,omitempty"` // JSON has only text in its strings, and a path may be none
	Group  int    `json:"group,omitempty"`
	Ended  int    `json:"ended,omitempty"` // a group that needs no sweeping any more
	Done   bool   `json:"done,omitempty"`
}

// Start starts a sweeper. name is how it is called in lists of processes. self is the path of this process's binary.
func Start(self, name string) (*Sweeper, error) {
	cmd := exec.Command(self)
	cmd.Args = []string{name}
	cmd.Env = append(os.Environ(), variable+"=1")
	cmd.Dir = "/" // otherwise its working folder could not be unmounted
	if runtime.GOOS == "windows" {
		cmd.Dir = ""
	}
	detach(cmd)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("the process that removes what a killed one leaves behind cannot be started: %w", err)
	}
	return &Sweeper{cmd: cmd, pipe: pipe, orders: json.NewEncoder(pipe)}, nil
}

// PID is the sweeper's.
func (s *Sweeper) PID() int { return s.cmd.Process.Pid }

// Folder is to be removed when this process has ended. It need not be there yet. As with mounts.RemoveAll, it stays if
// something is mounted below it.
func (s *Sweeper) Folder(path string) error { return s.tell(order{Folder: []byte(path)}) }

// Group is a process group that is to be killed when this process has ended.
func (s *Sweeper) Group(pgid int) error { return s.tell(order{Group: pgid}) }

// GroupEnded takes Group back: no process of the group is left, and its number may become another one's.
func (s *Sweeper) GroupEnded(pgid int) error { return s.tell(order{Ended: pgid}) }

func (s *Sweeper) tell(o order) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.orders.Encode(o); err != nil {
		return fmt.Errorf("the process that removes what a killed one leaves behind has ended: %w", err)
	}
	return nil
}

// Close ends the sweeper: this process has removed all by itself.
func (s *Sweeper) Close() error {
	err := s.tell(order{Done: true})
	return errors.Join(err, s.pipe.Close(), s.cmd.Wait())
}

// serve is the sweeper's side: it reads orders, and carries them out when there are no more to come.
func serve(orders io.Reader) {
	var folders []string
	groups := map[int]bool{}
	for decoder := json.NewDecoder(orders); ; {
		var o order
		if err := decoder.Decode(&o); err != nil {
			break // the end, or half an order of a process that was killed while it wrote that
		}
		switch {
		case o.Done:
			return
		case len(o.Folder) > 0:
			folders = append(folders, string(o.Folder))
		case o.Group != 0:
			groups[o.Group] = true
		case o.Ended != 0:
			delete(groups, o.Ended)
		}
	}
	for pgid := range groups {
		killGroup(pgid)
	}
	for _, folder := range folders {
		removeSoon(folder)
	}
}

// Processes that are being killed may still write to a folder that is being removed.
const (
	attempts = 50
	pause    = 100 * time.Millisecond
)

// removeSoon removes a folder, as often as that is needed. Nobody is left to tell of an error.
func removeSoon(folder string) {
	for range attempts {
		err := mounts.RemoveAll(folder)
		if err == nil || errors.As(err, new(*mounts.MountedError)) {
			return
		}
		time.Sleep(pause)
	}
}
