package supervisor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"go.uber.org/zap"
)

// isolatedToy is the binary of the tests of servers in processes of their own. remote needs base and is needed by ui.
// Each of their functions logs that it is called, and in which process.
func isolatedToy() *HyperKube {
	hk := &HyperKube{Name: "iso", DefaultServers: []string{"base", "remote", "ui"}, Setup: func(p *Plan) error {
		p.Logs().Program().Zap().Info("called", zap.String("what", "Setup"), zap.Int("pid", os.Getpid()))
		return nil
	}}
	base := hooked(&Server{SimpleUsage: "base", Run: idle, ProcessFlags: []string{"gates"}})
	base.Flags().StringSlice("gates", nil, "")
	hk.AddServer(base)
	hk.AddServer(hooked(newRemote()))
	ui := hooked(&Server{SimpleUsage: "ui", Run: idle, Needs: []Need{{Server: "remote"}}})
	hk.AddServer(ui)
	hk.AddServer(newPage())
	return hk
}

// newPage is a server of HTTP with two ports. What is asked of the first is answered, except for /hang.
func newPage() *Server {
	s := &Server{SimpleUsage: "page", Ports: []Port{{AddressFlag: "listen"}, {AddressFlag: "other"}},
		Run: func(ctx context.Context, s *Server, _ []string) error {
			return s.ServeHTTP(ctx, "listen", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, os.Getpid())
				if r.URL.Path == "/hang" {
					_ = http.NewResponseController(w).Flush()
					<-r.Context().Done()
				}
			}))
		}}
	s.Flags().String("listen", anyPort(0), "")
	s.Flags().String("other", anyPort(0), "")
	return s
}

// hooked has each function of the server log that it is called, and fail in a child, for good, if --fail-in names it.
// With --wait Prepare ends with its context there.
func hooked(s *Server) *Server {
	failIn, wait := s.Flags().String("fail-in", "", ""), s.Flags().Bool("wait", false, "")
	isChild := len(os.Args) > 1 && os.Args[1] == isolatedCommand
	called := func(s *Server, what string) error {
		s.Logger().Info("called", zap.String("what", what+" "+s.Name()), zap.Int("pid", os.Getpid()))
		if isChild && *failIn == what {
			return Permanent(&ExitError{Code: 7, Err: errors.New("no " + what)})
		}
		return nil
	}
	s.Check = func(_ context.Context, _ *Plan, s *Server) error { return called(s, "Check") }
	listen, run := s.Listen, s.Run
	s.Listen = func(p *Plan, s *Server) error {
		if err := called(s, "Listen"); err != nil || listen == nil {
			return err
		}
		return listen(p, s)
	}
	s.Prepare = func(ctx context.Context, p *Plan, s *Server) error {
		s.Log().Zap().Named("prep").Info("preparing") // it is there, also for a needed server in a child
		if isChild && *wait {
			s.Logger().Info("waiting")
			<-ctx.Done()
			return ctx.Err()
		}
		return called(s, "Prepare")
	}
	s.Run = func(ctx context.Context, s *Server, args []string) error {
		if err := called(s, "Run"); err != nil {
			return err
		}
		return run(ctx, s, args)
	}
	return s
}

// remote is the server that does what tests tell it with HTTP.
type remote struct {
	s     *Server
	stop  chan error
	stays chan struct{} // closed when it is not to end any more
}

func newRemote() *Server {
	r := &remote{stop: make(chan error, 1), stays: make(chan struct{})}
	s := &Server{SimpleUsage: "remote", Needs: []Need{{Server: "base"}}, ProcessFlags: []string{"gates"}, VModuleFlag: "vmodule", VerbosityFlag: "v"}
	s.Flags().StringSlice("gates", nil, "")
	s.Flags().StringArray("list", nil, "")
	s.Flags().String("text", "plain", "")
	s.Flags().String("made", "", "")
	s.Flags().String("keeps", "", "")
	s.Flags().Int("v", 0, "")
	s.Flags().String("vmodule", "", "")
	s.Defaults = func(_ *Plan, s *Server) error {
		return errors.Join(s.Default("made", "by Default"), s.Default("list", "not this"))
	}
	s.Listen = func(_ *Plan, s *Server) error {
		for _, address := range []string{anyPort(0), anyPort(1)} {
			l, err := s.Socket("tcp", address)
			if err != nil {
				return err
			}
			if err := l.Close(); err != nil {
				return err
			}
		}
		return nil
	}
	s.Address = func(s *Server) string { return placeOf(s, anyPort(0)) }
	s.Keeps = func(s *Server) []string {
		return slices.DeleteFunc([]string{s.Value("keeps")}, func(path string) bool { return path == "" })
	}
	s.Run = r.run
	s.Ready = func(context.Context, *Server) error { return nil }
	r.s = s
	return s
}

