package supervisor

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-200a7251/km/supervisor/internal/life"
	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// open opens a socket of the server, or fails the test.
func open(t *testing.T, s *Server, network, address string) net.Listener {
	t.Helper()
	l, err := s.Socket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // most are closed by then
	return l
}

// dial connects to where a listener is, and says something.
func dial(t *testing.T, a net.Addr, text string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout(a.Network(), a.String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c
}

// heard accepts a client, and checks what it says.
func heard(t *testing.T, l net.Listener, want string) {
	t.Helper()
	_ = l.(interface{ SetDeadline(time.Time) error }).SetDeadline(time.Now().Add(patience))
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("the client said %q, want %q (error: %v)", got, want, err)
	}
}

// refused checks that nobody listens there.
func refused(t *testing.T, a net.Addr) {
	t.Helper()
	c, err := net.DialTimeout(a.Network(), a.String(), patience)
	if err == nil {
		_ = c.Close()
		t.Errorf("somebody listens at %v", a)
	}
}

// places are what a server may listen on, by network.
func places(t *testing.T) map[string]string {
	if !system.CanShareSockets {
		t.Skip("sockets cannot be shared here")
	}
	return map[string]string{"tcp": anyPort(0), "unix": filepath.Join(t.TempDir(), "hk.sock")}
}

// Several listeners are on one socket, one after the other or at once.
func TestSocketHasSeveralListeners(t *testing.T) {
	for network, address := range places(t) {
		t.Run(network, func(t *testing.T) {
			s := &Server{SimpleUsage: "db"}
			defer s.at().sockets.Close()
			first, second := open(t, s, network, address), open(t, s, network, address)
			if first.Addr().String() != second.Addr().String() {
				t.Fatalf("they are at %v and %v", first.Addr(), second.Addr())
			}
			dial(t, first.Addr(), "one")
			heard(t, first, "one")
			dial(t, first.Addr(), "two")
			heard(t, second, "two")
			_ = first.Close()
			dial(t, first.Addr(), "three")
			heard(t, second, "three")
		})
	}
}

// A client that comes while the server is restarted is served by the next start.
func TestClientBetweenTwoListeners(t *testing.T) {
	for network, address := range places(t) {
		t.Run(network, func(t *testing.T) {
			s := &Server{SimpleUsage: "db"}
			defer s.at().sockets.Close()
			first := open(t, s, network, address)
			addr := first.Addr()
			for range 3 {
				_ = first.Close()
				dial(t, addr, "patience")
				first = open(t, s, network, address)
				if first.Addr().String() != addr.String() {
					t.Fatalf("it is at %v now, and was at %v", first.Addr(), addr)
				}
				heard(t, first, "patience")
			}
		})
	}
}

// A listener that is in use when another one is made ends when it is closed: a server stops by that.
func TestListenerCanBeClosedBesideOthers(t *testing.T) {
	for network, address := range places(t) {
		t.Run(network, func(t *testing.T) {
			s := &Server{SimpleUsage: "db"}
			defer s.at().sockets.Close()
			stop := make(chan struct{})
			var others sync.WaitGroup
			others.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					l, err := s.Socket(network, address)
					if err != nil {
						t.Error(err)
						return
					}
					_ = l.Close()
				}
			})
			defer others.Wait()
			defer close(stop)
			for n := range 1000 { // to be seen in each order
				l := open(t, s, network, address)
				begun, accepted := make(chan struct{}), make(chan error, 1)
				go func() {
					for range n % 50 {
						runtime.Gosched()
					}
					close(begun)
					_, err := l.Accept()
					accepted <- err
				}()
				receive(t, "the goroutine that accepts", begun)
				runtime.Gosched()
				go l.Close()
				if err := receive(t, "the end of Accept", accepted); !errors.Is(err, net.ErrClosed) {
					t.Fatalf("error %v", err)
				}
			}
		})
	}
}

