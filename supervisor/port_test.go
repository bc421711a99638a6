package supervisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// web is a server of HTTP with one port. What it answers with is the test's.
func web(name, address string, handler http.HandlerFunc) *Server {
	s := &Server{SimpleUsage: name, Ports: []Port{{AddressFlag: "listen"}},
		Run: func(ctx context.Context, s *Server, _ []string) error { return s.ServeHTTP(ctx, "listen", handler) }}
	s.Flags().String("listen", address, "address to listen on")
	return s
}

func hello(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }

// get asks an address of HTTP.
func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	a, err := client.Get(url)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		t.Error(err)
	}
	return a.StatusCode, string(text)
}

// A server of HTTP is ready when it serves, says where, and keeps its port through a restart.
func TestServeHTTP(t *testing.T) {
	s := serve(t, web("web", "127.0.0.1:0", hello))
	s.await("web", Ready)
	address := s.g.Find("web").Status().Address
	if !strings.HasPrefix(address, "http://127.0.0.1:") || strings.HasSuffix(address, ":0") {
		t.Fatalf("it is at %q", address)
	}
	if flag := s.p.Server("web").Value("listen"); "http://"+flag != address {
		t.Errorf("the flag says %s, and it is at %s", flag, address)
	}
	for range 2 {
		if code, text := get(t, address); code != 200 || text != "hello" {
			t.Errorf("it answers %d %q", code, text)
		}
		if err := s.steer(t.Context(), life.Restart, "web"); err != nil {
			t.Fatal(err)
		}
		if again := s.g.Find("web").Status().Address; again != address {
			t.Errorf("it was at %s, and is at %s", address, again)
		}
	}
}

// A stop waits for what is being answered, and takes nothing new.
func TestServeHTTPDrains(t *testing.T) {
	asked, goOn := make(chan struct{}), make(chan struct{})
	s := serve(t, web("web", "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-goOn
		if err := r.Context().Err(); err != nil {
			t.Errorf("the context of what is being answered has ended: %v", err)
		}
		hello(w, r)
	}))
	s.await("web", Ready)
	answered := make(chan string, 1)
	address := s.g.Find("web").Status().Address
	go func() {
		_, text := get(t, address)
		answered <- text
	}()
	receive(t, "the request", asked)
	stopped := make(chan error, 1)
	go func() { stopped <- s.steer(t.Context(), life.Stop, "web") }()
	s.await("web", Stopping)
	close(goOn)
	if text := receive(t, "the answer", answered); text != "hello" {
		t.Errorf("the answer is %q", text)
	}
	if err := receive(t, "the stop", stopped); err != nil {
		t.Error(err)
	}
}

// A request that does not end is dropped before the grace period is over: the server has not overstayed.
func TestServeHTTPDrops(t *testing.T) {
	usual := drainTime
	t.Cleanup(func() { drainTime = usual })
	drainTime = func(time.Duration) time.Duration { return time.Millisecond }
	asked := make(chan struct{})
	s := serve(t, web("web", "127.0.0.1:0", func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done() // the connection's
	}))
	s.await("web", Ready)
	c, err := net.Dial("tcp", strings.TrimPrefix(s.g.Find("web").Status().Address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: web\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	receive(t, "the request", asked)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(s.p.Path("logs", "web.log"))
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(text), "it has not finished all that it was at")
	if _, err := bufio.NewReader(c).ReadByte(); !errors.Is(err, io.EOF) {
		t.Errorf("the connection is not closed: %v", err)
	}
}

// What is wrong with a port is found before anything starts, with the flag that names another one.
func TestPortsThatCannotBe(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ args, want string }{
		{"web --web.listen=" + taken.Addr().String(),
			"Error: web: port " + port + " of 127.0.0.1 is taken; choose another with --web.listen, or let hk choose with --free-ports"},
		{"web --web.listen=8080", "Error: --web.listen=8080: write HOST:PORT, such as 127.0.0.1:8080"},
		{"web --web.listen=192.0.2.1:0", "Error: web: this machine has no address 192.0.2.1; choose another with --web.listen"},
		{"two --two.port=" + port, "choose another with --two.port, or let hk choose with --free-ports"},
		{"two --two.host=192.0.2.1", "choose another with --two.host"},
		{"two --admin-listen=" + taken.Addr().String(), "Error: hk: port " + port + " of 127.0.0.1 is taken; choose another with --admin-listen\n"},
		{"two --admin-listen=9000", "Error: --admin-listen=9000: write HOST:PORT"},
	} {
		two := &Server{SimpleUsage: "two", Ports: []Port{{HostFlag: "host", PortFlag: "port"}}, Run: idle}
		two.Flags().String("host", "127.0.0.1", "")
		two.Flags().String("port", "0", "")
		out, err := call(newHyperKube(t, web("web", "127.0.0.1:0", hello), two), append([]string{"hk", "run"}, strings.Fields(test.args)...)...)
		wantCode(t, err, 2)
		contains(t, out, test.want)
	}
}

