package supervisor

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap/zapcore"
)

// flagged are two servers with flags of their own, and one flag, gates, that both keep in the process.
func flagged() (db, api *Server) {
	db = &Server{SimpleUsage: "db", Aliases: []string{"store"}, Run: idle, ProcessFlags: []string{"gates"}}
	db.Flags().IntP("port", "p", 5432, "")
	db.Flags().StringArray("tag", nil, "")
	db.Flags().Bool("sync", true, "")
	db.Flags().StringSlice("gates", nil, "")
	api = &Server{SimpleUsage: "api", Run: idle, ProcessFlags: []string{"gates"}}
	api.Flags().Int("port", 8080, "")
	api.Flags().StringSlice("gates", nil, "")
	return db, api
}

func TestNamespacedFlagsAreTheServersOwn(t *testing.T) {
	db, api := flagged()
	args := []string{"db,api", "--db.port=1", "--db.sync=false", "--db.tag", "x", "--db.tag=y"}
	if _, err := planned(t, newHyperKube(t, db, api), args...); err != nil {
		t.Fatal(err)
	}
	for flag, want := range map[string]string{"port": "1", "sync": "false", "tag": "[x,y]"} {
		if got := db.Value(flag); got != want || !db.Flags().Changed(flag) || !db.Given(flag) {
			t.Errorf("db's %s is %q (changed: %v, given: %v), want %q and both", flag, got, db.Flags().Changed(flag), db.Given(flag), want)
		}
	}
	if got := api.Value("port"); got != "8080" || api.Flags().Changed("port") || api.Given("port") {
		t.Errorf("api's port is %q (changed: %v, given: %v), want neither", got, api.Flags().Changed("port"), api.Given("port"))
	}
	if got := db.Value("bogus"); got != "" {
		t.Errorf("the value of a flag that is not there is %q", got)
	}
}

func TestWrongFlags(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"wrong value", []string{"db", "--db.port=x"},
			`invalid argument "x" for "--db.port" flag: strconv.ParseInt: parsing "x": invalid syntax`},
		{"not selected", []string{"db", "--api.port=1"},
			"--api.port is given, but api is not selected (selected: db): add it to the list, or leave --api.port out"},
		{"not selected, process flag", []string{"db", "--api.gates=A"},
			"--api.gates is given, but api is not selected (selected: db): add it to the list, or leave --api.gates out"},
		{"not selected, flag of the framework", []string{"db", "--api.log-level=info"},
			"--api.log-level is given, but api is not selected (selected: db): add it to the list, or leave --api.log-level out"},
		{"whose", []string{"db", "--port=1"}, "unknown flag: --port: a server's flags stand under its name: --db.port, --api.port"},
		{"one letter", []string{"db", "-p", "1"}, "unknown shorthand flag: 'p' in -p: one letter does not say which server: --db.port"},
		{"misspelt", []string{"db", "--db.prot=1"}, "unknown flag: --db.prot (did you mean --db.port?)"},
		{"nowhere near", []string{"db", "--bogus-flag=1"}, "unknown flag: --bogus-flag"},
		{"the process' flag, wrong value", []string{"db", "--gates=\"A"},
			`invalid argument "\"A" for "--gates" flag: parse error on line 1, column 3: extraneous or missing " in quoted-field`},
		{"the process' flag, two values", []string{"db,api", "--gates=A", "--api.gates=B"},
			"--gates=A and --api.gates=B differ, but there is one value for the whole process: give it once, as --gates"},
		{"the process' flag, two servers", []string{"db,api", "--db.gates=A", "--api.gates=A,B"},
			"--db.gates=A and --api.gates=A,B differ, but there is one value for the whole process: give it once, as --gates"},
		{"no time", []string{"db", "--db.grace-period=0s"}, "--db.grace-period: 0s is not a time to wait: use a positive one"},
		{"level", []string{"db", "--db.log-level=loud"},
			`--db.log-level: unknown log level "loud": use debug, info, warn, error, or v=N with N from 0 to 127`},
		{"level of all", []string{"db", "--log-level=loud"},
			`--log-level: unknown log level "loud": use debug, info, warn, error, or v=N with N from 0 to 127`},
		{"verbosity", []string{"log", "--log.v=128"},
			`--log.v: unknown log level "v=128": use debug, info, warn, error, or v=N with N from 0 to 127`},
		{"verbosity that is no number", []string{"log", "--log.v=-1"},
			`--log.v: unknown log level "v=-1": use debug, info, warn, error, or v=N with N from 0 to 127`},
		{"vmodule", []string{"log", "--log.vmodule=x"}, `--log.vmodule: "x" is not of the form FILE=N, such as garbagecollector=5`},
		{"vmodule, no number", []string{"log", "--log.vmodule=y=1,x=loud"},
			`--log.vmodule: "x=loud" is not of the form FILE=N, such as garbagecollector=5`},
		{"vmodule, no pattern", []string{"log", "--log.vmodule=[=1"}, `--log.vmodule: "[": syntax error in pattern`},
		{"no size", []string{"db", "--log-max-size=0"}, "--log-max-size=0, --log-max-backups=4: use numbers above 0"},
		{"no backups", []string{"db", "--log-max-backups=-1"}, "--log-max-size=20, --log-max-backups=-1: use numbers above 0"},
		{"size that is no number", []string{"db", "--log-max-size=1GB"},
			`invalid argument "1GB" for "--log-max-size" flag: strconv.ParseInt: parsing "1GB": invalid syntax`},
		{"not selected, log file", []string{"db", "--api.log-file=x"},
			"--api.log-file is given, but api is not selected (selected: db): add it to the list, or leave --api.log-file out"},
		{"format", []string{"db", "--log-format=xml"}, `--log-format: unknown log format "xml": use console or json`},
	} {
		t.Run(test.name, func(t *testing.T) {
			db, api := flagged()
			_, err := planned(t, newHyperKube(t, db, api, chatter("log")), test.args...)
			if err == nil || err.Error() != test.want {
				t.Errorf("error %v\nwant  %s", err, test.want)
			}
		})
	}
}

