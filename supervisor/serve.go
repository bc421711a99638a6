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

// awaitMark is the Ready of a server that calls MarkReady. One that has, and is done, was ready.
func (st *seat) awaitMark(ctx context.Context) error {
	select {
	case <-st.marks:
		return nil
	case <-ctx.Done():
	}
	select {
	case <-st.marks:
		return nil
	default:
		return ctx.Err()
	}
}

// drain is how long the server may take to finish its work: less than the time after which it is left behind or, in a
// process of its own, killed.
func (st *seat) drain() time.Duration {
	if st.killedAfter > 0 {
		return drainTime(st.killedAfter)
	}
	return drainTime(st.policy.grace)
}

// Serve is the Run, or the end of it, of whatever serves on a listener. It calls serve with a listener on the server's
// port that this flag names (Ports), once for each if there are several, and marks the server as ready: what else may
// fail belongs before. When ctx ends it calls stop, which has serve finish its work and return; what serve returns
// after that is no failure. stop is to give up when its ctx ends: that is two seconds before the end of the grace
// period, or a fifth of it if that is less. In a process of its own the server has less time. If serve returns before
// ctx ends, that is a failure, and stop is called with a ctx that has ended. Without a port to listen on, Serve waits
// for the end of ctx.
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
	var failed error
	serving := len(all)
	select {
	case err := <-served:
		serving--
		if err == nil {
			err = errors.New("it does not serve any more")
		}
		if ctx.Err() == nil { // otherwise it may be that others end
			failed = err
		}
	case <-ctx.Done():
		if serving == 0 {
			return nil
		}
	}
	within, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.at().drain())
	defer cancel()
	stopping := within
	if failed != nil {
		stopping, cancel = context.WithCancel(within)
		cancel()
	}
	if err := stop(stopping); err != nil && failed == nil {
		s.Logger().Warn("it has not finished all that it was at", zap.Error(err))
	}
	for _, l := range all {
		_ = l.Close() // stop has closed it, if it has stopped all
	}
	for range serving {
		select {
		case <-served:
		case <-within.Done():
		}
	}
	return failed
}

// ServeHTTP is the Run, or the end of it, of a server of HTTP: it serves the handler on the server's port that this
// flag names (Ports), and marks the server as ready. When ctx ends, it waits for requests that are being answered, as
// Serve does. The context of requests ends when this returns. A client that takes more than ten seconds to send a
// header is dropped.
func (s *Server) ServeHTTP(ctx context.Context, flag string, handler http.Handler) error {
	s.at().setScheme("http://")
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end() // of connections that handlers have taken over, too
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          zap.NewStdLog(s.Logger()),
		BaseContext:       func(net.Listener) context.Context { return s.context(base) },
	}
	return s.Serve(ctx, flag, server.Serve, func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		if err != nil {
			err = errors.Join(err, server.Close())
		}
		return err
	})
}
