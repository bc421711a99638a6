package supervisor

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// joining are two servers, and a third one that joins with a process-wide flag or one of its own, and needs the first
// of them.
func joining() []*Server {
	loader := &Server{SimpleUsage: "loader", Run: idle, Needs: []Need{{Server: "db"}}, ProcessFlags: []string{"load"}, JoinsWith: []string{"load", "seed"}}
	loader.Flags().StringArray("load", nil, "")
	loader.Flags().String("seed", "", "")
	loader.Flags().Int("speed", 0, "")
	return []*Server{{SimpleUsage: "db", Run: idle}, {SimpleUsage: "log", Run: idle}, {SimpleUsage: "both", Members: []string{"db", "log"}}, loader}
}

// A server joins where the user gives one of its flags; where the command line names servers, only its flags count.
func TestJoinsWith(t *testing.T) {
	for _, test := range []struct {
		name string
		input
		want   string // the servers, in order
		joined string
	}{
		{"without", input{}, "log", ""},
		{"the process's flag", input{args: []string{"--load=x"}}, "log, db, loader", "loader joins: --load is given; db joins: loader needs it"},
		{"with its namespace", input{args: []string{"--loader.load=x"}}, "log, db, loader", "loader joins: --load is given; db joins: loader needs it"},
		{"its own flag", input{args: []string{"--loader.seed=x"}}, "log, db, loader", "loader joins: --loader.seed is given; db joins: loader needs it"},
		{"beside named ones", input{args: []string{"db", "--load=x"}}, "db, loader", "loader joins: --load is given"},
		{"named", input{args: []string{"loader", "--load=x"}}, "db, loader", "db joins: loader needs it"},
		{"a file", input{files: []string{"load: [x, y]"}}, "log, db, loader", "loader joins: --load is given; db joins: loader needs it"},
		{"a file, in its section", input{files: []string{"loader:\n  seed: x"}}, "log, db, loader", "loader joins: --loader.seed is given; db joins: loader needs it"},
		{"a file that names servers", input{files: []string{"servers: db\nload: x"}}, "db, loader", "loader joins: --load is given"},
		{"a file, beside named ones", input{files: []string{"load: x"}, args: []string{"db"}}, "db", ""},
		{"the environment", input{environ: []string{"HK_LOAD=x"}}, "log, db, loader", "loader joins: --load is given; db joins: loader needs it"},
		{"the environment, beside named ones", input{environ: []string{"HK_LOADER_SEED=x"}, args: []string{"db"}}, "db", ""},
		{"both, beside named ones", input{files: []string{"load: x"}, args: []string{"db", "--load=y"}}, "db, loader", "loader joins: --load is given"},
		{"a file, with a composite by its name", input{files: []string{"load: x"}, called: "both"}, "db, log", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			hk := newHyperKube(t, joining()...)
			hk.DefaultServers = []string{"log"}
			p, err := test.plan(t, hk)
			if err != nil {
				t.Fatal(err)
			}
			if got := nameList(p.Servers); got != test.want {
				t.Errorf("selected: %s, want %s", got, test.want)
			}
			var joined []string
			for _, j := range p.given.joined {
				joined = append(joined, j.String())
			}
			if diff := cmp.Diff(test.joined, strings.Join(joined, "; ")); diff != "" {
				t.Errorf("joined (-want +got):\n%s", diff)
			}
		})
	}
}

// A flag with which nothing joins does not have its server join, and a composite called by its name has nobody join.
func TestJoinsNot(t *testing.T) {
	for _, test := range []struct {
		name string
		input
		want string
	}{
		{"another flag of its own", input{args: []string{"--loader.speed=1"}}, "--loader.speed is given, but loader is not selected"},
		{"a composite", input{args: []string{"--load=x"}, called: "both"}, "--load is given, but no selected server has it: it is a flag of loader"},
	} {
		t.Run(test.name, func(t *testing.T) {
			hk := newHyperKube(t, joining()...)
			hk.DefaultServers = []string{"log"}
			if _, err := test.plan(t, hk); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

// The values reach the server in the order of their sources, and what --print-config prints has it join again.
func TestJoinedServerGetsItsFlag(t *testing.T) {
	hk := newHyperKube(t, joining()...)
	p, err := input{files: []string{"load: [x, y]"}, environ: []string{"HK_LOAD=z"}, args: []string{"db", "--load=a,b"}}.plan(t, hk)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := server(t, hk, "loader").Value("load"), `[x,y,z,"a,b"]`; got != want {
		t.Errorf("load is %s, want %s", got, want)
	}
	if err := hk.printConfig(p); err != nil {
		t.Fatal(err)
	}
	printed := bufferOf(hk).String()
	again := newHyperKube(t, joining()...)
	if p, err = (input{files: []string{printed}}).plan(t, again); err != nil {
		t.Fatalf("%v\n%s", err, printed)
	}
	if got := nameList(p.Servers) + " " + server(t, again, "loader").Value("load"); got != `db, loader [x,y,z,"a,b"]` {
		t.Errorf("from what is printed: %s\n%s", got, printed)
	}
}