func TestProcessFlagNobodySelectedHas(t *testing.T) {
	db, api := flagged()
	other := &Server{SimpleUsage: "other", Run: idle}
	_, err := planned(t, newHyperKube(t, db, api, other), "other", "--gates=A")
	want := "--gates is given, but no selected server has it: it is a flag of db, api"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestProcessFlags(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"not given", nil, "[]"},
		{"shared spelling", []string{"--gates=A"}, "[A]"},
		{"shared spelling, twice", []string{"--gates=A", "--gates=B"}, "[A,B]"},
		{"namespaced spelling", []string{"--db.gates=A"}, "[A]"},
		{"all agree", []string{"--db.gates=A", "--gates=A", "--api.gates=A"}, "[A]"},
	} {
		t.Run(test.name, func(t *testing.T) {
			db, api := flagged()
			if _, err := planned(t, newHyperKube(t, db, api), append(test.args, "db,api")...); err != nil {
				t.Fatal(err)
			}
			for _, s := range []*Server{db, api} {
				if got := s.Value("gates"); got != test.want || s.Given("gates") != (len(test.args) > 0) {
					t.Errorf("%s: gates are %s (given: %v), want %s", s.Name(), got, s.Given("gates"), test.want)
				}
			}
		})
	}
}

// A flag of the process that is a flag of `run` too could not be told apart.
func TestProcessFlagClashPanics(t *testing.T) {
	s := &Server{SimpleUsage: "db", Run: idle, ProcessFlags: []string{"quiet"}}
	s.Flags().Bool("quiet", false, "")
	contains(t, panics(func() { _, _ = planned(t, newHyperKube(t, s), "db") }),
		"the process-wide flag --quiet of server \"db\" has the name of a flag of `run`")
}

// A flag whose value is missing is a mistake of the author.
func TestDefaultWithoutValue(t *testing.T) {
	db, _ := flagged()
	for _, pairs := range [][]string{{"port"}, {"sync", "false", "port"}} {
		if err := db.Default(pairs...); err == nil || !strings.Contains(err.Error(), `"port" has none`) || db.Flags().Changed("sync") {
			t.Errorf("%q: %v", pairs, err)
		}
	}
}

func TestDefault(t *testing.T) {
	db, api := flagged()
	db.Defaults = func(p *Plan, s *Server) error {
		for flag, value := range map[string]string{"port": "77", "sync": "false", "gates": "B"} {
			if err := s.Default(flag, value); err != nil {
				return err
			}
		}
		return nil
	}
	if _, err := planned(t, newHyperKube(t, db, api), "db,api", "--db.port=1", "--gates=A"); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		flag, want string
		given      bool
	}{
		{"port", "1", true},
		{"gates", "[A]", true},
		{"sync", "false", false},
	} {
		if got := db.Value(test.flag); got != test.want || db.Given(test.flag) != test.given || !db.Flags().Changed(test.flag) {
			t.Errorf("%s is %s (given: %v, changed: %v), want %s (given: %v, changed)",
				test.flag, got, db.Given(test.flag), db.Flags().Changed(test.flag), test.want, test.given)
		}
	}
	if got := api.Value("port"); got != "8080" {
		t.Errorf("api's port is %s: that is another server's", got)
	}
}

