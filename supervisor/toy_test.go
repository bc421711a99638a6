package supervisor

import (
	"context"
	"errors"
	"fmt"
	stdlog "log"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// toyBinary is the binary that the scripts call: a small one of each kind of server.
func toyBinary() *HyperKube {
	hk := &HyperKube{
		Name:           "hk",
		Long:           "hk is a toy: what its servers do is said in one line each.",
		Version:        func() string { return "v1.2.3" },
		DefaultServers: []string{"test2"},
		Banner:         func(p *Plan) string { return "The state is in the folder of " + p.Name + "." },
	}
	test1 := newTest1()
	hk.AddServer(test1)

	test2 := &Server{SimpleUsage: "test2", Long: "It needs test1.", Run: idle, ProcessFlags: []string{"gates"},
		Needs:   []Need{{Server: "test1", Unless: []string{"address"}}},
		Address: func(*Server) string { return "127.0.0.1:2" }}
	test2.Flags().String("address", "", "where test1 is")
	test2.Flags().StringSlice("gates", nil, "what is on in the whole process")
	hk.AddServer(test2)

	hk.AddServer(&Server{SimpleUsage: "both", Long: "Both of them.", Members: []string{"test1", "test2"}})
	hk.AddServer(&Server{SimpleUsage: "raw [WORD...]", Long: "It does what it likes with its arguments.",
		Main: func(_ context.Context, _ *Server, args []string) error {
			fmt.Println("raw:", strings.Join(args, " "))
			return nil
		}})
	hk.AddServer(&Server{SimpleUsage: "broken", Long: "It fails.", Restart: RestartNever, Needs: []Need{{Server: "test1"}},
		Run: func(context.Context, *Server, []string) error { return errors.New("out of ink") }})

	// The servers that end a run send a signal to the process that they are in: a script cannot know when it is ready.
	hk.AddServer(&Server{SimpleUsage: "ender", Long: "It ends the run.", Needs: []Need{{Server: "test2"}},
		Run: idle,
		// Its address is asked for when it, the last one, has become ready.
		Address: func(*Server) string { return fmt.Sprint("ended: ", signalSelf(syscall.SIGTERM) == nil) }})
	hk.AddServer(&Server{SimpleUsage: "stubborn", Long: "It does not stop, and has the run ended by force.",
		Run: func(ctx context.Context, _ *Server, _ []string) error {
			<-ctx.Done()
			for ; ; time.Sleep(time.Millisecond) { // what comes within a second is the signal that it ends by
				if err := signalSelf(syscall.SIGINT); err != nil {
					panic(err)
				}
			}
		},
		Ready: func(context.Context, *Server) error { return signalSelf(syscall.SIGTERM) }})
	hk.AddServer(newPuppet())
	hk.AddServer(newPicky())
	hk.AddServer(&Server{SimpleUsage: "brief", Long: "It starts test1 and test2, and ends.", Members: []string{"test1", "test2", "ender"}})
	return hk
}

// newPicky returns a server that is ready when it has found what it needs: who takes that away afterwards does not end
// it.
func newPicky() *Server {
	found := make(chan struct{}, 1)
	return &Server{SimpleUsage: "picky", Long: "It needs a file named disk to start.",
		Run: func(ctx context.Context, _ *Server, _ []string) error {
			if !isThere("disk") {
				return errors.New("no disk")
			}
			select {
			case found <- struct{}{}:
			default: // the start before has not asked
			}
			<-ctx.Done()
			return nil
		},
		Ready: func(ctx context.Context, _ *Server) error {
			select {
			case <-found:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
}

// newTest1 returns a server that has flags of several kinds.
func newTest1() *Server {
	s := &Server{SimpleUsage: "test1", Aliases: []string{"one"}, Long: "It says what it was given, and waits.", ProcessFlags: []string{"gates"},
		Defaults: func(p *Plan, s *Server) error { return s.Default("store", p.Path("test1")) },
		Check: func(_ context.Context, p *Plan, s *Server) error {
			if port, err := strconv.Atoi(s.Value("port")); err != nil || port > 65535 {
				return fmt.Errorf("test1: --port=%s is no port", s.Value("port"))
			}
			return nil
		},
		Run: func(ctx context.Context, s *Server, args []string) error {
			fmt.Printf("test1: port %s, arguments %q\n", s.Value("port"), args)
			for _, flag := range []string{"label", "tag", "note", "gates"} {
				if s.Given(flag) {
					fmt.Printf("test1: %s %s\n", flag, s.Value(flag))
				}
			}
			if len(args) == 0 { // beside others
				<-ctx.Done()
			}
			return nil
		}}
	fs := s.Flags()
	fs.IntP("port", "p", 8080, "where to listen")
	fs.StringToString("label", nil, "KEY=VALUE to be known by")
	fs.StringSlice("tag", nil, "words to be found by")
	fs.StringArray("note", nil, "something to remember")
	fs.String("token", "", "what clients have to know")
	fs.String("store", "", "folder of its own")
	fs.Int("old-port", 0, "where it has listened")
	fs.StringSlice("gates", nil, "what is on in the whole process")
	if err := fs.MarkDeprecated("old-port", "use --port"); err != nil {
		panic(err)
	}
	return s
}

// newPuppet returns a server that does as it is told, one thing after the other, and then waits.
func newPuppet() *Server {
	var log string // the program's file
	puppet := &Server{SimpleUsage: "puppet", Long: "It does what it is told.", Restart: RestartNever, VModuleFlag: "vmodule",
		Prepare: func(_ context.Context, p *Plan, _ *Server) error {
			log = p.Path("logs", "hk.log")
			return nil
		},
		Check: func(ctx context.Context, _ *Plan, s *Server) error {
			if s.Value("do") != "TERM before" {
				return nil
			}
			if err := signalSelf(syscall.SIGTERM); err != nil {
				return err
			}
			return poll(ctx, "end", func() bool { return false }) // as one who reads a pipe that nobody writes into
		},
		Run: func(ctx context.Context, s *Server, _ []string) error {
			for step := range strings.SplitSeq(s.Value("do"), ";") {
				if err := move(ctx, s, strings.TrimSpace(step), log); err != nil {
					return err
				}
			}
			<-ctx.Done()
			return nil
		}}
	puppet.Flags().String("do", "", "info TEXT, warn TEXT, more TEXT (at V(3)), print TEXT, wait TEXT (in the program's log file), until FILE (is there), HUP, TERM, TERM before (it starts), crash HOW, or fail")
	puppet.Flags().String("vmodule", "", "FILE=N")
	return puppet
}

func move(ctx context.Context, s *Server, step, log string) error {
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
		return poll(ctx, fmt.Sprintf("%q in %s", text, log), func() bool {
			found, err := os.ReadFile(log)
			return err != nil || strings.Contains(string(found), text)
		})
	case "until":
		return poll(ctx, text, func() bool { return isThere(text) })
	case "HUP":
		return signalSelf(syscall.SIGHUP)
	case "TERM":
		return signalSelf(syscall.SIGTERM)
	case "crash":
		go crashes[text]()
	default:
		return errors.New(step)
	}
	return nil
}

func isThere(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// poll waits until ok returns true, or the server is to stop.
func poll(ctx context.Context, what string, ok func() bool) error {
	for deadline := time.Now().Add(patience); !ok() && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("no %s", what)
		}
	}
	return ctx.Err()
}

// crashes are ways in which a goroutine of a server ends the process; package crash tests others.
var crashes = map[string]func(){
	"panic": func() { panic("out of ink") },
	"map": func() {
		shared := map[int]int{}
		for range 4 {
			go func() {
				for {
					shared[0]++
				}
			}()
		}
	},
	"KILL": func() { _ = signalSelf(os.Kill) },
	"exit": func() { os.Exit(3) },
}

// outgrow uses more memory than there is.
func outgrow() {
	for all := [][]byte{}; ; {
		block := make([]byte, 1<<20)
		for i := range block {
			block[i] = byte(i)
		}
		all = append(all, block)
	}
}

func signalSelf(s os.Signal) error {
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		return err
	}
	return self.Signal(s)
}
