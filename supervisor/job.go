package supervisor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/life"
)

// job is the COMMAND of `run -- COMMAND`. It is started when all servers are ready, and all is stopped when it ends.
// While it runs, the signals that would stop the servers are its own, as those of any command that another one runs for
// its user (env, timeout, sudo).
//
// It is a process group, so that signals reach all of its processes and none is left behind: one that it has started in
// the background is ended with it.
type job struct {
	args     []string
	path     string
	run      *run
	quit     chan struct{} // closed when it is to end, or not to start
	quitOnce sync.Once

	mu      sync.Mutex
	group   int       // its process group; 0 before it has started, and when all of it has ended
	ended   bool      // the command has ended
	waits   bool      // signals stop the servers: it has not started, or has ended
	refused os.Signal // what ended the run before it was started
	code    int       // its exit code, when it has ended
	err     error     // why it could not be started
	tty     *system.Terminal
	more    chan os.Signal
}

// lastOutput is how long a command that has ended is read, if somebody in the background still holds its output open.
const lastOutput = 500 * time.Millisecond

// newJob returns the job of a command. That the program is not there is an error.
func newJob(r *run, command []string) (*job, error) {
	path, err := exec.LookPath(command[0])
	if err != nil {
		if lookup, ok := errors.AsType[*exec.Error](err); ok {
			err = lookup.Err
		}
		return nil, fmt.Errorf("the command %q behind `--` cannot be run: %w", command[0], withoutPath(err))
	}
	return &job{args: command, path: path, run: r, quit: make(chan struct{}), waits: true}, nil
}

// execute waits until all servers are ready, and then runs the command to its end. It is the actor of a group whose
// other actors end when it returns.
func (j *job) execute() error {
	select {
	case <-j.run.began.over:
	case <-j.quit:
		return life.ErrStop
	}
	if err := j.run.began.err; err != nil { // with --keep-going the others would go on without it
		return fmt.Errorf("%s is not run: %w", j.args[0], err)
	}
	// On Linux the command dies with the thread that has started it: that has to be there as long as the command.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd, err := j.begin()
	switch {
	case err != nil:
		j.err = fmt.Errorf("%s cannot be run: %w", j.args[0], err)
	case cmd != nil:
		system.AwaitEnd(cmd.Process.Pid)
		j.finish(cmd)
	}
	return life.ErrStop
}

// begin starts the command. It returns nil if the servers are being stopped.
func (j *job) begin() (*exec.Cmd, error) {
	hk, p := j.run.hk, j.run.plan
	cmd := exec.Command(j.path)
	cmd.Args = j.args
	// Not os.Stderr: what servers print there may have been taken for the log (logging.Logs.TakeStderr).
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, hk.screen().err
	if hk.out != nil { // it takes one line at a time
		cmd.Stdout, cmd.Stderr = hk.screen(), hk.screen()
	}
	cmd.WaitDelay = lastOutput // where these are no files, somebody in the background may hold them open
	cmd.Env = append(os.Environ(), hk.variableOf("name")+"="+p.Name, hk.variableOf("data-dir")+"="+p.DataDir)
	if hk.Environment != nil {
		cmd.Env = append(cmd.Env, hk.Environment(p)...)
	}
	system.DieWithParent(cmd)
	j.mu.Lock()
	defer j.mu.Unlock()
	select {
	case <-j.quit:
		return nil, nil
	default:
	}
	j.tty = system.OwnTerminal()
	j.tty.HandTo(cmd)
	j.more = system.CatchForwarded() // the command may send one at once
	if err := cmd.Start(); err != nil {
		system.StopSignals(j.more)
		j.tty.TakeBack(-1)
		return nil, err
	}
	j.group, j.waits = cmd.Process.Pid, false
	// At once: if this process is killed before, the command dies with it (DieWithParent), but not what it may have
	// started by then.
	if err := j.run.sweeper.Group(j.group); err != nil {
		j.run.logs.Program().Zap().WithOptions(zap.WithCaller(false)).Warn("if this process is killed, the command may stay", zap.Error(err))
	}
	go j.forwardAll(j.more)
	j.tty.Follow(j.group)
	return cmd, nil
}

// finish notes how the command has ended, and ends what it has left in the background.
func (j *job) finish(cmd *exec.Cmd) {
	// As long as nobody has waited for it, the number is this group's.
	system.SignalGroup(cmd.Process.Pid, system.EndSignal)
	err := cmd.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	system.StopSignals(j.more)
	j.tty.TakeBack(j.group)
	j.ended, j.waits = true, true
	if j.code = system.ProcessCode(cmd.ProcessState); j.code == 0 && err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		j.err = fmt.Errorf("%s: %w", j.args[0], err)
	}
	if !system.GroupExists(j.group) { // the number may become somebody else's
		j.forget()
	}
}

// forget is called when no process of the group is left. The lock is held.
func (j *job) forget() {
	_ = j.run.sweeper.GroupEnded(j.group) // without a sweeper nobody kills it
	j.group = 0
}

// interrupt asks the command to end, if it runs, and kills it if it does not.
func (j *job) interrupt(error) {
	j.quitOnce.Do(func() { close(j.quit) })
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.group != 0 && !j.ended {
		system.SignalGroup(j.group, system.EndSignal)
		time.AfterFunc(DefaultGracePeriod, func() {
			if !j.hasEnded() {
				j.kill()
			}
		})
	}
}

func (j *job) hasEnded() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.ended
}

// kill ends what is left of the group.
func (j *job) kill() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.group != 0 {
		system.SignalGroup(j.group, os.Kill)
		j.tty.TakeBack(j.group)
	}
}

// signals are those of the signals that are for the servers. The others are for the command: the first one while it
// runs, and what comes within the second after it, but for copies of the same one. The second one ends everything, as
// without a command.
func (j *job) signals(caught <-chan os.Signal) <-chan os.Signal {
	out := make(chan os.Signal, 2)
	go func() {
		defer close(out)
		var st stops
		sent, n := 0, 0
		for s := range caught {
			again, copied := st.again(s)
			if copied {
				continue
			}
			forServers := !j.forward(s)
			if again {
				continue
			}
			n++
			for ; sent < 2 && (forServers && sent == 0 || n > 1); sent++ {
				out <- s
			}
		}
	}()
	return out
}

// forward sends a signal to the command, if it runs.
func (j *job) forward(s os.Signal) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.waits {
		if j.group == 0 && !j.ended && j.refused == nil {
			j.refused = s
		}
		return false
	}
	system.SignalGroup(j.group, s)
	return true
}

func (j *job) forwardAll(signals <-chan os.Signal) {
	for s := range signals {
		j.forward(s)
	}
}

// result is how the run has ended, as far as the command is concerned. No server has failed.
func (j *job) result() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.err != nil:
		return j.err
	case j.ended && j.code == 0:
		return nil
	case j.ended:
		return &ExitError{Code: j.code} // it has said why
	case j.refused != nil:
		return &ExitError{Code: system.SignalCode(j.refused), Err: fmt.Errorf("%s was not run: %v came before all servers were ready", j.args[0], j.refused)}
	}
	return fmt.Errorf("%s was not run: the servers ended before all were ready", j.args[0])
}
