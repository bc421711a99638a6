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

	"github.com/seed-200a7251/km/supervisor/internal/life"
	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// foreground is the COMMAND of `run -- COMMAND`. It is started when all servers are ready, and all is stopped when it
// ends. While it runs, the signals that would stop the servers go to it, as they do for a command of env, timeout or
// sudo.
//
// It is a process group, so that signals reach all of its processes, and those that it has started in the background
// end with it.
type foreground struct {
	args     []string
	path     string
	run      *run
	quit     chan struct{} // closed when it is to end, or not to start
	quitOnce sync.Once

	mu      sync.Mutex
	group   int       // its process group; 0 before it has started, and when all of it has ended
	ended   bool      // the command has ended
	waits   bool      // signals stop the servers: it has not started, or has ended
	refused os.Signal // the signal that ended the run before the start
	code    int       // its exit code, when it has ended
	err     error     // why it could not be started
	tty     *system.Terminal
	more    chan os.Signal
}

// lastOutput is how long a command's output is read after its end, if a process in the background holds it open.
const lastOutput = 500 * time.Millisecond

// newForeground returns the foreground of a run with a command. A missing program is an error.
func newForeground(r *run, command []string) (*foreground, error) {
	path, err := exec.LookPath(command[0])
	if err != nil {
		if lookup, ok := errors.AsType[*exec.Error](err); ok {
			err = lookup.Err
		}
		return nil, fmt.Errorf("the command %q behind `--` cannot be run: %w", command[0], withoutPath(err))
	}
	return &foreground{args: command, path: path, run: r, quit: make(chan struct{}), waits: true}, nil
}

// execute waits until all servers are ready, and then runs the command to its end. It is the actor of a group whose
// other actors end when it returns.
func (fg *foreground) execute() error {
	select {
	case <-fg.run.began.over:
	case <-fg.quit:
		return life.ErrStop
	}
	if err := fg.run.began.err; err != nil {
		if !fg.run.group.KeepGoing { // the failure itself ends the others, and is told, whoever comes first
			return life.ErrStop
		}
		return fmt.Errorf("%s is not run: %w", fg.args[0], err)
	}
	// On Linux the command dies with the thread that has started it: the thread has to last as long as the command.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd, err := fg.begin()
	switch {
	case err != nil:
		fg.err = fmt.Errorf("%s cannot be run: %w", fg.args[0], err)
	case cmd != nil:
		fg.finish(cmd, system.AwaitEnd(cmd.Process.Pid))
	}
	return life.ErrStop
}

// begin starts the command. It returns nil if the servers are being stopped.
func (fg *foreground) begin() (*exec.Cmd, error) {
	hk, p := fg.run.hk, fg.run.plan
	cmd := exec.Command(fg.path)
	cmd.Args = fg.args
	// Not os.Stderr: what servers print there may have been taken for the log (logging.Logs.TakeStderr).
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, hk.screen().err
	if hk.out != nil { // it takes one line at a time
		cmd.Stdout, cmd.Stderr = hk.screen(), hk.screen()
	}
	cmd.WaitDelay = lastOutput // if these are not files, a process in the background may hold them open
	cmd.Env = append(os.Environ(), hk.variableOf("name")+"="+p.Name, hk.variableOf("data-dir")+"="+p.DataDir)
	if hk.Environment != nil {
		cmd.Env = append(cmd.Env, hk.Environment(p)...)
	}
	system.DieWithParent(cmd)
	fg.mu.Lock()
	defer fg.mu.Unlock()
	select {
	case <-fg.quit:
		return nil, nil
	default:
	}
	fg.tty = system.OwnTerminal()
	fg.tty.HandTo(cmd)
	fg.more = system.CatchForwarded() // the command may send one at once
	if err := cmd.Start(); err != nil {
		system.StopSignals(fg.more)
		fg.tty.TakeBack(-1)
		return nil, err
	}
	fg.group, fg.waits = cmd.Process.Pid, false
	// At once: if this process is killed before this, the command dies with it (DieWithParent), but not what the
	// command has started.
	if err := fg.run.sweeper.Group(fg.group); err != nil {
		fg.run.logs.Program().Zap().WithOptions(zap.WithCaller(false)).Warn("if this process is killed, the command may stay", zap.Error(err))
	}
	go fg.forwardAll(fg.more)
	fg.tty.Follow(fg.group)
	return cmd, nil
}