// twoPorts is a server whose two flags, the first of which may be repeated, have these defaults.
func twoPorts(first []string, second string) *Server {
	s := &Server{SimpleUsage: "two", Ports: []Port{{AddressFlag: "first"}, {AddressFlag: "second"}}, MarksReady: true,
		Run: func(ctx context.Context, s *Server, _ []string) error {
			s.MarkReady()
			return idle(ctx, s, nil)
		}}
	s.Flags().StringSlice("first", first, "")
	s.Flags().String("second", second, "")
	return s
}

// Each port of a server is one of its own, also if all of them may be any free one.
func TestSeveralPorts(t *testing.T) {
	for _, args := range [][]string{
		{"--free-ports"},
		{"--two.first=127.0.0.1:0,127.0.0.1:0", "--two.second=127.0.0.1:0"},
	} {
		two := twoPorts([]string{"127.0.0.1:1001", "127.0.0.1:1002"}, "127.0.0.1:1003")
		s := serveArgs(t, newHyperKube(t, two), func(*life.Group) {}, args...)
		for range 2 {
			s.await("two", Ready)
			first, err := two.Listeners("first")
			if err != nil {
				t.Fatal(err)
			}
			second, err := two.Listener("second")
			if err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for _, l := range append(first, second) {
				seen[l.Addr().String()] = true
			}
			if len(seen) != 3 || !seen[two.ListenAddress("first")] || !seen[two.ListenAddress("second")] {
				t.Errorf("%v: it listens at %v, and says %s and %s", args, seen, two.ListenAddress("first"), two.ListenAddress("second"))
			}
			if err := s.steer(t.Context(), life.Restart, "two"); err != nil {
				t.Fatal(err)
			}
		}
	}
	address := freeAddress(t)
	out, err := call(newHyperKube(t, twoPorts([]string{address}, address)), "hk", "run")
	wantCode(t, err, 2)
	contains(t, out, "is taken; choose another with --two.second")
}

// freeAddress is where nobody listens, nor will.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", anyPort(0))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A port that somebody else has taken while the server was stopped is named as it is.
func TestPortTakenMeanwhile(t *testing.T) {
	s := serveArgs(t, newHyperKube(t, web("web", anyPort(0), hello)), func(*life.Group) {})
	s.await("web", Ready)
	address := strings.TrimPrefix(s.g.Find("web").Status().Address, "http://")
	if err := s.steer(t.Context(), life.Stop, "web"); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	err = s.steer(t.Context(), life.Start, "web")
	_, port, _ := net.SplitHostPort(address)
	if err == nil || !strings.Contains(err.Error(), "port "+port+" of "+loopback+" is taken; choose another with --web.listen") ||
		strings.Contains(err.Error(), "--free-ports") {
		t.Errorf("the start fails with %v", err)
	}
	s.signals <- os.Interrupt
	if err := s.ended(); err != nil && !strings.Contains(err.Error(), "is taken") {
		t.Error(err)
	}
}

// With --free-ports a default port is not looked at, and one that the user has given is.
func TestFreePorts(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s := serveArgs(t, newHyperKube(t, web("web", taken.Addr().String(), hello)), func(*life.Group) {}, "--free-ports")
	s.await("web", Ready)
	if _, text := get(t, s.g.Find("web").Status().Address); text != "hello" {
		t.Errorf("it answers %q", text)
	}
	out, err := call(newHyperKube(t, web("web", "127.0.0.1:0", hello)), "hk", "run", "--free-ports", "--web.listen="+taken.Addr().String())
	wantCode(t, err, 2)
	contains(t, out, "is taken")
}

// With a port of 0 some servers do not listen, with --free-ports neither.
func TestPortOfNone(t *testing.T) {
	for _, args := range [][]string{nil, {"--free-ports"}} {
		testPortOfNone(t, args...)
	}
}

