package supervisor

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/supervisor/errno"
	"github.com/seed-200a7251/km/supervisor/internal/system"
)

// Port is where a server listens with TCP, as its flags say: one flag with HOST:PORT, or several of these if it may be
// repeated; or two flags, one with the host and one with the port. The names are without the server's.
//
// The framework opens the sockets, after the server's own Listen. A port that is taken, or not for this user, is found
// before anything is written, and the error names the flag for another one. With --free-ports a port that the user has
// not given is any free one, and so is a port of 0; the flag then has the real port, unless the user has given it. The
// sockets stay open while the server starts again. Server.Listener has listeners on them, and Server.ListenAddress is
// where they are.
type Port struct {
	// AddressFlag is the name of a flag with HOST:PORT.
	AddressFlag string
	// HostFlag and PortFlag are the names of two flags, where there is none with both.
	HostFlag, PortFlag string
	// Scheme is what stands before the address where it is shown, such as "https://". With ServeHTTP that is "http://"
	// anyway.
	Scheme string
	// ZeroIsNone says that with a port of 0 the server does not listen.
	ZeroIsNone bool
}

// name is the flag by which Listener knows it.
func (pt Port) name() string { return cmp.Or(pt.AddressFlag, pt.PortFlag) }

// flags are those that say where the port is, for people.
func (pt Port) flags(s *Server) (host, port string) {
	of := func(flag string) string { return s.flagName(cmp.Or(pt.AddressFlag, flag)) }
	return of(pt.HostFlag), of(pt.PortFlag)
}

// flagName is how a flag of the server is written.
func (s *Server) flagName(flag string) string {
	if s.at().alone {
		return "--" + flag
	}
	return "--" + s.Name() + "." + flag
}

// hostPort is an address of which the port may be a name.
type hostPort struct{ host, port string }

func (a hostPort) String() string { return net.JoinHostPort(a.host, a.port) }

// where returns the addresses that the flags say.
func (pt Port) where(s *Server) (all []hostPort, err error) {
	if pt.AddressFlag == "" {
		return []hostPort{{s.Value(pt.HostFlag), s.Value(pt.PortFlag)}}, nil
	}
	texts := []string{s.Value(pt.AddressFlag)}
	if list, ok := s.Flags().Lookup(pt.AddressFlag).Value.(pflag.SliceValue); ok {
		texts = list.GetSlice()
	}
	for _, text := range texts {
		host, port, err := net.SplitHostPort(text)
		if err != nil {
			return nil, fmt.Errorf("%s=%s: write HOST:PORT, such as 127.0.0.1:8080, or :8080 for all of this machine's addresses",
				s.flagName(pt.AddressFlag), text)
		}
		all = append(all, hostPort{host, port})
	}
	return all, nil
}

// ports are the sockets at the ports of a server.
type ports struct {
	opening sync.Mutex // held by who opens them
	mu      sync.Mutex
	opened  map[string][]openPort // by name of the port
}

// openPort is one of them.
type openPort struct {
	port   Port
	n      int      // of several addresses, from 0 on
	asked  hostPort // as it was asked for
	actual hostPort // with the port that it was given
}

// listen returns a listener. The socket is known by the port's name, too: two ports that may be any free one are two.
func (one openPort) listen(s *Server) (net.Listener, error) {
	return s.at().sockets.Listen(fmt.Sprint(one.port.name(), " ", one.n), "tcp", one.asked.String())
}

// open is listen for the first time.
func (one openPort) open(s *Server) (net.Listener, error) {
	if err := unseen(one.asked); err != nil {
		return nil, err
	}
	return one.listen(s)
}

// unseen is the error about a port that is taken, and that the system would let this process have all the same. macOS
// lets a process listen at an address beside another one that listens at all of them with the same port: there it is
// tried whether somebody answers.
func unseen(asked hostPort) error {
	if runtime.GOOS == "darwin" && asked.port != "0" && answers(asked) {
		return syscall.EADDRINUSE
	}
	return nil
}

// answers reports whether somebody listens at an address.
func answers(at hostPort) bool {
	conn, err := net.DialTimeout("tcp", at.String(), answerTime)
	if err != nil {
		return false
	}
	_ = conn.Close() // it was only to see
	return true
}

// answerTime is longer than this machine takes to connect to itself.
const answerTime = time.Second

