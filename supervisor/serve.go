package supervisor

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"go.uber.org/zap"
)

// drainTime is how much of its grace period a server may take to finish its work. A test has less.
var drainTime = func(grace time.Duration) time.Duration { return grace - min(grace/5, 2*time.Second) }

// MarkReady says, from inside Run, that the server can be used. It is for a server with Ports or MarksReady, and
// without Ready; Serve and ServeHTTP call it. Further calls in the same start do nothing.
func (s *Server) MarkReady() {
	select {
	case s.at().marks <- struct{}{}:
	default:
	}
}

// awaitMark is the Ready of a server that calls MarkReady.
func (st *seat) awaitMark(ctx context.Context) error {
	select {
	case <-st.marks:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// marked calls a Run that calls MarkReady. A mark is not for the next start.
func (st *seat) marked(run func(ctx context.Context) error) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		defer func() {
			select {
			case <-st.marks:
			default:
			}
		}()
		return run(ctx)
	}
}

// Serve is the Run, or the end of it, of whatever serves on a listener. It calls serve with a listener on the server's
// port that this flag names (Ports), once for each if there are several, and marks the server as ready. When ctx ends
// it calls stop, which has serve finish its work and return. The ctx of stop ends two seconds before the grace period
// does, or after four fifths of it, and stop gives up then. What serve returns after that is no failure. Without a port
// to listen on it waits for the end of ctx.
//
// For a *grpc.Server, say, stop is a call of GracefulStop, and of Stop when ctx ends.
func (s *Server) Serve(ctx context.Context, flag string, serve func(net.Listener) error, stop func(ctx context.Context) error) error {
	all, err := s.Listeners(flag)
	if err != nil {
		return err
	}
	served := make(chan error, len(all))
	for _, l := range all {
		go s.Log().Do(func() { served <- s.Guard(func() error { return serve(l) }) })
	}
	s.MarkReady()
	select {
	case err := <-served:
		if err == nil {
			err = errors.New("it does not serve any more")
		}
		return err
	case <-ctx.Done():
	}
	if len(all) == 0 {
		return nil
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime(s.at().policy.grace))
	defer cancel()
	if err := stop(within); err != nil {
		s.Logger().Warn("it has not finished all that it was at", zap.Error(err))
	}
	for range all {
		<-served
	}
	return nil
}

// ServeHTTP is the Run, or the end of it, of a server of HTTP: it serves the handler on the server's port that this
// flag names (Ports), and marks the server as ready. When ctx ends, it waits for requests that are being answered, as
// Serve does. A client that takes more than ten seconds to send a header is dropped.
func (s *Server) ServeHTTP(ctx context.Context, flag string, handler http.Handler) error {
	s.at().setScheme("http://")
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          zap.NewStdLog(s.Logger()),
		BaseContext:       func(net.Listener) context.Context { return s.context(context.WithoutCancel(ctx)) },
	}
	return s.Serve(ctx, flag, server.Serve, func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, server.Close())
		}
		return err
	})
}