func testPortOfNone(t *testing.T, args ...string) {
	db := &Server{SimpleUsage: "db", Ports: []Port{{HostFlag: "host", PortFlag: "port", ZeroIsNone: true}},
		Run: func(ctx context.Context, s *Server, _ []string) error {
			return s.ServeHTTP(ctx, "port", http.NotFoundHandler())
		}}
	db.Flags().String("host", "127.0.0.1", "")
	db.Flags().String("port", "0", "")
	s := serveArgs(t, newHyperKube(t, db), func(*life.Group) {}, args...)
	s.await("db", Ready)
	if l, err := db.Listener("port"); l != nil || err != nil {
		t.Errorf("it listens at %v, %v", l, err)
	}
	if address := s.g.Find("db").Status().Address; strings.Contains(address, ":") {
		t.Errorf("it is said to be at %s", address)
	}
}

// A server that marks itself as ready is not before, in each of its starts.
func TestMarkReady(t *testing.T) {
	mark := make(chan struct{})
	db := &Server{SimpleUsage: "db", MarksReady: true, Run: func(ctx context.Context, s *Server, _ []string) error {
		select {
		case <-mark:
			s.MarkReady()
			s.MarkReady()
		case <-ctx.Done():
		}
		<-ctx.Done()
		return nil
	}}
	s := serve(t, db, steady("api", "db"))
	s.await("db", Starting)
	for range 3 {
		if state := s.g.Find("db").Status().State; state != Starting {
			t.Errorf("db is %v", state)
		}
		mark <- struct{}{}
		s.await("db", Ready)
		s.await("api", Ready)
		if _, err := s.g.Ask(life.Restart, nil, "db"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the next start", func() bool { return s.g.Find("db").Status().State == Starting })
	}
}

// A server that has marked itself as ready, and is done, is done, and has not failed.
func TestMarkReadyAndDone(t *testing.T) {
	for range 20 {
		db := &Server{SimpleUsage: "db", MarksReady: true, Run: func(_ context.Context, s *Server, _ []string) error {
			s.MarkReady()
			return nil
		}}
		out, err := call(newHyperKube(t, db), "hk", "run", "--data-dir="+t.TempDir())
		if err != nil || strings.Contains(out, "before it was ready") {
			t.Fatalf("%v\n%s", err, out)
		}
	}
}

// A mark that comes too late is not for the next start.
func TestMarkReadyTooLate(t *testing.T) {
	starts := 0
	db := &Server{SimpleUsage: "db", MarksReady: true, RestartLimits: RestartLimits{Pause: time.Millisecond, Failures: 3}, Run: func(ctx context.Context, s *Server, _ []string) error {
		if starts++; starts == 1 {
			s.Cleanup(s.MarkReady)
			return errors.New("out of ink")
		}
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond): // for a mark that is there
		}
		return errors.New("out of paper")
	}}
	out, err := call(newHyperKube(t, db), "hk", "run", "--data-dir="+t.TempDir())
	wantCode(t, err, 1)
	if contains(t, out, "out of paper"); strings.Contains(out, "ready") {
		t.Errorf("it has been ready:\n%s", out)
	}
}