// When the server has ended, nobody is kept waiting; when it starts again, it is where it was.
func TestClosedSocketOpensAtTheSamePlace(t *testing.T) {
	for network, address := range places(t) {
		t.Run(network, func(t *testing.T) {
			s := &Server{SimpleUsage: "db"}
			l := open(t, s, network, address)
			addr := l.Addr()
			_ = l.Close()
			s.at().sockets.Close()
			refused(t, addr)
			if network == "unix" {
				if _, err := os.Stat(address); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("the socket's file is still there: %v", err)
				}
			}
			s.at().sockets.Close() // once is enough
			l = open(t, s, network, address)
			defer s.at().sockets.Close()
			if l.Addr().String() != addr.String() {
				t.Errorf("it is at %v now, and was at %v", l.Addr(), addr)
			}
			dial(t, addr, "back")
			heard(t, l, "back")
		})
	}
}

// What is open when the sockets are closed goes on: a server that was left behind may still be using it.
func TestListenerOutlivesTheSocket(t *testing.T) {
	s := &Server{SimpleUsage: "db"}
	l := open(t, s, "tcp", places(t)["tcp"])
	s.at().sockets.Close()
	dial(t, l.Addr(), "still")
	heard(t, l, "still")
}

func TestSocketThatIsTaken(t *testing.T) {
	for network, address := range places(t) {
		t.Run(network, func(t *testing.T) {
			other, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			addr := other.Addr()
			s := &Server{SimpleUsage: "db"}
			if l, err := s.Socket(network, addr.String()); !errors.Is(err, syscall.EADDRINUSE) {
				t.Fatalf("%v, %v", l, err)
			}
			s.at().sockets.Close() // nothing to close
			_ = other.Close()
			l := open(t, s, network, addr.String())
			_ = l.Close()
			s.at().sockets.Close()

			// While the server was stopped, somebody else took its place.
			if other, err = net.Listen(network, addr.String()); err != nil {
				t.Fatal(err)
			}
			if l, err := s.Socket(network, addr.String()); !errors.Is(err, syscall.EADDRINUSE) {
				t.Fatalf("%v, %v", l, err)
			}
			_ = other.Close()
			open(t, s, network, addr.String())
			s.at().sockets.Close()
		})
	}
}

func TestSocketsOfOneServer(t *testing.T) {
	s := &Server{SimpleUsage: "db"}
	places(t)
	defer s.at().sockets.Close()
	one, any, again := open(t, s, "tcp", anyPort(0)), open(t, s, "tcp", anyPort(1)), open(t, s, "tcp", anyPort(0))
	if one.Addr().String() == any.Addr().String() || one.Addr().String() != again.Addr().String() {
		t.Errorf("they are at %v, %v and %v", one.Addr(), any.Addr(), again.Addr())
	}
	if _, err := s.Socket("tcp", "127.0.0.1:no-port"); err == nil {
		t.Error("there is no error")
	}
	if _, err := s.Socket("udp", anyPort(0)); err == nil {
		t.Error("there is no error")
	}
	other := &Server{SimpleUsage: "api"}
	defer other.at().sockets.Close()
	if l := open(t, other, "tcp", anyPort(0)); l.Addr().String() == one.Addr().String() {
		t.Error("two servers have one socket")
	}
}

// Sockets are opened by several goroutines of a server.
func TestSocketsAtOnce(t *testing.T) {
	places(t)
	s := &Server{SimpleUsage: "db"}
	defer s.at().sockets.Close()
	var all sync.WaitGroup
	addresses := make([]string, 10)
	for i := range addresses {
		all.Go(func() {
			l, err := s.Socket("tcp", anyPort(0))
			if err != nil {
				t.Error(err)
				return
			}
			addresses[i] = l.Addr().String()
			_ = l.Close()
		})
	}
	all.Wait()
	for _, a := range addresses {
		if a != addresses[0] {
			t.Errorf("they are at %v", addresses)
			break
		}
	}
}

