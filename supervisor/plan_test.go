package supervisor

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// planned returns the plan for these arguments of `run`.
func planned(t testing.TB, hk *HyperKube, args ...string) (*Plan, error) {
	t.Helper()
	hk.SetOut(&lockedBuffer{})
	return hk.plan(nil, args, nil)
}

// chain are four servers that can be run: ui needs api, which needs db unless it is told where one is; a tool that
// cannot; and two composites.
func chain() []*Server {
	api := &Server{SimpleUsage: "api", Aliases: []string{"old-api"}, Run: idle,
		Needs: []Need{{Server: "db", Unless: []string{"db-address", "no-db"}}}}
	api.Flags().String("db-address", "", "")
	api.Flags().Bool("no-db", false, "")
	return []*Server{
		{SimpleUsage: "ui", Run: idle, Needs: []Need{{Server: "old-api"}}},
		{SimpleUsage: "tool FILE", Main: done},
		api,
		{SimpleUsage: "db", Run: idle},
		{SimpleUsage: "log", Run: idle},
		{SimpleUsage: "front", Members: []string{"ui", "log"}},
		{SimpleUsage: "everything", Members: []string{"front", "db"}},
	}
}

func TestSelection(t *testing.T) {
	for _, test := range []struct {
		name     string
		defaults []string
		args     []string
		want     string // the servers, in order
		joined   []string
	}{
		{name: "one", args: []string{"db"}, want: "db"},
		{name: "two", args: []string{"log,db"}, want: "log, db"},
		{name: "each after those that it needs", args: []string{"api,log,db"}, want: "db, api, log"},
		{name: "any order", args: []string{"db,ui,api"}, want: "db, api, ui"},
		{name: "several words and spaces", args: []string{"log, db", "api,"}, want: "log, db, api"},
		{name: "repeats", args: []string{"db,db", "log", "db"}, want: "db, log"},
		{name: "alias", args: []string{"old-api,api,db"}, want: "db, api"},
		{name: "what is needed joins", args: []string{"log,api"}, want: "log, db, api",
			joined: []string{"db joins: api needs it (--api.db-address would name one elsewhere)"}},
		{name: "and what that needs", args: []string{"ui"}, want: "db, api, ui",
			joined: []string{"api joins: ui needs it", "db joins: api needs it (--api.db-address would name one elsewhere)"}},
		{name: "unless it is elsewhere", args: []string{"api", "--api.db-address=x"}, want: "api"},
		{name: "or not wanted", args: []string{"ui", "--api.no-db"}, want: "api, ui", joined: []string{"api joins: ui needs it"}},
		{name: "elsewhere, but selected all the same", args: []string{"api,db", "--api.db-address=x"}, want: "db, api"},
		{name: "nothing is all", args: nil, want: "db, api, ui, log"},
		{name: "empty is all", args: []string{""}, want: "db, api, ui, log"},
		{name: "all", args: []string{"all"}, want: "db, api, ui, log"},
		{name: "nothing is the default", defaults: []string{"log", "db"}, want: "log, db"},
		{name: "all is the default, too", defaults: []string{"log", "db"}, args: []string{"api,all"}, want: "db, api, log"},
		{name: "composite", args: []string{"front"}, want: "db, api, ui, log",
			joined: []string{"api joins: ui needs it", "db joins: api needs it (--api.db-address would name one elsewhere)"}},
		{name: "composite of composites", args: []string{"everything"}, want: "db, api, ui, log",
			joined: []string{"api joins: ui needs it"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			hk := newHyperKube(t, chain()...)
			hk.DefaultServers = test.defaults
			p, err := planned(t, hk, test.args...)
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
			if diff := cmp.Diff(test.joined, joined); diff != "" {
				t.Errorf("joined (-want +got):\n%s", diff)
			}
		})
	}
}

// What is needed only with some flags joins with them alone.
func TestNeedWhen(t *testing.T) {
	for args, want := range map[string]string{"log": "log", "log --log.keep": "db, log", "log,db": "db, log"} {
		log := &Server{SimpleUsage: "log", Run: idle,
			Needs: []Need{{Server: "db", When: func(s *Server) bool { return s.Value("keep") == "true" }}}}
		log.Flags().Bool("keep", false, "")
		p, err := planned(t, newHyperKube(t, log, &Server{SimpleUsage: "db", Run: idle}), strings.Fields(args)...)
		if err != nil {
			t.Fatal(err)
		}
		if got := nameList(p.Servers); got != want {
			t.Errorf("%s: selected %s, want %s", args, got, want)
		}
	}
}

