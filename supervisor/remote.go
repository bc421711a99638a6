package supervisor

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// What commands of other packages need in order to work with the state of servers, whether these run or not.

// ErrNotRunning is in the error of Status, StartServers and StopServers if nothing runs with the data folder.
var ErrNotRunning = errNotRunning

// Status is what the run with the plan's data folder tells of itself. If there is none, the error is an ErrNotRunning,
// whose text says how to start one.
func (hk *HyperKube) Status(ctx context.Context, p *Plan) (*Status, error) {
	return hk.connect(p).status(ctx)
}

// StartServers starts servers of the run with the plan's data folder, and those that they need, and waits until they
// are ready. What hinders them meanwhile is told. That the context ends does not take back what was asked for.
func (hk *HyperKube) StartServers(ctx context.Context, p *Plan, names ...string) error {
	return hk.steered(ctx, hk.connect(p), "start", names, "", nil)
}

// StopServers stops servers of the run with the plan's data folder, and first those that need them, and waits until
// they have ended. That the context ends does not take back what was asked for.
func (hk *HyperKube) StopServers(ctx context.Context, p *Plan, names ...string) error {
	return hk.steered(ctx, hk.connect(p), "stop", names, "", nil)
}

// steered asks a run for what is done with servers, and reads the answer into v if that is not nil. That may come late,
// or never: meanwhile it tells what hinders a start.
func (hk *HyperKube) steered(ctx context.Context, c *client, what string, names []string, query string, v any) error {
	waiting, answered := context.WithCancel(ctx)
	told := make(chan struct{})
	go func() {
		defer close(told)
		hk.tellHindrances(waiting, c, names)
	}()
	err := c.call(ctx, http.MethodPost, "/v1/servers/"+strings.Join(names, ",")+"/"+what+query, nil, v)
	answered()
	<-told
	return err
}

// tellHindrances tells until the context ends what hinders the start of servers, or of those that they need: each text
// once.
func (hk *HyperKube) tellHindrances(ctx context.Context, c *client, names []string) {
	told := map[string]bool{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(hindrancePoll):
		}
		status, err := c.status(ctx)
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

// hindrancePoll is how often it is looked what hinders a start that somebody waits for.
const hindrancePoll = 500 * time.Millisecond

// withNeeds are these servers, those that they need, and those that these need.
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

// Hold makes the plan's data folder, if it is not there, and keeps `run`, and whatever else holds it, out of it until
// release is called. If it is held already, the error says by which process. release is to be called in any case.
func (hk *HyperKube) Hold(p *Plan) (release func() error, err error) { return hk.hold(p) }
