package machine

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// patience is what bounds a test that hangs.
const patience = 20 * time.Second

// backend accepts connections, as an apiserver does.
type backend struct {
	t *testing.T
	net.Listener
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &backend{t, l}
}

func (b *backend) address() string { return b.Addr().String() }

func (b *backend) accept() net.Conn {
	b.t.Helper()
	conn, err := b.Accept()
	if err != nil {
		b.t.Fatal(err)
	}
	return bounded(b.t, conn)
}

func bounded(t *testing.T, conn net.Conn) net.Conn {
	t.Helper()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// balancing has a balancer run for the length of a test.
type balancing struct {
	t *testing.T
	*balancer
	address string
	logs    *observer.ObservedLogs
	stop    func() // and waits until nothing runs any more
}

func balance(t *testing.T, servers ...string) *balancing {
	t.Helper()
	before := goleak.IgnoreCurrent()
	core, logs := observer.New(zapcore.InfoLevel)
	b := &balancing{t: t, balancer: newBalancer(servers, zap.New(core)), logs: logs}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.address = listener.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.serve(ctx, listener) }()
	stopped := false
	b.stop = func() {
		cancel()
		if stopped {
			return
		}
		stopped = true
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Fatal("it goes on")
		}
		goleak.VerifyNone(t, before)
	}
	t.Cleanup(b.stop)
	return b
}

func (b *balancing) dialIt() net.Conn {
	b.t.Helper()
	conn, err := net.Dial("tcp", b.address)
	if err != nil {
		b.t.Fatal(err)
	}
	return bounded(b.t, conn)
}

// says sends something from one end to the other.
func says(t *testing.T, from, to net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(from, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(to, got); err != nil || string(got) != text {
		t.Fatalf("%q arrives as %q, %v", text, got, err)
	}
}

// ends waits until a connection has been closed by its other end.
func ends(t *testing.T, conn net.Conn) {
	t.Helper()
	_, err := conn.Read(make([]byte, 1))
	if timeout, ok := errors.AsType[net.Error](err); err == nil || ok && timeout.Timeout() {
		t.Errorf("the connection has not ended: %v", err)
	}
}

// Bytes go both ways, for each connection by itself.
func TestBalancerPasses(t *testing.T) {
	server := newBackend(t)
	b := balance(t, server.address())
	one := b.dialIt()
	oneThere := server.accept()
	two := b.dialIt()
	twoThere := server.accept()
	says(t, one, oneThere, "a")
	says(t, two, twoThere, "b")
	says(t, twoThere, two, "c")
	says(t, oneThere, one, strings.Repeat("d", 1<<16))
	_ = two.Close()
	ends(t, twoThere)
	says(t, oneThere, one, "e")
	b.stop()
	ends(t, one)
	ends(t, oneThere)
	if _, err := net.Dial("tcp", b.address); err == nil {
		t.Error("it listens after its end")
	}
}

// When one side has nothing more to send, the connection ends for both: HTTP needs both ways.
func TestBalancerEndsBoth(t *testing.T) {
	server := newBackend(t)
	b := balance(t, server.address())
	for _, fromClient := range []bool{true, false} {
		client := b.dialIt()
		there := server.accept()
		half := there
		if fromClient {
			half = client
		}
		if err := half.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		ends(t, client)
		ends(t, there)
	}
}

// Where one apiserver does not accept, the next one is taken, and is the first from then on.
func TestBalancerMovesOn(t *testing.T) {
	gone, second, third := newBackend(t), newBackend(t), newBackend(t)
	_ = gone.Close()
	b := balance(t, gone.address(), second.address(), third.address())
	client := b.dialIt()
	says(t, client, second.accept(), "a")
	if want := []string{second.address(), gone.address(), third.address()}; !slices.Equal(b.known(), want) {
		t.Errorf("%q, want %q", b.known(), want)
	}
	_ = second.Close()
	says(t, b.dialIt(), third.accept(), "b")
	if want := []string{third.address(), second.address(), gone.address()}; !slices.Equal(b.known(), want) {
		t.Errorf("%q, want %q", b.known(), want)
	}
	_ = third.Close()
	ends(t, b.dialIt())
	b.stop()
	if n := b.logs.FilterMessage("a connection cannot be passed on").Len(); n != 1 {
		t.Errorf("%d lines are logged: %v", n, b.logs.All())
	}
}

// That which answers stays the first, whatever else there is to learn.
func TestBalancerLearns(t *testing.T) {
	b := newBalancer([]string{"a", "b", "c"}, zap.NewNop())
	b.prefer("b")
	b.prefer("unknown")
	for _, step := range []struct {
		servers string
		changed bool
		want    string
	}{
		{"a b c", false, "b a c"},
		{"c b a", false, "b a c"},
		{"d a b", true, "b a d"},
		{"a d e", true, "a d e"},
		{"e", true, "e"},
		{"e", false, "e"},
	} {
		if changed := b.learn(strings.Fields(step.servers)); changed != step.changed {
			t.Errorf("%s: changed: %v", step.servers, changed)
		}
		if got := strings.Join(b.known(), " "); got != step.want {
			t.Errorf("%s: %s, want %s", step.servers, got, step.want)
		}
	}
	known := b.known()
	known[0] = "mine"
	if b.known()[0] != "e" {
		t.Error("others can change what it knows")
	}
}