// What is needed beside another server alone joins where that one is, also if an earlier need has had that join.
func TestNeedBeside(t *testing.T) {
	for args, want := range map[string]string{"log": "log", "log,db": "index, log, db", "log,index": "index, log", "api": "db, index, api"} {
		log := &Server{SimpleUsage: "log", Run: idle, Needs: []Need{{Server: "index", Beside: "db"}}}
		api := &Server{SimpleUsage: "api", Run: idle, Needs: []Need{{Server: "db"}, {Server: "index", Beside: "db"}}}
		servers := []*Server{log, api, {SimpleUsage: "db", Run: idle}, {SimpleUsage: "index", Run: idle}}
		p, err := planned(t, newHyperKube(t, servers...), strings.Fields(args)...)
		if err != nil {
			t.Fatal(err)
		}
		if got := nameList(p.Servers); got != want {
			t.Errorf("%s: selected %s, want %s", args, got, want)
		}
	}
}

func TestWrongSelection(t *testing.T) {
	needy := func(needs ...string) func() []*Server {
		return func() []*Server {
			s := &Server{SimpleUsage: "needy", Run: idle}
			for _, name := range needs {
				s.Needs = append(s.Needs, Need{Server: name})
			}
			return append(chain(), s)
		}
	}
	circle := func() []*Server {
		return []*Server{
			{SimpleUsage: "in", Run: idle, Needs: []Need{{Server: "a"}}},
			{SimpleUsage: "a", Run: idle, Needs: []Need{{Server: "b"}}},
			{SimpleUsage: "b", Run: idle, Needs: []Need{{Server: "c"}}},
			{SimpleUsage: "c", Run: idle, Needs: []Need{{Server: "a"}}},
		}
	}
	for _, test := range []struct {
		name    string
		servers func() []*Server
		list    string
		want    string
	}{
		{"unknown", chain, "bogus", "server not found: bogus; there are ui, api, db, log, front, everything"},
		{"misspelt", chain, "db,lgo", "server not found: lgo (did you mean log?); there are ui, api, db, log, front, everything"},
		{"only by itself", chain, "db,tool", "tool cannot be run beside others: call `hk tool`"},
		{"a need that is not there", needy("ghost"), "needy", "needy needs a server that this binary does not have: server not found: ghost"},
		{"a need that cannot be run", needy("tool"), "needy", "needy needs tool, which cannot be run beside others"},
		{"a circle", circle, "in", "servers need each other in a circle: a, b, c, a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := planned(t, newHyperKube(t, test.servers()...), test.list)
			if err == nil || err.Error() != test.want {
				t.Errorf("error %v\nwant  %s", err, test.want)
			}
		})
	}
}

// What joins is announced, with the way to have it elsewhere.
func TestJoiningIsAnnounced(t *testing.T) {
	servers := chain()
	for _, s := range servers {
		if s.Run != nil {
			s.Run = done
		}
	}
	out, err := call(newHyperKube(t, servers...), "hk", "run", "api")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, out, "hk: starting db, api in ", "\nhk: db joins: api needs it (--api.db-address would name one elsewhere)\n")
}

func TestPlanKnowsItsServers(t *testing.T) {
	p, err := planned(t, newHyperKube(t, chain()...), "api")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"api": "api", "old-api": "api", "db": "db", "ui": "", "bogus": ""} {
		got := ""
		if s := p.Server(name); s != nil {
			got = s.Name()
		}
		if got != want || p.Selected(name) != (want != "") {
			t.Errorf("Server(%q) is %q, Selected %v, want %q", name, got, p.Selected(name), want)
		}
	}
	if got, want := p.Path("a", "b"), filepath.Join(p.DataDir, "a", "b"); got != want {
		t.Errorf("Path is %q, want %q", got, want)
	}
}

