package main

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-200a7251/km/supervisor"
)

// Classes of flags that several servers have.
const (
	processClass = "process" // one value for the process
	ownClass     = "own"     // each server keeps its own value, which takes effect in that server only
	jointClass   = "joint"   // each server keeps its own value, and each of them acts on the process
	refusedClass = "refused" // given beside other servers it is an error
)

// sharedName is one line of testdata/shared.txt.
type sharedName struct {
	class  string
	except map[string]string // classes of single servers for which it is another one
}

// of is the class that the flag has in a server.
func (n sharedName) of(s *supervisor.Server) string {
	if class, ok := n.except[s.Name()]; ok {
		return class
	}
	return n.class
}

// readShared reads testdata/shared.txt.
func readShared(t *testing.T) map[string]sharedName {
	t.Helper()
	file := filepath.Join("testdata", "shared.txt")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]sharedName{}
	for line := range strings.Lines(string(text)) {
		entry, reason, _ := strings.Cut(line, "#")
		words := strings.Fields(entry)
		if len(words) == 0 {
			continue
		}
		if len(words) < 2 || strings.TrimSpace(reason) == "" {
			t.Fatalf("%s: %q is not of the form NAME CLASS [SERVER=CLASS]... # REASON", file, line)
		}
		if _, twice := table[words[0]]; twice {
			t.Errorf("%s has %s twice: remove one of the lines", file, words[0])
		}
		n := sharedName{class: words[1], except: map[string]string{}}
		for _, word := range words[2:] {
			server, class, _ := strings.Cut(word, "=")
			n.except[server] = class
		}
		for _, class := range append(slices.Collect(maps.Values(n.except)), n.class) {
			if !slices.Contains([]string{processClass, ownClass, jointClass, refusedClass}, class) {
				t.Errorf("%s: %s has the class %q: there are process, own, joint and refused", file, words[0], class)
			}
		}
		table[words[0]] = n
	}
	return table
}

// A flag that several servers have may be one variable of the process upstream. Somebody has to look, for each of them.
func TestSharedNames(t *testing.T) {
	owners := map[string][]*supervisor.Server{}
	for _, s := range runnable() {
		for _, f := range all(s.Flags()) {
			owners[f.Name] = append(owners[f.Name], s)
		}
	}
	table := readShared(t)
	for _, name := range slices.Sorted(maps.Keys(owners)) {
		n, listed := table[name]
		delete(table, name)
		switch servers := owners[name]; {
		case len(servers) < 2 && listed:
			t.Errorf("Only %s has --%s now: remove it from testdata/shared.txt, and see what became of it in the others.", servers[0].Name(), name)
		case len(servers) >= 2 && !listed:
			t.Errorf("%s have a flag --%s: find out upstream whether its value ends in a variable of a package or in anything else that "+
				"the process has once, and add it to testdata/shared.txt; if so, it belongs into servers/process.Flags, too.", serverNames(servers), name)
		case listed:
			checkClass(t, name, n, servers)
		}
	}
	for name := range table {
		t.Errorf("No server has --%s any more: remove it from testdata/shared.txt.", name)
	}
}

func serverNames(servers []*supervisor.Server) string {
	var names []string
	for _, s := range servers {
		names = append(names, s.Name())
	}
	return strings.Join(names, ", ")
}

// checkClass compares a line of the table with what the servers declare.
func checkClass(t *testing.T, name string, n sharedName, servers []*supervisor.Server) {
	t.Helper()
	for _, s := range servers {
		class, process := n.of(s), isProcess(s, name)
		switch {
		case class == processClass && !process:
			t.Errorf("testdata/shared.txt says that --%s has one value for the process, but %s does not have it in ProcessFlags: "+
				"add it to servers/process.Flags, or correct the table.", name, s.Name())
		case class != processClass && process:
			t.Errorf("testdata/shared.txt says that --%s is %s in %s, but it is in ProcessFlags there: correct one of them.", name, class, s.Name())
		}
	}
	for server := range n.except {
		if !slices.ContainsFunc(servers, func(s *supervisor.Server) bool { return s.Name() == server }) {
			t.Errorf("testdata/shared.txt has an exception for --%s of %s, which does not have it: remove the exception.", name, server)
		}
	}
}

// refusals are what servers say of flags that make no sense beside others. The executor also refuses flags of real
// nodes while its nodes are simulated, which is no refusal in this sense.
var refusals = []string{"has no effect beside other servers", "does one thing and ends"}

// What the table calls refused is refused by each server, whatever else there is to say.
func TestRefusedNames(t *testing.T) {
	table := readShared(t)
	for _, f := range flagsOf(runnable()) {
		n, listed := table[f.Name]
		if !listed || n.of(f.s) != refusedClass {
			continue
		}
		err := checkGiven(t, f)
		refused := err != nil && slices.ContainsFunc(refusals, func(text string) bool {
			return strings.Contains(err.Error(), f.String()+" "+text)
		})
		if !refused {
			t.Errorf("testdata/shared.txt says that %v is refused, but it is not (%v): refuse it, as component.RefuseLogFlags does, or correct the table.", f, err)
		}
	}
}

// checkGiven calls the Check of a flag's server as if the user had given the flag with its default.
func checkGiven(t *testing.T, f serverFlag) error {
	t.Helper()
	hk := newKM()
	if err := hk.RunFlags().Set(f.s.Name()+"."+f.Name, f.DefValue); err != nil {
		t.Fatalf("%v does not take its own default: %v", f, err)
	}
	s, err := hk.FindServer(f.s.Name())
	if err != nil {
		t.Fatal(err)
	}
	return s.Check(context.Background(), &supervisor.Plan{}, s)
}
