package supervisor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed-200a7251/km/supervisor/internal/admin"
	"github.com/seed-200a7251/km/supervisor/internal/life"
	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// What commands need in order to work with the state of servers, whether these run or not.

// Status is what the run with the plan's data folder tells of itself. If there is none, the error is an ErrNotRunning,
// whose text says how to start one.
func (hk *HyperKube) Status(ctx context.Context, p *Plan) (*Status, error) {
	return hk.connect(p).Status(ctx)
}

// StartServers starts servers of the run with the plan's data folder, and those that they need, and waits until they
// are ready. What hinders them meanwhile is told. The request stands even if the context ends.
func (hk *HyperKube) StartServers(ctx context.Context, p *Plan, names ...string) error {
	_, err := hk.steered(ctx, hk.connect(p), life.Start, names, true)
	return err
}

// StopServers stops servers of the run with the plan's data folder, and first those that need them, and waits until
// they have ended. The request stands even if the context ends.
func (hk *HyperKube) StopServers(ctx context.Context, p *Plan, names ...string) error {
	_, err := hk.steered(ctx, hk.connect(p), life.Stop, names, true)
	return err
}

// EndRun ends the run with the plan's data folder, as a SIGTERM does, and waits until it has ended. The request stands
// even if the context ends.
func (hk *HyperKube) EndRun(ctx context.Context, p *Plan) error {
	c := hk.connect(p)
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	process, err := os.FindProcess(status.PID)
	if err == nil {
		err = process.Signal(syscall.SIGTERM)
	}
	if err != nil {
		return fmt.Errorf("%s (process %d) cannot be ended: %w", hk.Name, status.PID, err)
	}
	ended := &statusFlags{wait: "stopped"}
	return ended.await(ctx, c)
}

// Hold makes the plan's data folder, if it is not there, and keeps `run`, and whatever else holds it, out of it until
// release is called. If it is held already, the error says by which process. release is to be called in any case.
func (hk *HyperKube) Hold(p *Plan) (release func() error, err error) { return hk.hold(p) }

// connect returns a client of the run with the plan's data folder. Its first request shows whether there is one.
func (hk *HyperKube) connect(p *Plan) *admin.Client {
	return &admin.Client{
		HTTP:     http.Client{Transport: system.UnixTransport(p.socketFile(hk.Name))},
		Program:  hk.Name,
		Held:     func() bool { return held(p, hk.Name) },
		Patience: socketPatience,
		Explain:  func(err error) error { return p.unanswered(hk.Name, err) },
	}
}

// socketPatience is enough for a run that looks after its socket.
const socketPatience = 10 * lookEvery

// unanswered says for people what is wrong if a run does not answer.
func (p *Plan) unanswered(program string, err error) error {
	switch {
	case errors.Is(err, admin.ErrNoSocket):
		who, end := holder(p.Path(program+".lock"), program), "SIGTERM"
		if pid, ok := strings.CutPrefix(who, "process "); ok {
			end = "`kill " + pid + "`"
		}
		return fmt.Errorf("%s runs (%s), but %w: %s; try again, or end it with %s", program, who, err, p.socketFile(program), end)
	case errors.Is(err, admin.ErrNotRunning):
		return fmt.Errorf("%s is %w with the data folder %s; start it with `%s`", program, err, p.DataDir, p.Command("run"))
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s belongs to somebody else: only its owner may ask it", p.socketFile(program))
	case errors.Is(err, admin.ErrGone):
		return fmt.Errorf("%s %w; `%s` may say why", program, err, p.Command("logs"))
	}
	return fmt.Errorf("%s cannot be asked: %w", program, err)
}

// steered asks a run to start, stop or restart servers. The answer may come late, or never: meanwhile it tells what
// hinders a start.
func (hk *HyperKube) steered(ctx context.Context, c *admin.Client, what life.Verb, names []string, wait bool) ([]ServerStatus, error) {
	waiting, answered := context.WithCancel(ctx)
	told := make(chan struct{})
	go func() {
		defer close(told)
		hk.tellHindrances(waiting, c, names)
	}()
	all, err := c.Steer(ctx, what, names, wait)
	answered()
	<-told
	return all, err
}

// tellHindrances tells what hinders the start of servers, or of those that they need, each text once, until the context
// ends.
func (hk *HyperKube) tellHindrances(ctx context.Context, c *admin.Client, names []string) {
	told := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(hindrancePoll):
		}
		status, err := c.Status(ctx)
		if err != nil {
			continue // the request itself fails, too, or the next look succeeds
		}
		concerned := withNeeds(names, status)
		for _, server := range status.Servers {
			text := fmt.Sprintf("%s %s: %s", server.Name, toldAs[Starting], server.Error)
			if server.State == Starting && server.Error != "" && slices.Contains(concerned, server.Name) && !told[text] {
				told[text] = true
				fmt.Fprintln(hk.errOut(), text)
			}
		}
	}
}

// hindrancePoll is the time between two looks for what hinders a start that somebody waits for.
const hindrancePoll = 500 * time.Millisecond

// withNeeds are these servers and all their direct and indirect needs.
func withNeeds(names []string, status *Status) []string {
	all := slices.Clone(names)
	for more := true; more; {
		more = false
		for _, server := range status.Servers {
			for _, need := range server.Needs {
				if slices.Contains(all, server.Name) && !slices.Contains(all, need) {
					all, more = append(all, need), true
				}
			}
		}
	}
	return all
}