func TestWrongDefault(t *testing.T) {
	db, _ := flagged()
	for _, test := range []struct{ flag, value, want string }{
		{"bogus", "1", "db: default for --bogus: no such flag -bogus"},
		{"port", "x", `db: default for --port: strconv.ParseInt: parsing "x": invalid syntax`},
	} {
		if err := db.Default(test.flag, test.value); err == nil || err.Error() != test.want {
			t.Errorf("error %v, want %s", err, test.want)
		}
	}
}

// replayed is what Replay sets.
func replayed(t *testing.T, s *Server) (calls []string) {
	t.Helper()
	if err := s.Replay(func(flag, value string) error {
		calls = append(calls, flag+"="+value)
		return nil
	}); err != nil {
		t.Error(err)
	}
	return calls
}

// A flag that may be repeated has more of a history than its value tells.
func TestReplay(t *testing.T) {
	db, api := flagged()
	db.Defaults = func(_ *Plan, s *Server) error { return s.Default("sync", "false") }
	args := []string{"db", "--db.tag=x", "--db.port=1", "--gates=A", "--db.tag=y", "--db.port=2"}
	if _, err := planned(t, newHyperKube(t, db, api), args...); err != nil {
		t.Fatal(err)
	}
	want := []string{"tag=x", "port=1", "tag=y", "port=2", "gates=A", "sync=false"}
	if diff := cmp.Diff(want, replayed(t, db)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	err := db.Replay(func(flag, value string) error { return db.Flags().Set("bogus", value) })
	if err == nil || err.Error() != "db: --tag: no such flag -bogus" {
		t.Errorf("error %v", err)
	}
}

// A server that is started from what Replay tells is to work by itself, too.
func TestReplayOfOneServer(t *testing.T) {
	db, api := flagged()
	db.Run = done
	if out, err := call(newHyperKube(t, db, api), "db", "--tag=x", "-p", "1", "--tag=y", "--gates=A"); err != nil {
		t.Fatal(err, out)
	}
	if diff := cmp.Diff([]string{"tag=x", "port=1", "tag=y", "gates=A"}, replayed(t, db)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !db.Given("tag") || !db.Given("gates") || db.Given("sync") {
		t.Error("Given does not tell what was given")
	}
}

func TestFrameworkFlagsOfAServer(t *testing.T) {
	db, api := flagged()
	api.GracePeriod = time.Minute
	p, err := planned(t, newHyperKube(t, db, api), "db,api", "--db.grace-period=3s", "--log-level=error", "--api.log-level=v=6")
	if err != nil {
		t.Fatal(err)
	}
	if db, api := db.at().policy.grace, api.at().policy.grace; db != 3*time.Second || api != time.Minute {
		t.Errorf("grace periods %v and %v, want 3s and 1m", db, api)
	}
	if got := db.Log().Level(); got != zapcore.ErrorLevel {
		t.Errorf("level of db is %v, want error", got)
	}
	if got := api.Log().Level(); got != -6 {
		t.Errorf("level of api is %v, want -6", got)
	}
	if got := p.run.logs.Program().Name(); got != "hk" {
		t.Errorf("lines of nobody are of %q, want hk", got)
	}
}

// The help of `run` is short; that the flags are all there, each under its server's name, is told by the set itself.
func TestRunHasEveryFlag(t *testing.T) {
	db, api := flagged()
	tool := &Server{SimpleUsage: "tool", Main: done}
	tool.Flags().Bool("loud", false, "")
	flags := newHyperKube(t, db, api, tool).newRunFlags()
	for _, name := range strings.Fields("db.port db.tag db.sync db.gates db.log-level db.log-file db.grace-period " +
		"api.port api.gates api.log-level api.log-file api.grace-period gates name data-dir ephemeral free-ports quiet verbose " +
		"log-level log-format log-dir log-max-size log-max-backups help") {
		if flags.Lookup(name) == nil {
			t.Errorf("there is no --%s", name)
		}
	}
	for _, name := range []string{"tool.loud", "port", "store.port"} {
		if flags.Lookup(name) != nil {
			t.Errorf("there is a --%s", name)
		}
	}
	if flags.Lookup("gates").Hidden || !flags.Lookup("db.gates").Hidden {
		t.Error("the process' flag is to be shown once, without a namespace")
	}
}
