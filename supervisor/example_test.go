package supervisor_test

import (
	"context"
	"fmt"
	"net"
	"os"

	"github.com/seed-200a7251/km/supervisor"
)

// A binary of two servers that knows nothing but them: a greeter, and a visitor who needs it. Its main function would
// end in hk.RunToExit(os.Args).
func Example() {
	var listener net.Listener
	greeter := &supervisor.Server{
		SimpleUsage: "greeter",
		Long:        "The greeter greets whoever connects.",
		// What cannot be had is found before anything starts, and from here on the port is there for others to use.
		Prepare: func(_ context.Context, _ *supervisor.Plan, s *supervisor.Server) (err error) {
			listener, err = net.Listen("tcp", s.Value("listen"))
			return err
		},
		Run: func(ctx context.Context, s *supervisor.Server, _ []string) error {
			defer context.AfterFunc(ctx, func() { listener.Close() })()
			conn, err := listener.Accept()
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = fmt.Fprintf(conn, "%s, visitor!\n", s.Value("greeting"))
			return err
		},
	}
	greeter.Flags().String("listen", "127.0.0.1:0", "address to listen on")
	greeter.Flags().String("greeting", "Good day", "what to say")

	visitor := &supervisor.Server{
		SimpleUsage: "visitor",
		Long:        "The visitor shows what the greeter says.",
		Needs:       []supervisor.Need{{Server: "greeter"}},
		Run: func(context.Context, *supervisor.Server, []string) error {
			conn, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				return err
			}
			defer conn.Close()
			var greeting, name string
			if _, err := fmt.Fscanln(conn, &greeting, &name); err != nil {
				return err
			}
			fmt.Println("The greeter says:", greeting, name)
			return nil
		},
	}

	hk := &supervisor.HyperKube{Name: "hk"}
	hk.AddServer(greeter)
	hk.AddServer(visitor)

	// The greeter joins, because the visitor needs it. When both are done, so is the run.
	args := []string{"hk", "run", "visitor", "--greeter.greeting=Welcome", "--quiet", "--ephemeral"}
	if err := hk.Run(args); err != nil {
		os.Exit(1)
	}
	// Output:
	// The greeter says: Welcome, visitor!
}
