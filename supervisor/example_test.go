package supervisor_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/supervisor"
)

// greeter is a server of HTTP. Its port is opened before anything starts, it is ready when it serves, and what it is at
// is finished when it is to stop.
func greeter() *supervisor.Server {
	s := &supervisor.Server{
		SimpleUsage: "greeter",
		Long:        "The greeter greets whoever asks.",
		Ports:       []supervisor.Port{{AddressFlag: "listen"}},
		Run: func(ctx context.Context, s *supervisor.Server, _ []string) error {
			return s.ServeHTTP(ctx, "listen", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, "%s, visitor!\n", s.Value("greeting"))
			}))
		},
	}
	s.Flags().String("listen", "127.0.0.1:0", "address to listen on")
	s.Flags().String("greeting", "Good day", "what to say")
	return s
}

// visitor is a server that needs the greeter, and is done when it has been greeted.
func visitor(greeter *supervisor.Server) *supervisor.Server {
	return &supervisor.Server{
		SimpleUsage: "visitor",
		Long:        "The visitor shows what the greeter says.",
		Needs:       []supervisor.Need{{Server: "greeter"}},
		Run: func(context.Context, *supervisor.Server, []string) error {
			answer, err := http.Get("http://" + greeter.ListenAddress("listen"))
			if err != nil {
				return err
			}
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			fmt.Printf("The greeter says: %s", text)
			return err
		},
	}
}

// A binary of two servers that knows nothing but them. Its main function would be hk.RunToExit(os.Args).
func Example() {
	hk := &supervisor.HyperKube{Name: "hk"}
	g := greeter()
	hk.AddServer(g)
	hk.AddServer(visitor(g))

	// The greeter joins, because the visitor needs it. A run ends with Ctrl-C or, as here, when the command behind `--`
	// ends.
	args := []string{"hk", "run", "visitor", "--greeter.greeting=Welcome", "--quiet", "--ephemeral", "--", "true"}
	if err := hk.Run(args); err != nil {
		os.Exit(1)
	}
	// Output:
	// The greeter says: Welcome, visitor!
}

// Servers are started from code, in a process that is somebody else's, such as that of a test. (Package supervisortest
// has more for tests.)
func ExampleHyperKube_Start() {
	hk := &supervisor.HyperKube{Name: "hk"}
	g := greeter()
	hk.AddServer(g)
	hk.SetOut(io.Discard)
	running, err := hk.Start(context.Background(), "greeter", "--ephemeral")
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := http.Get("http://" + g.ListenAddress("listen"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	fmt.Println(answer.Status)
	fmt.Println("stopped:", running.Stop())
	// Output:
	// 200 OK
	// stopped: <nil>
}

// A server fails, and is started again by itself, at the same address.
func ExampleRunning_Events() {
	first := true
	shaky := &supervisor.Server{
		SimpleUsage:   "shaky",
		MarksReady:    true,
		RestartLimits: supervisor.RestartLimits{Pause: 1}, // a nanosecond
		Run: func(ctx context.Context, s *supervisor.Server, _ []string) error {
			if first {
				first = false
				return errors.New("out of ink")
			}
			s.MarkReady()
			<-ctx.Done()
			return nil
		},
	}
	hk := &supervisor.HyperKube{Name: "hk"}
	hk.AddServer(shaky)
	hk.SetOut(io.Discard)
	running, err := hk.Start(context.Background(), "--ephemeral")
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := running.Stop(); err != nil {
		fmt.Println(err)
	}
	running.Events(context.Background(), 0, func(e supervisor.Event) {
		fmt.Println(e.Server, e.To)
		if e.Err != nil {
			fmt.Println(" ", e.Err)
		}
	})
	// Output:
	// shaky starting
	// shaky backoff
	//   out of ink
	// shaky starting
	// shaky ready
	// shaky stopping
	// shaky stopped
}

// A command of the binary's own, beside those that it has.
func ExampleHyperKube_AddCommand() {
	flags := pflag.NewFlagSet("greet", pflag.ContinueOnError)
	loud := flags.Bool("loud", false, "shout")
	hk := &supervisor.HyperKube{Name: "hk"}
	hk.AddCommand(&supervisor.Command{
		Name:  "greet",
		Short: "greet whoever calls",
		Flags: flags,
		Run: func(_ context.Context, hk *supervisor.HyperKube, p *supervisor.Plan, _ []string) error {
			text := "hello from " + p.Name
			if *loud {
				text += "!"
			}
			_, err := fmt.Fprintln(hk.Out(), text)
			return err
		},
	})
	if err := hk.Run([]string{"hk", "greet", "--loud", "--name=two"}); err != nil {
		os.Exit(1)
	}
	// Output:
	// hello from two!
}

// echo is a server of a protocol of its own, which has Serve and a graceful stop as a *grpc.Server has. For that one it
// would be:
//
//	s.Serve(ctx, "listen", server.Serve, func(ctx context.Context) error {
//		defer context.AfterFunc(ctx, server.Stop)()
//		server.GracefulStop()
//		return nil
//	})
type echo struct{ listener net.Listener }

func (e *echo) Serve(l net.Listener) error {
	e.listener = l
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		line, _ := bufio.NewReader(conn).ReadString('\n')
		fmt.Fprint(conn, line)
		conn.Close()
	}
}

func (e *echo) Stop(context.Context) error { return e.listener.Close() }

// What has Serve and a graceful stop is a server, too.
func ExampleServer_Serve() {
	s := &supervisor.Server{
		SimpleUsage: "echo",
		Ports:       []supervisor.Port{{AddressFlag: "listen"}},
		Run: func(ctx context.Context, s *supervisor.Server, _ []string) error {
			server := &echo{}
			return s.Serve(ctx, "listen", server.Serve, server.Stop)
		},
	}
	s.Flags().String("listen", "127.0.0.1:0", "address to listen on")
	hk := &supervisor.HyperKube{Name: "hk"}
	hk.AddServer(s)
	hk.SetOut(io.Discard)
	running, err := hk.Start(context.Background(), "--ephemeral")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer running.Stop()
	conn, err := net.Dial("tcp", s.ListenAddress("listen"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	fmt.Fprintln(conn, "hello")
	line, _ := bufio.NewReader(conn).ReadString('\n')
	fmt.Print(line)
	// Output:
	// hello
}
