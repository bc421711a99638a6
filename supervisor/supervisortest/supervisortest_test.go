package supervisortest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/seed-200a7251/km/supervisor"
	"github.com/seed-200a7251/km/supervisor/supervisortest"
)

// shop is a binary of a web server that needs a database.
func shop() *supervisor.HyperKube {
	db := &supervisor.Server{SimpleUsage: "db", Run: func(ctx context.Context, _ *supervisor.Server, _ []string) error {
		<-ctx.Done()
		return nil
	}}
	web := &supervisor.Server{SimpleUsage: "web", Needs: []supervisor.Need{{Server: "db"}}, Ports: []supervisor.Port{{AddressFlag: "listen"}},
		Run: func(ctx context.Context, s *supervisor.Server, _ []string) error {
			return s.ServeHTTP(ctx, "listen", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
		}}
	web.Flags().String("listen", "127.0.0.1:0", "address to listen on")
	hk := &supervisor.HyperKube{Name: "shop"}
	hk.AddServer(db)
	hk.AddServer(web)
	return hk
}

// A selection is started, a failure is injected, and the server that had it comes back at the same address.
func TestStart(t *testing.T) {
	t.Parallel()
	r := supervisortest.Start(t, shop(), "web") // db joins
	address := r.Address("web")
	r.Fail("web", errors.New("out of ink"))
	r.Await("web", supervisor.Ready)
	answer, err := http.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); string(text) != "hello" || err != nil {
		t.Errorf("%s answers %q, %v", address, text, err)
	}
	r.StopServers("db")
	r.Await("web", supervisor.Stopped)
	r.StartServers("web")
	r.RestartServers("db")
	want := []supervisor.State{supervisor.Starting, supervisor.Ready, supervisor.Stopping, supervisor.Stopped, supervisor.Waiting,
		supervisor.Starting, supervisor.Ready, supervisor.Stopping, supervisor.Stopped, supervisor.Waiting, supervisor.Starting, supervisor.Ready}
	if got := r.States("db"); !slices.Equal(got, want) {
		t.Errorf("db has been %v, want %v", got, want)
	}
}

// A failure for good is what a test can be about.
func TestFailsForGood(t *testing.T) {
	t.Parallel()
	for range 10 {
		r := supervisortest.Start(t, shop())
		r.Fail("db", supervisor.Permanent(errors.New("out of ink")))
		r.Await("web", supervisor.Stopped)
		if err := r.Stop(); err == nil || err.Error() != "db failed: out of ink" {
			t.Errorf("the run has ended with %v", err)
		}
		r.Await("db", supervisor.Failed)
	}
}

// In a bubble the pauses between failures cost no time, and are as long as they are said to be.
func TestBubble(t *testing.T) {
	var failing chan error
	build := func() *supervisor.HyperKube {
		failing = make(chan error)
		db := &supervisor.Server{SimpleUsage: "db", Run: func(ctx context.Context, _ *supervisor.Server, _ []string) error {
			select {
			case err := <-failing:
				return err
			case <-ctx.Done():
				return nil
			}
		}}
		hk := &supervisor.HyperKube{Name: "shop"}
		hk.AddServer(db)
		return hk
	}
	supervisortest.Bubble(t, build, func(t *testing.T, r *supervisortest.Run) {
		for range 3 {
			begin := time.Now()
			failing <- errors.New("out of ink")
			r.Await("db", supervisor.Backoff)
			r.Await("db", supervisor.Ready)
			if pause := time.Since(begin); pause < 48*time.Minute || pause > 72*time.Minute {
				t.Errorf("a pause of %v, want an hour", pause)
			}
			time.Sleep(25 * time.Hour) // failures are forgotten
		}
	}, "--db.restart-pause=1h", "--db.restart-window=24h")
}
