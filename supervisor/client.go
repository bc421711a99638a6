package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// client talks to the admin API of a run.
type client struct {
	http    http.Client
	program string
	plan    *Plan
	// patience is how long a run is waited for that holds the data folder and has no socket there: it is just
	// beginning, or ending, or opens one anew that somebody has removed (admin.keepSocket).
	patience time.Duration
}

var (
	// errNotRunning says that nothing runs with the data folder.
	errNotRunning = errors.New("not running")
	// errNoSocket says that a process holds the data folder, but cannot be asked.
	errNoSocket = errors.New("its socket is gone")
	// errGone says that the run has ended before it answered.
	errGone = errors.New("ended before it answered")
)

// connect returns a client of the run with the plan's data folder. Whether there is one shows when it is asked
// something.
func (hk *HyperKube) connect(p *Plan) *client {
	transport := system.UnixTransport(adminSocket(p, hk.Name))
	return &client{program: hk.Name, plan: p, patience: socketPatience, http: http.Client{Transport: transport}}
}

// do sends a request and returns the answer, whose body the caller closes. An answer that refuses is an error.
func (c *client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	answer, err := c.send(ctx, method, path, text)
	for late := now().Add(c.patience); err != nil && unheard(err) && held(c.plan, c.program) && now().Before(late); {
		select {
		case <-ctx.Done():
			return nil, c.explain(ctx.Err())
		case <-time.After(statusPoll):
		}
		answer, err = c.send(ctx, method, path, text)
	}
	switch {
	case err != nil:
		return nil, c.explain(err)
	case answer.StatusCode >= 400:
		defer answer.Body.Close()
		text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
		if err != nil {
			return nil, c.explain(err)
		}
		var refused apiError
		if json.Unmarshal(text, &refused) != nil || refused.Error == "" {
			refused.Error = fmt.Sprintf("%s %s: %s %s", method, path, answer.Status, bytes.TrimSpace(text))
		}
		return nil, errors.New(refused.Error)
	}
	return answer, nil
}

// socketPatience is enough for a run that looks after its socket.
const socketPatience = 10 * lookEvery

// unheard reports whether a request has reached nobody.
func unheard(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

func (c *client) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.program+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return c.http.Do(r)
}

// explain says for people what is wrong if an answer does not come, or not whole.
func (c *client) explain(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted; what was asked for is not taken back")
	case unheard(err) && held(c.plan, c.program):
		who, end := holder(c.plan.Path(c.program+".lock"), c.program), "SIGTERM"
		if pid, ok := strings.CutPrefix(who, "process "); ok {
			end = "`kill " + pid + "`"
		}
		return fmt.Errorf("%s runs (%s), but %w: %s; try again, or end it with %s",
			c.program, who, errNoSocket, adminSocket(c.plan, c.program), end)
	case unheard(err):
		return fmt.Errorf("%s is %w with the data folder %s; start it with `%s`",
			c.program, errNotRunning, c.plan.DataDir, c.plan.Command("run"))
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s belongs to somebody else: only its owner may ask it", adminSocket(c.plan, c.program))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%s %w; `%s` may say why", c.program, errGone, c.plan.Command("logs"))
	}
	return fmt.Errorf("%s cannot be asked: %w", c.program, err)
}

// call sends a request, and reads the answer into v if that is not nil.
func (c *client) call(ctx context.Context, method, path string, body, v any) error {
	answer, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if v == nil {
		return nil
	}
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return c.explain(err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("the answer of %s is not understood: %w", c.program, err)
	}
	return nil
}

func (c *client) status(ctx context.Context) (*Status, error) {
	var s Status
	return &s, c.call(ctx, http.MethodGet, "/v1/status", nil, &s)
}