func (rem *remote) run(ctx context.Context, s *Server, _ []string) error {
	l, err := s.Socket("tcp", anyPort(0))
	if err != nil {
		return err
	}
	web := &http.Server{Handler: rem}
	go web.Serve(l)
	defer web.Close()
	select {
	case err = <-rem.stop:
	case <-ctx.Done():
	}
	select {
	case <-rem.stays:
		select {}
	default:
		return err
	}
}

// ServeHTTP does what the path says, with the query as its argument.
func (rem *remote) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	text := q.URL.Query().Get("text")
	n, _ := strconv.Atoi(text)
	switch q.URL.Path {
	case "/flags":
		json.NewEncoder(w).Encode(rem.flags())
	case "/say":
		rem.say(n)
	case "/warn":
		rem.s.Logger().Warn(cmp.Or(text, "x"), zap.String("long", strings.Repeat("x", 1<<20)))
	case "/lack":
		var lacks error
		if text != "" {
			lacks = errors.New(text)
		}
		rem.s.Degraded(lacks)
	case "/v":
		rem.s.Logr().V(n).Info("verbose " + text)
	case "/print":
		fmt.Print(text)
	case "/long":
		fmt.Print(strings.Repeat("y", n), "\r\n \n")
	case "/end":
		if text == "" {
			rem.stop <- nil
		} else {
			rem.stop <- errors.New(text)
		}
	case "/stay":
		close(rem.stays)
	case "/exit":
		os.Exit(n)
	case "/panic":
		go panic("out of ink")
	case "/flood":
		debug.SetTraceback("all")
		for range 10_000 {
			go func() { select {} }()
		}
		go panic("out of ink")
	case "/files":
		for _, f := range must(os.ReadDir("/proc/self/fd")) {
			name, _ := os.Readlink("/proc/self/fd/" + f.Name()) // that of the folder is gone
			fmt.Fprintln(w, f.Name(), name)
		}
	case "/lost":
		fmt.Fprint(w, rem.s.Lost())
	case "/grow":
		outgrow()
	case "/own": // it opens a port itself
		address := placeOf(rem.s, anyPort(1))
		_, before := net.Listen("tcp", address)
		rem.s.CloseSockets()
		_, after := net.Listen("tcp", address)
		fmt.Fprint(w, errors.Is(before, syscall.EADDRINUSE), after)
	case "/beget": // a process that outlives this one, and holds what it inherits
		c := exec.Command("sleep", "600")
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		fmt.Fprint(w, c.Start(), " ", c.Process.Pid)
	}
}

// placeOf is where the server's socket is that was asked for with this address.
func placeOf(s *Server, address string) string {
	return s.at().sockets.Address("", "tcp", address)
}

// setFlag is what a server sees of its flag.
type setFlag struct {
	Value          string
	Changed, Given bool
}

func (rem *remote) flags() map[string]setFlag {
	all := map[string]setFlag{}
	for _, name := range []string{"gates", "list", "text", "made", "v"} {
		f := rem.s.Flags().Lookup(name)
		all[name] = setFlag{f.Value.String(), f.Changed, rem.s.Given(name)}
	}
	return all
}

// say logs in all ways that there are.
func (rem *remote) say(n int) {
	rem.s.Logger().Named("deep").Error("by zap", zap.Int("n", n), zap.Strings("list", []string{"a", "b"}))
	rem.s.Slog().Warn("by slog", "n", n)
	rem.s.Logr().V(n).Info("by logr", "n", n)
	slog.Info("by slog's default")
	stdlog.Print("by log")
	zap.L().Info("by zap's default")
	done := make(chan struct{})
	go func() {
		defer close(done)
		pprof.SetGoroutineLabels(context.Background())
		stdlog.Print("by nobody")
	}()
	<-done
	fmt.Println("by stdout")
	fmt.Fprintln(os.Stderr, "by stderr")
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
