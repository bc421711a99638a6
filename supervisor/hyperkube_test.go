package supervisor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// callee is a server that takes note of its calls.
type callee struct {
	Server
	args  [][]string
	level int
}

func newCallee(usage string, aliases ...string) *callee {
	c := &callee{Server: Server{SimpleUsage: usage, Long: "It answers to " + usage + ".", Aliases: aliases}}
	c.Run = func(_ context.Context, _ *Server, args []string) error {
		c.args = append(c.args, args)
		return nil
	}
	c.Flags().IntVar(&c.level, "level", 0, "how high")
	return c
}

func TestRunsTheServerThatIsNamed(t *testing.T) {
	for _, test := range []struct {
		name   string
		args   []string
		linked bool
	}{
		{name: "first word", args: []string{"hk", "test1"}},
		{name: "first word, binary with a path", args: []string{"/usr/bin/hk", "test1"}},
		{name: "first word, binary with a version", args: []string{"hk-v1.37", "test1"}},
		{name: "alias", args: []string{"hk", "old-test1"}},
		{name: "link", args: []string{"test1"}, linked: true},
		{name: "link with a path", args: []string{"/usr/bin/test1"}, linked: true},
		{name: "link with a relative path", args: []string{"./test1"}, linked: true},
		{name: "link with an alias", args: []string{"old-test1"}, linked: true},
		{name: "link with a version", args: []string{"test1-v1.37"}, linked: true},
		{name: "link with a longer version", args: []string{"test1-3.7.2"}, linked: true},
		{name: "link with an alias and a version", args: []string{"/opt/old-test1-v1.37.2"}, linked: true},
		{name: "link on Windows", args: []string{"test1.exe"}, linked: true},
		{name: "link of a login shell", args: []string{"-test1"}, linked: true},
		{name: "binary of a debugger", args: []string{"/src/__debug_bin123", "test1"}},
		{name: "binary with a system", args: []string{"./hk-linux-amd64", "test1"}},
		{name: "binary with a system, on Windows", args: []string{"hk-windows-amd64.exe", "test1"}},
		{name: "second download", args: []string{"/home/me/hk (1)", "test1"}},
		{name: "plugin", args: []string{"tool-hk", "test1"}},
		{name: "server's name within another", args: []string{"my-test1", "test1"}},
		{name: "no name", args: []string{"", "test1"}},
		{name: "folder", args: []string{"/", "test1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test1, test2 := newCallee("test1", "old-test1"), newCallee("test2")
			hk := newHyperKube(t, &test1.Server, &test2.Server)
			out, err := call(hk, append(test.args, "--level=3", "word")...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([][]string{{"word"}}, test1.args); diff != "" {
				t.Errorf("calls of test1 (-want +got):\n%s", diff)
			}
			if test1.level != 3 {
				t.Errorf("--level is %d, want 3", test1.level)
			}
			if test1.Linked() != test.linked {
				t.Errorf("Linked() is %v, want %v", test1.Linked(), test.linked)
			}
			if len(test2.args) > 0 {
				t.Error("test2 has been run, too")
			}
			if out != "" {
				t.Errorf("printed %q", out)
			}
		})
	}
}

// A link may carry a name that only looks as if a version stood at its end.
func TestLinkNameWinsOverVersionSuffix(t *testing.T) {
	plain, numbered := newCallee("test"), newCallee("test-2")
	if _, err := call(newHyperKube(t, &plain.Server, &numbered.Server), "test-2"); err != nil {
		t.Fatal(err)
	}
	if len(plain.args) != 0 || len(numbered.args) != 1 {
		t.Errorf("test ran %d times and test-2 %d times, want 0 and 1", len(plain.args), len(numbered.args))
	}
}

func TestWrongUsageRunsNothing(t *testing.T) {
	for _, test := range []struct {
		name  string
		args  []string
		want  []string // is printed
		usage string   // whose usage is printed
	}{
		{"no server", []string{"hk"}, []string{"Error: no server specified\n"}, "hk run [SERVER"},
		{"unknown server", []string{"hk", "nonsense"}, []string{"Error: server not found: nonsense\n"}, "hk run [SERVER"},
		{"misspelt server", []string{"hk", "tets1"}, []string{"server not found: tets1 (did you mean test1?)"}, "hk run [SERVER"},
		{"misspelt command", []string{"hk", "vershion"}, []string{"server not found: vershion (did you mean version?)"}, "hk run [SERVER"},
		{"other name", []string{"bogus"}, []string{"Error: no server specified\n"}, "hk run [SERVER"},
		{"misspelt link", []string{"/usr/bin/tets1", "--level=1"}, []string{"Error: unknown flag: --level ",
			"; called as tets1, it is hk, and not a server (did you mean test1?)\n"}, "hk run [SERVER"},
		{"flag with control characters", []string{"hk", "--a\x1b[2J\a=1\r\xff"}, []string{"Error: unknown flag: --a\\x1b[2J\\a\n"}, "hk run [SERVER"},
		{"empty word", []string{"hk", ""}, []string{"Error: server not found: \"\"\n"}, "hk run [SERVER"},
		{"control characters", []string{"hk", "a\x1b[2J\n"}, []string{"Error: server not found: \"a\\x1b[2J\\n\"\n"}, "hk run [SERVER"},
		{"unknown flag of hk", []string{"hk", "--bogus", "test1"}, []string{"unknown flag: --bogus"}, "hk run [SERVER"},
		{"flag of the server before it", []string{"hk", "--level=1", "test1"}, []string{"unknown flag: --level"}, "hk run [SERVER"},
		{"unknown flag of the server", []string{"hk", "test1", "--bogus"}, []string{"unknown flag: --bogus"}, "  hk test1 [flags]"},
		{"flag of hk behind the server", []string{"hk", "test1", "--data-dir=x"}, []string{"unknown flag: --data-dir"}, "  hk test1 [flags]"},
		{"wrong value", []string{"hk", "test1", "--level=high"}, []string{`invalid argument "high" for "--level" flag`}, "  hk test1 [flags]"},
		{"unknown flag of a command", []string{"hk", "version", "--bogus"}, []string{"unknown flag: --bogus"}, "  hk version [flags]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test1 := newCallee("test1")
			out, err := call(newHyperKube(t, &test1.Server), test.args...)
			wantCode(t, err, 2)
			contains(t, out, append(test.want, "Usage\n\n", test.usage)...)
			if n := strings.Count(out, "Error:"); n != 1 {
				t.Errorf("%d errors are printed, want 1:\n%s", n, out)
			}
			if len(test1.args) > 0 {
				t.Error("test1 has been run")
			}
		})
	}
}

