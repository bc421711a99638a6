package supervisor

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// While a server that it needs is away, a server's lines are not shown; the file has them.
func TestQuietInARun(t *testing.T) {
	var out lockedBuffer
	complained := make(chan struct{})
	// What is shown says which events have been read by all.
	shown := func(ctx context.Context, what string, times int) {
		for ctx.Err() == nil && strings.Count(out.String(), what) < times {
			time.Sleep(time.Millisecond)
		}
	}
	up := make(chan struct{})
	starts, start := 0, make(chan int, 1)
	db := &Server{SimpleUsage: "db",
		Run: func(ctx context.Context, _ *Server, _ []string) error {
			starts++
			start <- starts
			switch starts {
			case 1:
				<-up
				return errors.New("first")
			case 2:
				return errors.New("second")
			}
			<-ctx.Done()
			return nil
		},
		Ready: func(ctx context.Context, _ *Server) error {
			switch <-start {
			case 1:
				return nil
			case 2:
				<-ctx.Done()
			default:
				select {
				case <-complained:
				case <-ctx.Done():
				}
			}
			return ctx.Err()
		}}
	api := steady("api", "db")
	api.Restart = RestartNever
	api.Run = func(ctx context.Context, s *Server, _ []string) error {
		shown(ctx, "api  ready", 1)
		close(up)
		shown(ctx, "  second  (starts again", 1)
		s.Logger().Warn("where is db?")
		close(complained)
		<-ctx.Done()
		return nil
	}
	hk := newHyperKube(t, db, api, &Server{SimpleUsage: "end", Restart: RestartNever, Run: func(ctx context.Context, _ *Server, _ []string) error {
		shown(ctx, "db   ready", 2)
		return errors.New("that is all")
	}})
	hk.SetOut(&out)
	err := hk.Run([]string{"hk", "run"})
	wantCode(t, err, 1)
	lacks(t, out.String(), "where is db?")
	text, err := os.ReadFile(os.Getenv("XDG_STATE_HOME") + "/hk/hk/logs/api.log")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(text), "where is db?")
}
