package apiserver

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	genericapiserver "k8s.io/apiserver/pkg/server"
)

// accepted is a connection that l has accepted, and its client's end.
func accepted(t *testing.T, l *listener) (server, client net.Conn) {
	t.Helper()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return server, client
}

// When the listener is closed, a connection without a request is closed, and one with a request stays until closeConns.
func TestCloseUnused(t *testing.T) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := newListener(socket)
	handler := l.wrap(func(h http.Handler, _ *genericapiserver.Config) http.Handler { return h })(http.NotFoundHandler(), nil)
	server, used := accepted(t, l)
	_, unused := accepted(t, l)
	handler.ServeHTTP(httptest.NewRecorder(), &http.Request{RemoteAddr: used.LocalAddr().String()})

	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := unused.Read(b); !errors.Is(err, io.EOF) {
		t.Errorf("a connection without a request: %v, want EOF", err)
	}
	if _, err := server.Write([]byte("x")); err != nil {
		t.Errorf("one with a request: %v", err)
	}
	if _, err := used.Read(b); err != nil {
		t.Errorf("one with a request: %v", err)
	}
	l.closeConns()
	if _, err := used.Read(b); !errors.Is(err, io.EOF) {
		t.Errorf("after closeConns: %v, want EOF", err)
	}
}
