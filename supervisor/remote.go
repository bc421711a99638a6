package supervisor

import (
	"context"
	"net/http"
	"strings"
)

// What commands of other packages need in order to work with the state of servers, whether these run or not.

// ErrNotRunning is in the error of Status, StartServers and StopServers if nothing runs with the data folder.
var ErrNotRunning = errNotRunning

// Status is what the run with the plan's data folder tells of itself. If there is none, the error is an ErrNotRunning, whose text says
// how to start one.
func (hk *HyperKube) Status(ctx context.Context, p *Plan) (*Status, error) {
	return hk.connect(p).status(ctx)
}

// StartServers starts servers of the run with the plan's data folder, and those that they need, and waits until they are ready. That
// the context ends does not take back what was asked for.
func (hk *HyperKube) StartServers(ctx context.Context, p *Plan, names ...string) error {
	return hk.connect(p).steer(ctx, "start", names)
}

// StopServers stops servers of the run with the plan's data folder, and first those that need them, and waits until they have ended.
// That the context ends does not take back what was asked for.
func (hk *HyperKube) StopServers(ctx context.Context, p *Plan, names ...string) error {
	return hk.connect(p).steer(ctx, "stop", names)
}

func (c *client) steer(ctx context.Context, what string, names []string) error {
	return c.call(ctx, http.MethodPost, "/v1/servers/"+strings.Join(names, ",")+"/"+what, nil, nil)
}

// Hold makes the plan's data folder, if it is not there, and keeps `run`, and whatever else holds it, out of it until release is called.
// If it is held already, the error says by which process. release is to be called in any case.
func (hk *HyperKube) Hold(p *Plan) (release func() error, err error) { return hk.hold(p) }