// What has Serve and a graceful stop, such as a server of gRPC, is served as HTTP is.
func TestServe(t *testing.T) {
	graceful := false
	var listener net.Listener
	db := &Server{SimpleUsage: "db", Ports: []Port{{AddressFlag: "listen"}}, Run: func(ctx context.Context, s *Server, _ []string) error {
		return s.Serve(ctx, "listen", func(l net.Listener) error {
			listener = l
			for {
				c, err := l.Accept()
				if err != nil {
					return err
				}
				_, _ = io.WriteString(c, "hello")
				_ = c.Close()
			}
		}, func(context.Context) error {
			graceful = true
			return listener.Close()
		})
	}}
	db.Flags().String("listen", "127.0.0.1:0", "")
	s := serve(t, db)
	s.await("db", Ready)
	c, err := net.Dial("tcp", s.g.Find("db").Status().Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if text, err := io.ReadAll(c); string(text) != "hello" || err != nil {
		t.Errorf("it says %q, %v", text, err)
	}
	if err := s.stop(); err != nil || !graceful {
		t.Errorf("stopped gracefully: %v, %v", graceful, err)
	}
}

// That serving ends by itself is a failure.
func TestServeThatEnds(t *testing.T) {
	for _, end := range []error{nil, errors.New("out of ink")} {
		db := &Server{SimpleUsage: "db", Restart: RestartNever, Ports: []Port{{AddressFlag: "listen"}}, Run: func(ctx context.Context, s *Server, _ []string) error {
			return s.Serve(ctx, "listen", func(net.Listener) error { return end }, func(context.Context) error { return nil })
		}}
		db.Flags().String("listen", "127.0.0.1:0", "")
		out, err := call(newHyperKube(t, db), "hk", "run", "db")
		wantCode(t, err, 1)
		want := "db failed: it does not serve any more"
		if end != nil {
			want = "db failed: out of ink"
		}
		contains(t, out, want)
	}
}

// When one of several ends, the others are ended, too, and what is being answered is told.
func TestServeEndsAll(t *testing.T) {
	fail, ended, told := make(chan error), make(chan struct{}, 2), make(chan error, 1)
	s := twoPorts([]string{"127.0.0.1:0", "127.0.0.1:0"}, "127.0.0.1:0")
	s.Restart = RestartNever
	s.Run = func(ctx context.Context, s *Server, _ []string) error {
		var all atomic.Int32
		return s.Serve(ctx, "first", func(l net.Listener) error {
			defer func() { ended <- struct{}{} }()
			if all.Add(1) == 1 {
				return <-fail
			}
			_, err := l.Accept()
			return err
		}, func(ctx context.Context) error {
			told <- ctx.Err()
			return nil
		})
	}
	r := serve(t, s)
	r.await("two", Ready)
	fail <- errors.New("out of ink")
	for range 2 {
		receive(t, "an end", ended)
	}
	if err := receive(t, "the stop", told); err == nil {
		t.Error("stop is given time")
	}
	if err := r.ended(); err == nil || !strings.Contains(err.Error(), "out of ink") {
		t.Errorf("the run has ended with %v", err)
	}
}

// A stop that does not end what serves is helped: the listener is closed.
func TestServeStopDoesNothing(t *testing.T) {
	db := &Server{SimpleUsage: "db", Ports: []Port{{AddressFlag: "listen"}}, Run: func(ctx context.Context, s *Server, _ []string) error {
		return s.Serve(ctx, "listen", func(l net.Listener) error {
			_, err := l.Accept()
			return err
		}, func(context.Context) error { return nil })
	}}
	db.Flags().String("listen", "127.0.0.1:0", "")
	s := serve(t, db)
	s.await("db", Ready)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// A server that is called alone listens, too.
func TestPortsAlone(t *testing.T) {
	guard(t)
	asked := make(chan struct{})
	s := web("web", "127.0.0.1:0", hello)
	run := s.Run
	s.Run = func(ctx context.Context, s *Server, args []string) error {
		ctx, cancel := context.WithCancel(ctx)
		go func() {
			defer close(asked)
			defer cancel()
			if _, text := get(t, "http://"+s.ListenAddress("listen")); text != "hello" {
				t.Errorf("it answers %q", text)
			}
		}()
		return run(ctx, s, args)
	}
	out, err := call(newHyperKube(t, s), "hk", "web")
	if err != nil {
		t.Error(err, out)
	}
	receive(t, "the question", asked)
}

// What is wrong with the port of a server that is called alone is told with the flag as it is there.
func TestPortsAloneThatCannotBe(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := strings.TrimPrefix(taken.Addr().String(), "127.0.0.1:")
	for _, test := range []struct{ arg, want string }{
		{"--listen=" + taken.Addr().String(), "Error: web: port " + port + " of 127.0.0.1 is taken; choose another with --listen\n"},
		{"--listen=8080", "Error: web: --listen=8080: write HOST:PORT"},
	} {
		out, err := call(newHyperKube(t, web("web", "127.0.0.1:0", hello)), "hk", "web", test.arg)
		wantCode(t, err, 1)
		contains(t, out, test.want)
	}
	// One that opens its port itself is not in its own way.
	own := &Server{SimpleUsage: "own", Ports: []Port{{AddressFlag: "listen"}}, Run: func(_ context.Context, s *Server, _ []string) error {
		s.CloseSockets()
		return nil
	}}
	own.Flags().String("listen", taken.Addr().String(), "")
	if out, err := call(newHyperKube(t, own), "hk", "own"); err != nil {
		t.Error(err, out)
	}
}

// With --admin-listen health and metrics can be asked for over TCP, and nothing else.
func TestAdminListen(t *testing.T) {
	s := serveArgs(t, newHyperKube(t, steady("db")), func(*life.Group) {}, "--admin-listen=127.0.0.1:0")
	s.await("db", Ready)
	address := "http://" + s.p.run.public.Addr().String()
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ok", "/readyz/db": "ok", "/metrics": "hk_server_state{"} {
		if code, text := get(t, address+path); code != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %.100q", path, code, text)
		}
	}
	for _, path := range []string{"/v1/status", "/v1/events", "/debug/pprof/", "/"} {
		if code, text := get(t, address+path); code != 404 || !strings.Contains(text, "/healthz is where to begin") {
			t.Errorf("%s: %d %.100q", path, code, text)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", strings.TrimPrefix(address, "http://")); err == nil {
		_ = c.Close()
		t.Error("it is open after the end")
	}
}

// A wrong --admin-listen is found with all else that is wrong, and a port that is taken before anything is written.
func TestAdminListenWrong(t *testing.T) {
	out, err := call(newHyperKube(t, web("web", "127.0.0.1:0", hello)), "hk", "run", "--admin-listen=9000", "--web.listen=8080", "--log-level=loud")
	wantCode(t, err, 2)
	contains(t, out, "--admin-listen=9000: write HOST:PORT", "--log-level: ", "--web.listen=8080: write HOST:PORT")
	file := filepath.Join(t.TempDir(), "hk.yaml")
	if err := os.WriteFile(file, []byte("admin-listen: '9000'\nweb:\n  listen: '8080'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err = call(newHyperKube(t, web("web", "127.0.0.1:0", hello)), "hk", "config", "check", file)
	wantCode(t, err, 2)
	contains(t, out, "write HOST:PORT, such as 127.0.0.1:9000", "write HOST:PORT, such as 127.0.0.1:8080")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	_, err = call(newHyperKube(t, steady("db")), "hk", "run", "--admin-listen="+taken.Addr().String(), "--data-dir="+dir)
	wantCode(t, err, 2)
	if _, err := os.Stat(filepath.Join(dir, "logs")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("logs have been written: %v", err)
	}
}

// The author is told of a Port without a flag, however the server is called.
func TestPortWithoutFlag(t *testing.T) {
	for _, port := range []Port{{AddressFlag: "lsiten"}, {}} {
		for _, args := range []string{"hk web", "hk run web"} {
			s := web("web", "127.0.0.1:0", hello)
			s.Ports = []Port{port}
			func() {
				defer func() {
					if v := fmt.Sprint(recover()); !strings.Contains(v, `supervisor: server "web"`) {
						t.Errorf("%v: %s panics with %s", port, args, v)
					}
				}()
				_, _ = call(newHyperKube(t, s), strings.Fields(args)...)
			}()
		}
	}
}

// Limits of restarts are the author's, or the user's.
func TestLimitsOfRestarts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		limits RestartLimits
		args   []string
		starts int
	}{
		{RestartLimits{Failures: 2, Pause: time.Millisecond}, nil, 2},
		{RestartLimits{Failures: 2, Pause: time.Hour}, []string{"--db.restart-limit=3", "--db.restart-pause=1ms"}, 3},
	} {
		starts := 0
		db := &Server{SimpleUsage: "db", RestartLimits: test.limits, Run: func(context.Context, *Server, []string) error {
			starts++
			return errors.New("out of ink")
		}}
		hk := &HyperKube{Name: "hk"}
		hk.AddServer(db)
		out, err := call(hk, append([]string{"hk", "run", "--data-dir=" + t.TempDir()}, test.args...)...)
		wantCode(t, err, 1)
		contains(t, out, fmt.Sprintf("db failed: out of ink (it has failed %d times within 1m0s)", test.starts))
		if starts != test.starts {
			t.Errorf("%d starts, want %d", starts, test.starts)
		}
	}
	hk := &HyperKube{Name: "hk"}
	hk.AddServer(steady("db"))
	out, err := call(hk, "hk", "run", "--data-dir="+t.TempDir(), "--db.restart-limit=0")
	wantCode(t, err, 2)
	contains(t, out, "--db.restart-limit=0, --db.restart-window=1m0s, --db.restart-pause=200ms: use numbers above 0")
}

// Who listens at all addresses answers at each.
func TestAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "", "0.0.0.0"} {
		if !answers(hostPort{host, port}) {
			t.Errorf("nobody answers at %q", host)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if answers(hostPort{"127.0.0.1", port}) {
		t.Error("somebody answers who has gone")
	}
}
