package supervisor

import "net"

// Socket returns a listener on an address, as net.Listen does, for a server that listens with TCP or a unix socket; the
// file of the latter is for its owner alone. The first call opens the socket; further calls with the same address
// return further listeners on the same socket, also after earlier ones were closed. So a server can be restarted
// without losing its port, and a client that connects meanwhile waits a moment instead of being refused. A port of 0 is
// any free one, and stays that one.
//
// Call it in Listen, so that a port that is taken is found before anything starts, and in Build or Run for the listener
// to serve on. If Run does not close it, it is closed when this start of the server has ended, whether Run was called
// or not. The socket is closed when the server has been stopped, is done, or has failed for good.
func (s *Server) Socket(network, address string) (net.Listener, error) {
	return s.at().sockets.Listen("", network, address)
}

// CloseSockets closes the server's sockets: those of Ports, and those that Socket has opened. It is for a server whose
// code opens its port itself, right before that.
func (s *Server) CloseSockets() {
	there := s.at()
	there.sockets.Close()
	if there.parent != nil {
		there.parent.CloseSockets()
	}
}
