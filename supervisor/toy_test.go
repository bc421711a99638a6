package supervisor

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"os"
	"strings"
	"syscall"
	"time"
)

// toyBinary is the binary that the scripts call: a small one of each kind of server.
func toyBinary() *HyperKube {
	hk := &HyperKube{
		Name:    "hk",
		Long:    "hk is a toy: what its servers do is said in one line each.",
		Version: func() string { return "v1.2.3" },
		Default: []string{"test2"},
		Banner:  func(p *Plan) string { return "The state is in the folder of " + p.Name + "." },
	}
	test1 := &Server{SimpleUsage: "test1", Aliases: []string{"one"}, Long: "It says what it was given, and waits.",
		Run: func(ctx context.Context, s *Server, args []string) error {
			fmt.Printf("test1: port %s, arguments %q\n", s.Value("port"), args)
			if len(args) == 0 { // beside others
				<-ctx.Done()
			}
			return nil
		}}
	test1.Flags().IntP("port", "p", 8080, "where to listen")
	hk.AddServer(test1)

	test2 := &Server{SimpleUsage: "test2", Long: "It needs test1.", Run: idle,
		Needs:   []Need{{Server: "test1", Unless: []string{"address"}}},
		Address: func(*Server) string { return "127.0.0.1:2" }}
	test2.Flags().String("address", "", "where test1 is")
	hk.AddServer(test2)

	hk.AddServer(&Server{SimpleUsage: "both", Long: "Both of them.", Members: []string{"test1", "test2"}})
	hk.AddServer(&Server{SimpleUsage: "raw [WORD...]", Long: "It does what it likes with its arguments.",
		Main: func(_ context.Context, _ *Server, args []string) error {
			fmt.Println("raw:", strings.Join(args, " "))
			return nil
		}})
	hk.AddServer(&Server{SimpleUsage: "broken", Long: "It fails.", Needs: []Need{{Server: "test1"}},
		Run: func(context.Context, *Server, []string) error { return errors.New("out of ink") }})

	// The servers that end a run send a signal to the process that they are in: a script cannot know when it is ready.
	hk.AddServer(&Server{SimpleUsage: "ender", Long: "It ends the run.", Needs: []Need{{Server: "test2"}},
		Run: idle,
		// Its address is asked for when it, the last one, has become ready.
		Address: func(*Server) string { return fmt.Sprint("ended: ", signalSelf(syscall.SIGTERM) == nil) }})
	hk.AddServer(&Server{SimpleUsage: "stubborn", Long: "It does not stop, and has the run ended by force.",
		Run: func(ctx context.Context, _ *Server, _ []string) error {
			<-ctx.Done()
			if err := signalSelf(syscall.SIGINT); err != nil {
				panic(err)
			}
			select {}
		},
		Ready: func(context.Context, *Server) error { return signalSelf(syscall.SIGTERM) }})
	hk.AddServer(newPuppet())
	hk.AddServer(&Server{SimpleUsage: "brief", Long: "It starts test1 and test2, and ends.", Members: []string{"test1", "test2", "ender"}})
	return hk
}

// newPuppet returns a server that does as it is told, one thing after the other, and then waits.
func newPuppet() *Server {
	var log string // the program's file
	puppet := &Server{SimpleUsage: "puppet", Long: "It does what it is told.", VModuleFlag: "vmodule",
		Prepare: func(_ context.Context, p *Plan, _ *Server) error {
			log = p.Path("logs", "hk.log")
			return nil
		},
		Run: func(ctx context.Context, s *Server, _ []string) error {
			for step := range strings.SplitSeq(s.Value("do"), ";") {
				if err := move(s, strings.TrimSpace(step), log); err != nil {
					return err
				}
			}
			<-ctx.Done()
			return nil
		}}
	puppet.Flags().String("do", "", "info TEXT, warn TEXT, more TEXT (at V(3)), print TEXT, wait TEXT (in the program's log file), HUP, TERM, or fail")
	puppet.Flags().String("vmodule", "", "FILE=N")
	return puppet
}

func move(s *Server, step, log string) error {
	word, text, _ := strings.Cut(step, " ")
	switch word {
	case "":
		return nil
	case "info":
		s.Logger().Info(text)
	case "warn":
		s.Logger().Warn(text)
	case "more":
		s.Logr().V(3).Info(text)
	case "print":
		stdlog.Print(text)
	case "wait":
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			if found, err := os.ReadFile(log); err != nil || strings.Contains(string(found), text) {
				return err
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("no %q in %s", text, log)
			}
		}
	case "HUP":
		return signalSelf(syscall.SIGHUP)
	case "TERM":
		return signalSelf(syscall.SIGTERM)
	default:
		return errors.New(step)
	}
	return nil
}

func signalSelf(s os.Signal) error {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	return self.Signal(s)
}
