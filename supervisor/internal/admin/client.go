package admin

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
	"strconv"
	"time"

	"github.com/seed-200a7251/km/supervisor/errno"
	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// Client asks the API of a run. Its first request shows whether there is one.
type Client struct {
	// HTTP sends requests to the run's socket, whatever host they name.
	HTTP http.Client
	// Program is the name of the binary.
	Program string
	// Held reports whether a process holds the run's data folder.
	Held func() bool
	// Patience is how long to wait for a run that holds its folder and has no socket there: it is just beginning, or
	// ending, or opens anew a socket that somebody has removed.
	Patience time.Duration
	// Explain turns one of the errors below, or another one, into what people are told.
	Explain func(error) error
}

// What may be wrong when there is no answer.
var (
	// ErrNotRunning says that nothing runs with the data folder.
	ErrNotRunning = errors.New("not running")
	// ErrNoSocket says that a process holds the data folder, but cannot be asked.
	ErrNoSocket = errors.New("its socket is gone")
	// ErrGone says that the run has ended before it answered.
	ErrGone = errors.New("ended before it answered")
)

// socketPoll is the time between two looks for the socket of a run that is about to have one.
const socketPoll = 50 * time.Millisecond

// do sends a request and returns the answer, whose body the caller closes. An answer that refuses is an error.
func (c *Client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	answer, err := c.send(ctx, method, path, text)
	for late := time.Now().Add(c.Patience); err != nil && unheard(err) && c.Held() && time.Now().Before(late); {
		select {
		case <-ctx.Done():
			return nil, c.explain(ctx.Err())
		case <-time.After(socketPoll):
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
		var refused refusal
		if json.Unmarshal(text, &refused) != nil || refused.Error == "" {
			refused.Error = fmt.Sprintf("%s %s: %s %s", method, path, answer.Status, bytes.TrimSpace(text))
		}
		return nil, errors.New(refused.Error)
	}
	return answer, nil
}

// unheard reports whether a request has reached nobody.
func unheard(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errno.Refused(err)
}

func (c *Client) send(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.Program+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	return c.HTTP.Do(r)
}

// explain says what is wrong if an answer does not come, or comes in part.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted; what was asked for is not taken back")
	case unheard(err) && c.Held():
		err = ErrNoSocket
	case unheard(err):
		err = ErrNotRunning
	case errors.Is(err, os.ErrPermission):
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errno.Reset(err):
		err = ErrGone
	}
	if c.Explain == nil {
		return fmt.Errorf("%s: %w", c.Program, err)
	}
	return c.Explain(err)
}

// call sends a request, and reads the answer into v if that is not nil.
func (c *Client) call(ctx context.Context, method, path string, body, v any) error {
	text, err := c.read(ctx, method, path, body)
	if err != nil || v == nil {
		return err
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("the answer of %s is not understood: %w", c.Program, err)
	}
	return nil
}

// read sends a request, and returns the answer.
func (c *Client) read(ctx context.Context, method, path string, body any) ([]byte, error) {
	answer, err := c.do(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, c.explain(err)
	}
	return text, nil
}

// Status is what the run tells of itself.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	var s Status
	return &s, c.call(ctx, http.MethodGet, statusPath, nil, &s)
}

// Usage is what the servers use up.
func (c *Client) Usage(ctx context.Context) (*Usage, error) {
	var u Usage
	return &u, c.call(ctx, http.MethodGet, usagePath, nil, &u)
}

// Steer asks for something of servers. It returns when that is done, or at once if wait is false, with what is then
// known of these servers and of those that come with them.
func (c *Client) Steer(ctx context.Context, what life.Verb, names []string, wait bool) ([]ServerStatus, error) {
	path := steerPath(what, names)
	if !wait {
		path += noWaitQuery
	}
	var all []ServerStatus
	return all, c.call(ctx, http.MethodPost, path, nil, &all)
}

// SetLogLevel changes how much a server logs, or the program itself under its name.
func (c *Client) SetLogLevel(ctx context.Context, name, level string) (LogLevel, error) {
	body := LogLevel{Level: level}
	err := c.call(ctx, http.MethodPut, serverPath(name)+"/"+logLevelWord, body, &body)
	return body, err
}

// Profile takes a CPU profile of the run, or of one server if that is not "".
func (c *Client) Profile(ctx context.Context, server string, seconds int) ([]byte, error) {
	return c.read(ctx, http.MethodGet, profileQuery(strconv.Itoa(seconds), server), nil)
}

// Events calls f with each event whose number is above after (0 for all), until the run ends or ctx does.
func (c *Client) Events(ctx context.Context, after int64, f func(EventLine)) error {
	answer, err := c.do(ctx, http.MethodGet, eventsPath+"?after="+strconv.FormatInt(after, 10), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	for lines := json.NewDecoder(answer.Body); ; {
		var line EventLine
		switch err := lines.Decode(&line); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return c.explain(err)
		}
		f(line)
	}
}