// listen opens the sockets on which the server is going to serve.
func (s *Server) listen(p *Plan) error {
	if s.Listen != nil {
		if err := s.Listen(p, s); err != nil {
			return err
		}
	}
	if s.at().parent != nil { // it has opened the ports, and has said so
		return s.reopenPorts()
	}
	return s.openPorts(p)
}

// reopenPorts opens the sockets that are known, as far as they are closed.
func (s *Server) reopenPorts() error {
	for _, x := range s.Ports {
		all, err := s.Listeners(x.name())
		if err != nil {
			return err
		}
		for _, l := range all {
			if err := l.Close(); err != nil { // the socket stays open
				return err
			}
		}
	}
	return nil
}

// openAlone opens the ports of a server that is called alone, when it asks for them. One that opens them itself does
// not.
func (s *Server) openAlone() error {
	there := s.at()
	if !there.alone {
		return nil
	}
	there.ports.opening.Lock()
	defer there.ports.opening.Unlock()
	if there.ports.known() {
		return nil
	}
	return s.openPorts(&Plan{})
}

// checkPorts looks for what is wrong with the flags that say where the server listens.
func (s *Server) checkPorts() error {
	for _, x := range s.Ports {
		if _, err := x.where(s); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) openPorts(p *Plan) error {
	for _, x := range s.Ports {
		if err := s.openPort(p, x); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) openPort(p *Plan, pt Port) error {
	where, err := pt.where(s)
	if err != nil {
		return err
	}
	var opened []openPort
	changed := false
	for i, asked := range where {
		switch {
		case asked.port == "0" && pt.ZeroIsNone:
			continue
		case pt.isFree(p, s):
			asked.port = "0"
		}
		one := openPort{port: pt, n: i, asked: asked}
		l, err := one.open(s)
		if err != nil {
			return pt.explain(s, asked, asked.port == "0", err)
		}
		_, actual, err := net.SplitHostPort(l.Addr().String())
		if err := errors.Join(err, l.Close()); err != nil { // the socket stays open
			return err
		}
		one.actual = hostPort{asked.host, actual}
		opened = append(opened, one)
		changed = changed || actual != asked.port
	}
	s.at().ports.set(pt.name(), opened)
	if !changed {
		return nil
	}
	if pt.AddressFlag == "" {
		return s.Default(pt.PortFlag, opened[0].actual.port)
	}
	if s.Given(pt.AddressFlag) {
		return nil
	}
	if list, ok := s.Flags().Lookup(pt.AddressFlag).Value.(pflag.SliceValue); ok {
		if err := list.Replace(nil); err != nil { // what is set next is added
			return err
		}
	}
	s.flags.forget(pt.AddressFlag)
	for _, one := range opened {
		if err := s.Default(pt.AddressFlag, one.actual.String()); err != nil {
			return err
		}
	}
	return nil
}

// isFree reports whether the port may be any free one in this plan.
func (pt Port) isFree(p *Plan, s *Server) bool { return p.FreePorts && !s.Given(pt.name()) }

// tryPorts opens the ports that the server would listen at, and gives each back at once. open are the addresses at
// which that was possible.
func (s *Server) tryPorts(p *Plan) (open []string, err error) {
	var errs []error
	for _, x := range s.Ports {
		where, err := x.where(s)
		if err != nil {
			return open, err
		}
		for _, asked := range where {
			if asked.port == "0" || x.isFree(p, s) {
				continue
			}
			err := unseen(asked)
			var l net.Listener
			if err == nil {
				l, err = system.ListenPrivately("tcp", asked.String())
			}
			if err != nil {
				errs = append(errs, x.explain(s, asked, false, err))
				continue
			}
			_ = l.Close() // nobody has come
			open = append(open, asked.String())
		}
	}
	return open, errors.Join(errs...)
}

func (ps *ports) set(name string, opened []openPort) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.opened == nil {
		ps.opened = map[string][]openPort{}
	}
	ps.opened[name] = opened
}

// known reports whether ports have been opened.
func (ps *ports) known() bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.opened != nil
}

func (ps *ports) get(name string) []openPort {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.opened[name]
}