// Whatever the arguments are, they end in an error or in a plan that can be run.
func FuzzPlan(f *testing.F) {
	for _, args := range []string{
		"", "all", "api,log", "ui\n--api.db-address=x", "everything,,", "--help", "api\n--db.port=1", "--api.no-db=maybe",
		"--gates=A=true\n--db.gates=A=true\ndb", "db\n--db.log-level=v=3\n--log-format=json", "--name=..", "--ephemeral\n--data-dir=x",
		"db\n--db.grace-period=-1s", "--\nx", "db\n-h", "-", "--=", "--db.", "ßß,\xff",
	} {
		f.Add(args)
	}
	f.Fuzz(func(t *testing.T, args string) {
		servers := chain()
		for _, s := range servers {
			if s.Run != nil {
				s.ProcessFlags = []string{"gates"}
				s.Flags().StringSlice("gates", nil, "")
			}
		}
		hk := newHyperKube(t, servers...)
		p, err := planned(t, hk, strings.Split(args, "\n")...)
		switch {
		case err != nil && err.Error() == "":
			t.Error("an error that says nothing")
		case err != nil || p == nil: // wrong, or help
			return
		case len(p.Servers) == 0 || !filepath.IsAbs(p.DataDir) || p.run.logs == nil:
			t.Errorf("not all of the plan is there: %+v", p)
		}
		for i, s := range p.Servers {
			for _, need := range s.Needs {
				if j := slices.IndexFunc(p.Servers, func(o *Server) bool { return o.answersTo(need.Server) }); j > i {
					t.Errorf("%s stands before %s, which it needs", s.Name(), need.Server)
				}
			}
			if s.Run == nil || s.at().policy.grace <= 0 || s.Log() == nil {
				t.Errorf("%s cannot be run", s.Name())
			}
		}
	})
}

// Planning looks at nothing but the arguments: a plan that is not run leaves no trace.
func TestPlanningWritesNothing(t *testing.T) {
	hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: idle, Check: func(context.Context, *Plan, *Server) error {
		t.Error("Check has been called")
		return nil
	}})
	for _, args := range [][]string{{"db"}, {"db", "--ephemeral"}} {
		p, err := planned(t, hk, args...)
		if err != nil {
			t.Fatal(err)
		}
		if found, err := filepath.Glob(p.DataDir + "*"); err != nil || len(found) > 0 {
			t.Errorf("%v: there is %v, %v", args, found, err)
		}
	}
}

// To a composite that is called by its name nothing joins.
func TestCompositeAlone(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	front := func(args ...string) (*Plan, error) {
		hk := newHyperKube(t, chain()...)
		s := &Server{SimpleUsage: "alone", Members: []string{"api", "log"}}
		hk.AddServer(s)
		return hk.plan(s, args, nil)
	}
	_, err := front()
	if want := "api needs db: name one with --db-address; `hk run alone` starts one, too"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	p, err := front("--db-address=x")
	if err != nil {
		t.Fatal(err)
	}
	if got := nameList(p.Servers); got != "api, log" {
		t.Errorf("selected: %s", got)
	}
}

// A composite that is called by its name takes its members' flags without a namespace; each member that has one gets
// it.
func TestFlagsOfMembers(t *testing.T) {
	toy := func(name string, flags ...string) *Server {
		s := &Server{SimpleUsage: name, Run: idle}
		for _, flag := range flags {
			s.Flags().String(flag, "", "")
		}
		return s
	}
	for _, test := range []struct {
		name string
		args []string
		want string // a's port, a's color, b's port, b's size
		err  string
	}{
		{name: "of both", args: []string{"--port=1"}, want: "1,,1,"},
		{name: "of one", args: []string{"--size=9"}, want: ",,,9"},
		{name: "with a namespace", args: []string{"--port=1", "--b.port=2"}, want: "1,,2,"},
		{name: "the framework's stay its own", args: []string{"--quiet"}, want: ",,,"},
		{name: "unknown", args: []string{"--sise=9"}, err: "unknown flag: --sise (did you mean --size?)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := toy("a", "port", "color"), toy("b", "port", "size", "quiet")
			both := &Server{SimpleUsage: "both", Members: []string{"a", "b"}}
			hk := newHyperKube(t, a, b, both, toy("c", "depth"))
			t.Setenv("XDG_STATE_HOME", t.TempDir())
			p, err := hk.plan(both, test.args, nil)
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Fatalf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := nameList(p.Servers); got != "a, b" {
				t.Errorf("selected: %s", got)
			}
			got := strings.Join([]string{a.Value("port"), a.Value("color"), b.Value("port"), b.Value("size")}, ",")
			if got != test.want {
				t.Errorf("values %s, want %s", got, test.want)
			}
			if strings.Contains(test.name, "of both") && !(a.Given("port") && b.Given("port")) {
				t.Error("the flag does not count as given")
			}
		})
	}
}