// finish notes how the command has ended, and ends what it has left in the background. awaited says that it is known to
// have ended.
func (fg *foreground) finish(cmd *exec.Cmd, awaited bool) {
	if awaited { // otherwise the signal could end it
		// Before Wait, the number cannot be another group's.
		system.SignalGroup(cmd.Process.Pid, system.EndSignal)
	}
	err := cmd.Wait()
	fg.mu.Lock()
	defer fg.mu.Unlock()
	system.StopSignals(fg.more)
	fg.tty.TakeBack(fg.group)
	fg.ended, fg.waits = true, true
	if fg.code = system.ProcessCode(cmd.ProcessState); fg.code == 0 && err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		fg.err = fmt.Errorf("%s: %w", fg.args[0], err)
	}
	if !system.GroupExists(fg.group) { // the number may become somebody else's
		fg.forget()
	}
}

// forget is called when no process of the group is left. The lock is held.
func (fg *foreground) forget() {
	_ = fg.run.sweeper.GroupEnded(fg.group) // without a sweeper nobody kills it
	fg.group = 0
}

// interrupt asks a running command to end, and kills it after the grace period.
func (fg *foreground) interrupt(error) {
	fg.quitOnce.Do(func() { close(fg.quit) })
	fg.mu.Lock()
	defer fg.mu.Unlock()
	if fg.group != 0 && !fg.ended {
		system.SignalGroup(fg.group, system.EndSignal)
		time.AfterFunc(DefaultGracePeriod, func() {
			if !fg.hasEnded() {
				fg.kill()
			}
		})
	}
}

func (fg *foreground) hasEnded() bool {
	fg.mu.Lock()
	defer fg.mu.Unlock()
	return fg.ended
}

// kill ends what is left of the group.
func (fg *foreground) kill() {
	fg.mu.Lock()
	defer fg.mu.Unlock()
	if fg.group != 0 {
		system.SignalGroup(fg.group, os.Kill)
		fg.tty.TakeBack(fg.group)
	}
}

// signals returns those of the signals that are for the servers. While the command runs, the first one is for the
// command, and so is what comes within a second after it, except copies. The second one ends everything, as without a
// command.
func (fg *foreground) signals(caught <-chan os.Signal) <-chan os.Signal {
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
			forServers := !fg.forward(s)
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
func (fg *foreground) forward(s os.Signal) bool {
	fg.mu.Lock()
	defer fg.mu.Unlock()
	if fg.waits {
		if fg.group == 0 && !fg.ended && fg.refused == nil {
			fg.refused = s
		}
		return false
	}
	system.SignalGroup(fg.group, s)
	return true
}

func (fg *foreground) forwardAll(signals <-chan os.Signal) {
	for s := range signals {
		fg.forward(s)
	}
}

// result is how the run has ended, as far as the command is concerned. No server has failed.
func (fg *foreground) result() error {
	fg.mu.Lock()
	defer fg.mu.Unlock()
	switch {
	case fg.err != nil:
		return fg.err
	case fg.ended && fg.code == 0:
		return nil
	case fg.ended:
		return &ExitError{Code: fg.code} // it has said why
	case fg.refused != nil:
		return &ExitError{Code: system.SignalCode(fg.refused), Err: fmt.Errorf("%s was not run: %v came before all servers were ready", fg.args[0], fg.refused)}
	}
	return fmt.Errorf("%s was not run: the servers ended before all were ready", fg.args[0])
}