// ListenAddress is where the server is reached on this machine at one of Ports, as HOST:PORT, with the real port; the
// flag is its AddressFlag, or its PortFlag. It is known to all servers from Prepare on. "" means that the server does
// not listen there.
func (s *Server) ListenAddress(flag string) string {
	if err := s.openAlone(); err != nil {
		return "" // Listener says why
	}
	opened := s.at().ports.get(flag)
	if len(opened) == 0 {
		return ""
	}
	where := opened[0].actual
	if ip := net.ParseIP(where.host); where.host == "" || ip != nil && ip.IsUnspecified() {
		where.host = "localhost"
	}
	return where.String()
}

// Listener returns a listener on one of Ports, for this start of the server; the flag is its AddressFlag, or its
// PortFlag. It is to be called in Build or Run. It is nil, without an error, if the server does not listen there
// (Port.ZeroIsNone).
func (s *Server) Listener(flag string) (net.Listener, error) {
	all, err := s.Listeners(flag)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	for _, l := range all[1:] {
		_ = l.Close() // nobody has asked for it
	}
	return all[0], nil
}

// Listeners is Listener for a flag that may be repeated: one listener for each address.
func (s *Server) Listeners(flag string) (all []net.Listener, err error) {
	if err := s.openAlone(); err != nil {
		return nil, err
	}
	for _, one := range s.at().ports.get(flag) {
		l, err := one.listen(s)
		if err != nil {
			for _, l := range all {
				_ = l.Close() // likewise
			}
			return nil, one.port.explain(s, one.actual, one.asked.port == "0", err)
		}
		all = append(all, l)
	}
	return all, nil
}

// explain says what to do about a port at which the server cannot listen. free says that it may be any free one.
func (pt Port) explain(s *Server, at hostPort, free bool, err error) error {
	hostFlag, portFlag := pt.flags(s)
	if s.at().alone {
		return explainListen(at, err, hostFlag, portFlag, "")
	}
	further := ", or let " + s.program() + " choose with --free-ports"
	if free {
		further = ""
	}
	return fmt.Errorf("%s: %w", s.Name(), explainListen(at, err, hostFlag, portFlag, further))
}

// explainListen says what to do about an address at which nobody can listen. free is a further way out if the port is
// taken.
func explainListen(at hostPort, err error, hostFlag, portFlag, free string) error {
	switch {
	case errno.AddressTaken(err):
		return fmt.Errorf("port %s of %s is taken; choose another with %s%s", at.port, at.host, portFlag, free)
	case errno.NotAllowed(err):
		which := "one above 1023"
		if runtime.GOOS == "windows" { // there others are reserved
			which = "another"
		}
		return fmt.Errorf("not allowed to listen on port %s; choose %s with %s", at.port, which, portFlag)
	case errno.NoAddress(err):
		return fmt.Errorf("this machine has no address %s; choose another with %s", at.host, hostFlag)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	see := hostFlag
	if portFlag != hostFlag {
		see += " and " + portFlag
	}
	return fmt.Errorf("cannot listen on %s: %w; see %s", at, err, see)
}

// address is that of the server's first port, for people.
func (s *Server) address() string {
	if where := s.ListenAddress(s.Ports[0].name()); where != "" {
		return cmp.Or(s.Ports[0].Scheme, s.at().scheme()) + where
	}
	return ""
}

// childPort is what another process is to know of a port.
type childPort struct {
	N      int    `json:"n"`
	Asked  string `json:"asked"`
	Actual string `json:"actual"`
}

// describe is what another process is to know of the ports, by flag.
func (ps *ports) describe() map[string][]childPort {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	var described map[string][]childPort
	for name, opened := range ps.opened {
		for _, one := range opened {
			if described == nil {
				described = map[string][]childPort{}
			}
			described[name] = append(described[name], childPort{one.n, one.asked.String(), one.actual.String()})
		}
	}
	return described
}

// adoptPorts takes over what another process knows of the server's ports.
func (s *Server) adoptPorts(described map[string][]childPort) {
	for _, x := range s.Ports {
		var opened []openPort
		for _, one := range described[x.name()] {
			opened = append(opened, openPort{x, one.N, parseHostPort(one.Asked), parseHostPort(one.Actual)})
		}
		s.at().ports.set(x.name(), opened)
	}
}

// parseHostPort is the inverse of hostPort.String.
func parseHostPort(text string) (a hostPort) {
	a.host, a.port, _ = net.SplitHostPort(text)
	return a
}
