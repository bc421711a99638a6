package supervisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-200a7251/km/supervisor/internal/life"
)

// web is a server of HTTP with one port. What it answers with is the test's.
func web(name, address string, handler http.HandlerFunc) *Server {
	s := &Server{SimpleUsage: name, Ports: []Port{{Address: "listen"}},
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
		two := &Server{SimpleUsage: "two", Ports: []Port{{Host: "host", Port: "port"}}, Run: idle}
		two.Flags().String("host", "127.0.0.1", "")
		two.Flags().String("port", "0", "")
		out, err := call(newHyperKube(t, web("web", "127.0.0.1:0", hello), two), append([]string{"hk", "run"}, strings.Fields(test.args)...)...)
		wantCode(t, err, 2)
		contains(t, out, test.want)
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

// With a port of 0 some servers do not listen.
func TestPortOfNone(t *testing.T) {
	db := &Server{SimpleUsage: "db", Ports: []Port{{Host: "host", Port: "port", ZeroIsNone: true}},
		Run: func(ctx context.Context, s *Server, _ []string) error {
			return s.ServeHTTP(ctx, "port", http.NotFoundHandler())
		}}
	db.Flags().String("host", "127.0.0.1", "")
	db.Flags().String("port", "0", "")
	s := serve(t, db)
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

// What has Serve and a graceful stop, such as a server of gRPC, is served as HTTP is.
func TestServe(t *testing.T) {
	graceful := false
	var listener net.Listener
	db := &Server{SimpleUsage: "db", Ports: []Port{{Address: "listen"}}, Run: func(ctx context.Context, s *Server, _ []string) error {
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
		db := &Server{SimpleUsage: "db", Restart: RestartNever, Ports: []Port{{Address: "listen"}}, Run: func(ctx context.Context, s *Server, _ []string) error {
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
			if _, text := get(t, "http://"+s.Value("listen")); text != "hello" {
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

// With --admin-listen health and metrics can be asked for over TCP, and nothing else.
func TestAdminListen(t *testing.T) {
	s := serveArgs(t, newHyperKube(t, steady("db")), func(*life.Group) {}, "--admin-listen=127.0.0.1:0")
	s.await("db", Ready)
	address := "http://" + s.p.run.socket.tcp.Addr().String()
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

// Limits of restarts are the author's, or the user's.
func TestLimitsOfRestarts(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		limits Limits
		args   []string
		starts int
	}{
		{Limits{Failures: 2, Pause: time.Millisecond}, nil, 2},
		{Limits{Failures: 2, Pause: time.Hour}, []string{"--db.restart-limit=3", "--db.restart-pause=1ms"}, 3},
	} {
		starts := 0
		db := &Server{SimpleUsage: "db", Limits: test.limits, Run: func(context.Context, *Server, []string) error {
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
