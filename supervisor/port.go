package supervisor

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"

	"github.com/spf13/pflag"
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
	// Address is the name of a flag with HOST:PORT.
	Address string
	// Host and Port are the names of two flags, where there is none with both.
	Host, Port string
	// Scheme is what stands before the address where it is shown, such as "https://". With ServeHTTP that is "http://"
	// anyway.
	Scheme string
	// ZeroIsNone says that with a port of 0 the server does not listen.
	ZeroIsNone bool
}

// name is the flag by which Listener knows it.
func (pt Port) name() string { return cmp.Or(pt.Address, pt.Port) }

// flags are those that say where the port is, for people.
func (pt Port) flags(s *Server) (host, port string) {
	of := func(flag string) string { return "--" + s.Name() + "." + cmp.Or(pt.Address, flag) }
	return of(pt.Host), of(pt.Port)
}

// hostPort is an address of which the port may be a name.
type hostPort struct{ host, port string }

func (a hostPort) String() string { return net.JoinHostPort(a.host, a.port) }

// where returns the addresses that the flags say.
func (pt Port) where(s *Server) (all []hostPort, err error) {
	if pt.Address == "" {
		return []hostPort{{s.Value(pt.Host), s.Value(pt.Port)}}, nil
	}
	texts := []string{s.Value(pt.Address)}
	if list, ok := s.Flags().Lookup(pt.Address).Value.(pflag.SliceValue); ok {
		texts = list.GetSlice()
	}
	for _, text := range texts {
		host, port, err := net.SplitHostPort(text)
		if err != nil {
			return nil, fmt.Errorf("--%s.%s=%s: write HOST:PORT, such as 127.0.0.1:8080, or :8080 for all of this machine's addresses",
				s.Name(), pt.Address, text)
		}
		all = append(all, hostPort{host, port})
	}
	return all, nil
}

// ports are the sockets at the ports of a server.
type ports struct {
	mu     sync.Mutex
	opened map[string][]openPort // by name of the port
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

// listen opens the sockets on which the server is going to serve.
func (s *Server) listen(p *Plan) error {
	if s.Listen != nil {
		if err := s.Listen(p, s); err != nil {
			return err
		}
	}
	if s.at().parent != nil { // it has opened the ports, and has said so
		return nil
	}
	return s.openPorts(p)
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
		case p.FreePorts && !s.Given(pt.name()):
			asked.port = "0"
		}
		one := openPort{port: pt, n: i, asked: asked}
		l, err := one.listen(s)
		if err != nil {
			return pt.explain(s, asked, p.FreePorts, err)
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
	if pt.Address == "" {
		return s.Default(pt.Port, opened[0].actual.port)
	}
	if s.Given(pt.Address) {
		return nil
	}
	if list, ok := s.Flags().Lookup(pt.Address).Value.(pflag.SliceValue); ok {
		if err := list.Replace(nil); err != nil { // what is set next is added
			return err
		}
	}
	s.flags.forget(pt.Address)
	for _, one := range opened {
		if err := s.Default(pt.Address, one.actual.String()); err != nil {
			return err
		}
	}
	return nil
}

func (ps *ports) set(name string, opened []openPort) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.opened == nil {
		ps.opened = map[string][]openPort{}
	}
	ps.opened[name] = opened
}

func (ps *ports) get(name string) []openPort {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.opened[name]
}

// ListenAddress is where the server is reached on this machine at one of Ports, as HOST:PORT, with the real port; the
// flag is its Address, or its Port. It is known to all servers from Prepare on. "" means that the server does not
// listen there.
func (s *Server) ListenAddress(flag string) string {
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

// Listener returns a listener on one of Ports, for this start of the server; the flag is its Address, or its Port. It
// is to be called in Build or Run. It is nil, without an error, if the server does not listen there (Port.ZeroIsNone).
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
	further := ", or let " + s.program() + " choose with --free-ports"
	if free {
		further = ""
	}
	return explainListen(s.Name(), at.host, at.port, err, hostFlag, portFlag, further)
}

// explainListen says what to do about an address at which somebody cannot listen. free is a further way out if the port
// is taken.
func explainListen(who, host, port string, err error, hostFlag, portFlag, free string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: port %s of %s is taken; choose another with %s%s", who, port, host, portFlag, free)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: not allowed to listen on port %s; choose one above 1023 with %s", who, port, portFlag)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: this machine has no address %s; choose another with %s", who, host, hostFlag)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = op.Err
	}
	see := hostFlag
	if portFlag != hostFlag {
		see += " and " + portFlag
	}
	return fmt.Errorf("%s: cannot listen on %s: %w; see %s", who, net.JoinHostPort(host, port), err, see)
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
