package supervisor

import (
	"fmt"
	"slices"
	"testing"
)

// panics returns what f panics with, as text, or "" if it does not.
func panics(f func()) (text string) {
	defer func() {
		if v := recover(); v != nil {
			text = fmt.Sprint(v)
		}
	}()
	f()
	return ""
}

func withFlag(s *Server, name string) *Server {
	s.Flags().String(name, "", "")
	return s
}

func TestAddServerPanics(t *testing.T) {
	type test struct {
		name string
		s    *Server
		want string
	}
	tests := []test{
		{"no name", &Server{Run: done}, "without a name"},
		{"no name, but arguments", &Server{SimpleUsage: " [FILE]", Run: done}, "without a name"},
		{"nothing to run", &Server{SimpleUsage: "new"}, `server "new" has neither Run nor Main nor Members`},
		{"name taken", &Server{SimpleUsage: "old", Run: done}, `the name "old" of server "old" is taken by server "old"`},
		{"name is an alias", &Server{SimpleUsage: "former", Run: done}, `the name "former" of server "former" is taken by server "old"`},
		{"alias taken", &Server{SimpleUsage: "new", Aliases: []string{"x", "old"}, Run: done}, `the name "old" of server "new" is taken by server "old"`},
		{"name of the binary", &Server{SimpleUsage: "hk", Run: done}, `the name "hk" of server "hk" is reserved`},
		{"name of a command", &Server{SimpleUsage: "greet", Run: done}, `the name "greet" of server "greet" is that of a command`},
		{"alias of a command", &Server{SimpleUsage: "new", Aliases: []string{"greet"}, Run: done}, `the name "greet" of server "new" is that of a command`},
	}
	for _, name := range []string{"quiet", "config", "data-dir"} {
		tests = append(tests, test{"flag of run " + name, &Server{SimpleUsage: "new", Aliases: []string{name}, Run: done}, fmt.Sprintf("the name %q of server", name)})
	}
	for _, name := range []string{"a.b", "a,b", "a=b", "a b"} {
		tests = append(tests, test{"name " + name, &Server{SimpleUsage: "new", Aliases: []string{name}, Run: done}, "has a character that ends a name"})
	}
	for _, name := range reserved {
		tests = append(tests, test{"reserved " + name, &Server{SimpleUsage: name, Run: done}, fmt.Sprintf("the name %q of server %q is reserved", name, name)})
		tests = append(tests, test{"reserved alias " + name, &Server{SimpleUsage: "new", Aliases: []string{name}, Run: done}, "is reserved"})
	}
	for _, name := range []string{"log-level", "log-file", "restart", "grace-period", "isolation"} {
		tests = append(tests, test{"flag " + name, withFlag(&Server{SimpleUsage: "new", Run: done}, name),
			fmt.Sprintf(`server "new" has a flag --%s`, name)})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			hk := newHyperKube(t, &Server{SimpleUsage: "old", Aliases: []string{"former"}, Run: done})
			hk.AddCommand(&Command{Name: "greet"})
			contains(t, panics(func() { hk.AddServer(test.s) }), test.want)
			if n := len(hk.Servers()); n != 1 {
				t.Errorf("there are %d servers, want 1", n)
			}
		})
	}
}

// A server whose flags are costly adds them late, and the clash is found then.
func TestLateFlagClashPanics(t *testing.T) {
	s := &Server{SimpleUsage: "late", Run: done, AddFlags: func(s *Server) { withFlag(s, "restart") }}
	hk := newHyperKube(t, s)
	contains(t, panics(func() { _, _ = call(hk, "hk", "run", "late") }), `server "late" has a flag --restart`)
}

func TestFlagsAreMadeOnceAndWhenNeeded(t *testing.T) {
	made := 0
	s := &Server{SimpleUsage: "late", Run: done, AddFlags: func(s *Server) {
		made++
		withFlag(s, "port")
	}}
	other := &Server{SimpleUsage: "other", Run: done}
	hk := newHyperKube(t, s, other)
	if _, err := call(hk, "hk", "other"); err != nil || made != 0 {
		t.Fatalf("flags were made %d times for another server, %v", made, err)
	}
	if _, err := call(hk, "hk", "run", "--late.port=1"); err != nil || made != 1 {
		t.Errorf("flags were made %d times, want once; %v", made, err)
	}
}

// AddServer goes by the list alone, not by the commands.
func TestBuiltInCommandsAreReserved(t *testing.T) {
	for _, c := range (&HyperKube{Name: "hk"}).allCommands() {
		if !slices.Contains(reserved, c.Name) {
			t.Errorf("a server could have the name of the command %q: put it into reserved", c.Name)
		}
	}
}