// A server that is run keeps its port over failures and restarts, and the clients that come meanwhile. It leaves it
// when it has been stopped, and gets it back.
func TestSocketOfARunningServer(t *testing.T) {
	places(t)
	fail, listening := make(chan error), make(chan struct{}, 1)
	db := &Server{SimpleUsage: "db"}
	db.Run = func(ctx context.Context, s *Server, _ []string) error {
		l, err := s.Socket("tcp", anyPort(0))
		if err != nil {
			return err
		}
		listening <- struct{}{}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, "hello")
				_ = c.Close()
			}
		}()
		defer l.Close()
		select {
		case err := <-fail:
			return err
		case <-ctx.Done():
			return nil
		}
	}
	db.Ready = func(ctx context.Context, _ *Server) error {
		select {
		case <-listening:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	l := open(t, db, "tcp", anyPort(0)) // as Listen does
	addr := l.Addr()
	_ = l.Close()
	hello := func(c net.Conn) {
		t.Helper()
		_ = c.SetDeadline(time.Now().Add(patience))
		if text, err := io.ReadAll(c); err != nil || string(text) != "hello" {
			t.Errorf("the server says %q, %v", text, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	g := newGroup([]*Server{db})
	signals, ended := make(chan os.Signal, 1), make(chan error, 1)
	early := dial(t, addr, "")
	go func() { ended <- g.Run(signals) }()
	hello(early)
	// What Run has sent is for the Ready beside it, not for one of a later start.
	g.Find("db").Await(ctx, Ready)
	request := func(what life.Verb) {
		t.Helper()
		r, err := g.Ask(what, nil, "db")
		if err == nil {
			err = r.Wait(ctx)
		}
		if err != nil {
			t.Error(err)
		}
	}
	request(life.Restart)
	hello(dial(t, addr, ""))

	fail <- errors.New("boom")
	g.Find("db").Await(ctx, Backoff)
	waiting := dial(t, addr, "")
	request(life.Start) // no need to wait for the pause
	hello(waiting)

	request(life.Stop)
	eventually(t, "the socket is closed", func() bool { return !db.at().sockets.IsOpen() })
	refused(t, addr)
	request(life.Start)
	hello(dial(t, addr, ""))
	signals <- syscall.SIGTERM
	if err := receive(t, "the end of the run", ended); err != nil {
		t.Error(err)
	}
	refused(t, addr)
	close(signals)
}

// A client that connects during a restart that somebody has asked for is served by the next Run. It is not refused.
func TestClientDuringARestart(t *testing.T) {
	places(t)
	var addr net.Addr
	db := &Server{SimpleUsage: "db"}
	db.Listen = func(_ *Plan, s *Server) error {
		l, err := s.Socket("tcp", anyPort(0))
		if err != nil {
			return err
		}
		addr = l.Addr()
		return l.Close()
	}
	builds, between := 0, make(chan net.Conn, 1)
	db.Build = func(context.Context, *Server) error {
		if builds++; builds != 2 {
			return nil
		}
		c, err := net.Dial(addr.Network(), addr.String())
		if err == nil {
			between <- c
		}
		return err
	}
	db.Run = func(ctx context.Context, s *Server, _ []string) error {
		l, err := s.Socket("tcp", anyPort(0))
		if err != nil {
			return err
		}
		defer context.AfterFunc(ctx, func() { _ = l.Close() })()
		for {
			c, err := l.Accept()
			if err != nil {
				return nil
			}
			_, _ = io.WriteString(c, "hello")
			_ = c.Close()
		}
	}
	s := serve(t, db)
	s.await("db", Ready)
	if a := s.send("POST", "/v1/servers/db/restart", ""); a.code != 200 {
		t.Fatalf("code %d: %s", a.code, a.text)
	}
	c := receive(t, "the client", between)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if text, err := io.ReadAll(c); err != nil || string(text) != "hello" {
		t.Errorf("the server says %q, %v", text, err)
	}
}
