package kmtest

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/seed-200a7251/km/supervisor"
)

// form is where the servers are to run.
func (c Config) form() (form, error) {
	switch {
	case c.New == nil && c.Process:
		return nil, errors.New("there are no servers for Process: set New to km.New, or leave Process out")
	case c.New == nil:
		name := cmp.Or(c.Binary, os.Getenv("KM"), "km")
		path, err := exec.LookPath(name)
		if err != nil {
			return nil, fmt.Errorf("there is no binary %q: build it, and name it in $KM or put it into the PATH (go install github.com/seed-200a7251/km/cmd/km@latest); "+
				"or set New to km.New, and none is needed", name)
		}
		return &process{path: path}, nil
	case c.Binary != "":
		return nil, errors.New("there are both New and Binary: leave one of them out")
	case c.Process:
		if mainNew == nil {
			return nil, errors.New("there is no TestMain that calls kmtest.Main with km.New, which is what the process calls")
		}
		path, err := os.Executable()
		return &process{path: path}, err
	}
	return &inside{new: c.New}, nil
}

// inside is the process of the test.
type inside struct {
	new     func() *supervisor.HyperKube
	running *supervisor.Running
}

func (i *inside) start(ctx context.Context, args []string, screen *screen) (string, error) {
	hk := i.new()
	hk.SetOut(screen)
	// It ends with Stop: when the context of a test ends, its other clean-ups have yet to come.
	within, cancel := context.WithCancel(context.WithoutCancel(ctx))
	late := context.AfterFunc(ctx, cancel)
	running, err := hk.Start(within, args...)
	if err != nil {
		cancel()
		return "", hint(cmp.Or(context.Cause(ctx), err))
	}
	if !late() {
		cancel()
		return "", errors.Join(context.Cause(ctx), running.Stop())
	}
	i.running = running
	return running.Plan().DataDir, nil
}

// hint names the way out where one process is not enough.
func hint(err error) error {
	if strings.Contains(err.Error(), "another process") {
		return fmt.Errorf("%w (kmtest.Config.Process)", err)
	}
	return err
}

func (i *inside) ended() <-chan struct{} {
	if i.running == nil {
		return never
	}
	return i.running.Done()
}

var never = make(chan struct{})

func (i *inside) stop() error {
	if i.running == nil {
		return nil
	}
	return i.running.Stop()
}

// process is one of km, or of the test's own binary that acts as km.
type process struct {
	path  string
	cmd   *exec.Cmd
	input io.Closer
	done  chan struct{}
	err   error // to be read when done is closed
}

// variable is set in the environment of a process that is to be km, until it has understood that.
const variable = "KMTEST_PROCESS"

// guard is the command that km runs when all are ready: it tells where the cluster is, with a zero byte behind it, and
// ends when its input does. That is a pipe of the test's, so the cluster ends with the process of the test, however
// that ends.
const guard = `printf '%s\0' "$KM_DATA_DIR" && exec cat >/dev/null`

func (p *process) start(ctx context.Context, args []string, screen *screen) (dataDir string, err error) {
	p.cmd = exec.Command(p.path)
	p.cmd.Args = append(append([]string{"km", "run"}, args...), "--", "sh", "-c", guard)
	p.cmd.Stderr = screen
	// As in the process of the test, what counts is what the test says.
	p.cmd.Env = slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, "KM_") })
	p.cmd.Env = append(p.cmd.Env, variable+"=1")
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		return "", err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := p.cmd.Start(); err != nil {
		return "", err
	}
	p.done = make(chan struct{})
	lines := make(chan string, 1)
	go func() {
		defer close(p.done)
		reader := bufio.NewReader(out)
		text, _ := reader.ReadString(0) // its end says that there will be none
		lines <- strings.TrimSuffix(text, "\x00")
		_, _ = io.Copy(screen, reader) // a screen takes all
		p.err = p.cmd.Wait()
	}()
	select {
	case dataDir = <-lines:
	case <-ctx.Done():
		_ = p.cmd.Process.Signal(os.Interrupt) // it may have ended
		return "", context.Cause(ctx)
	}
	if dataDir == "" {
		<-p.done
		return "", fmt.Errorf("km has ended before it was ready: %w", cmp.Or(p.err, errors.New("exit code 0")))
	}
	return dataDir, nil
}

func (p *process) ended() <-chan struct{} {
	if p.done == nil {
		return never
	}
	return p.done
}

func (p *process) stop() error {
	if p.done == nil {
		return nil
	}
	select {
	case <-p.done:
		return fmt.Errorf("km has ended by itself: %w", cmp.Or(p.err, errors.New("exit code 0")))
	default:
	}
	_ = p.input.Close() // it fails if the process has just ended, which is seen now
	<-p.done
	return p.err
}