func TestHelp(t *testing.T) {
	const ofAll, ofOne = "\nServers\n\n  test1 (old-test1)\n    It answers to test1.\n", "      --level int"
	for _, test := range []struct {
		name string
		args []string
		want []string
	}{
		{"hk", []string{"hk", "--help"}, []string{ofAll, "Commands\n\n", "--make-symlinks"}},
		{"hk, short", []string{"hk", "-h"}, []string{ofAll}},
		{"hk, before a server", []string{"hk", "--help", "test1"}, []string{"It answers to test1.\n\nUsage\n\n  hk test1 [flags]", ofOne}},
		{"hk, before a command", []string{"hk", "-h", "version"}, []string{"Print the version."}},
		{"word", []string{"hk", "help"}, []string{ofAll}},
		{"server", []string{"hk", "test1", "--help"}, []string{"It answers to test1.\n\nUsage\n\n  hk test1 [flags]", "\n  hk run test1", ofOne}},
		{"server, short", []string{"hk", "test1", "-h"}, []string{ofOne}},
		{"link", []string{"test1", "--help"}, []string{ofOne}},
		{"help of a server", []string{"hk", "help", "test1"}, []string{ofOne, "--test1.log-level", "--test1.grace-period"}},
		{"help of an alias", []string{"hk", "help", "old-test1"}, []string{ofOne}},
		{"help of run", []string{"hk", "help", "run"}, []string{"hk run [SERVER,SERVER...] [flags]", "--ephemeral", "--SERVER.log-level"}},
		{"run", []string{"hk", "run", "--help"}, []string{"None named means test1.", "--free-ports"}},
		{"command", []string{"hk", "version", "--help"}, []string{"Print the version.\n\nUsage\n\n  hk version [flags]\n", "--name string"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test1 := newCallee("test1", "old-test1")
			out, err := call(newHyperKube(t, &test1.Server), test.args...)
			if err != nil {
				t.Error(err)
			}
			contains(t, out, test.want...)
			lacks(t, out, "Error")
			if len(test1.args) > 0 {
				t.Error("test1 has been run")
			}
		})
	}
}

func TestHelpOfUnknownWord(t *testing.T) {
	out, err := call(newHyperKube(t, &newCallee("test1").Server), "hk", "help", "test")
	wantCode(t, err, 2)
	if want := "Error: server not found: test (did you mean test1?); there are the servers test1, the commands run, version, help, logs, status, start, " +
		"stop, restart, log-level, top, profile, analyze, config, doctor, reset, completion, `hk help topics`, which lists what else there is to read " +
		"about, and `hk help flag WORD`, which searches flags\n"; out != want {
		t.Errorf("printed %q, want %q", out, want)
	}
}

// The flags of a group stand under its heading, and not once more among the others.
func TestHelpShowsFlagGroups(t *testing.T) {
	s := &Server{SimpleUsage: "test1", Run: done}
	s.Flags().Bool("plain", false, "in no group")
	group := newFlagSet("")
	group.String("cipher", "", "in a group")
	s.AddFlagGroup("secure serving", group)
	out, err := call(newHyperKube(t, s), "hk", "test1", "--help")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, out, "\nFlags\n\n      --plain", "\nSecure serving flags\n\n      --cipher")
	if n := strings.Count(out, "--cipher"); n != 1 {
		t.Errorf("--cipher is shown %d times, want once:\n%s", n, out)
	}
}

func TestMainGetsItsArgumentsAsTheyAre(t *testing.T) {
	for _, test := range []struct{ call, want []string }{
		{[]string{"hk", "raw"}, nil},
		{[]string{"hk", "raw", "--help"}, []string{"--help"}},
		{[]string{"raw", "get", "-o", "yaml", "--", "-x"}, []string{"get", "-o", "yaml", "--", "-x"}},
		{[]string{"hk", "help", "raw"}, []string{"--help"}},
		{[]string{"hk", "--name=other", "raw", "--name=mine"}, []string{"--name=mine"}},
	} {
		t.Run(strings.Join(test.call, " "), func(t *testing.T) {
			var got []string
			raw := &Server{SimpleUsage: "raw", Main: func(_ context.Context, _ *Server, args []string) error {
				got = append(got, args...)
				return nil
			}}
			if _, err := call(newHyperKube(t, raw), test.call...); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExitCodeOfOneServer(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		code int
		want string
	}{
		{"none", nil, 0, ""},
		{"failure", errors.New("out of ink"), 1, "Error: test1: out of ink\n"},
		{"code of its own", &ExitError{Code: 7, Err: errors.New("out of ink")}, 7, "Error: test1: out of ink\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &Server{SimpleUsage: "test1", Run: func(context.Context, *Server, []string) error { return test.err }}
			out, err := call(newHyperKube(t, s), "hk", "test1")
			wantCode(t, err, test.code)
			if out != test.want {
				t.Errorf("printed %q, want %q", out, test.want)
			}
		})
	}
}

// A Main may have told the user already, and ask for nothing but the code.
func TestExitErrorWithoutErrPrintsNothing(t *testing.T) {
	s := &Server{SimpleUsage: "raw", Main: func(context.Context, *Server, []string) error { return &ExitError{Code: 3} }}
	out, err := call(newHyperKube(t, s), "raw")
	wantCode(t, err, 3)
	if out != "" {
		t.Errorf("printed %q", out)
	}
}

func TestVersion(t *testing.T) {
	for _, args := range [][]string{{"hk", "version"}, {"hk", "--version"}} {
		hk := newHyperKube(t)
		hk.Version = func() string { return "v1.2.3\nwith cheese\n" }
		out, err := call(hk, args...)
		if want := "hk v1.2.3\nwith cheese\n"; err != nil || out != want {
			t.Errorf("%v: printed %q, %v, want %q", args, out, err, want)
		}
	}
}

func TestCommand(t *testing.T) {
	hk := newHyperKube(t)
	flags := newFlagSet("")
	loud := flags.Bool("loud", false, "aloud")
	var got []string
	hk.AddCommand(&Command{Name: "greet", Args: "NAME", Short: "say hello", Flags: flags,
		Run: func(_ context.Context, _ *HyperKube, p *Plan, args []string) error {
			got = append(got, p.Name, p.DataDir)
			got = append(got, args...)
			return nil
		}})
	if _, err := call(hk, "hk", "greet", "--name=second", "--data-dir=/tmp/x", "--loud", "Ann"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"second", "/tmp/x", "Ann"}, got); diff != "" || !*loud {
		t.Errorf("loud: %v; name, folder and arguments (-want +got):\n%s", *loud, diff)
	}
	out, err := call(hk, "hk", "greet", "--help")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, out, "Say hello.\n\nUsage\n\n  hk greet NAME [flags]\n", "--loud")
}

func TestAddCommandPanics(t *testing.T) {
	for _, name := range []string{"run", "version", "help", "greet", "test1"} {
		hk := newHyperKube(t, &newCallee("test1").Server)
		hk.AddCommand(&Command{Name: "greet"})
		if text := panics(func() { hk.AddCommand(&Command{Name: name}) }); !strings.Contains(text, name) {
			t.Errorf("%s: panic %q, want one that names it", name, text)
		}
	}
}

// What is called by its own name is built, too.
func TestBuildsAlone(t *testing.T) {
	var calls []string
	hk := newHyperKube(t)
	hk.AddServer(&Server{
		SimpleUsage: "built",
		Build:       func(context.Context, *Server) error { calls = append(calls, "build"); return nil },
		Run:         func(context.Context, *Server, []string) error { calls = append(calls, "run"); return nil },
	})
	if _, err := call(hk, "built"); err != nil {
		t.Error(err)
	}
	if fmt.Sprint(calls) != "[build run]" {
		t.Errorf("called: %q", calls)
	}
}
