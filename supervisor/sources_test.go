package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// urls are a flag's value of its own kind: each Set takes the place of what was there.
type urls []string

func (u *urls) String() string { return strings.Join(*u, ",") }
func (u *urls) Type() string   { return "urls" }
func (u *urls) Set(text string) error {
	*u = strings.Split(text, ",")
	if slices.Contains(*u, "bad") {
		return errors.New("bad is no URL")
	}
	return nil
}

// switches are a flag's value of its own kind: each Set adds pairs.
type switches map[string]string

func (sw *switches) String() string {
	var pairs []string
	for _, key := range slices.Sorted(maps.Keys(*sw)) {
		pairs = append(pairs, key+"="+(*sw)[key])
	}
	return strings.Join(pairs, ",")
}
func (sw *switches) Type() string { return "switches" }
func (sw *switches) Set(text string) error {
	for pair := range strings.SplitSeq(text, ",") {
		key, value, found := strings.Cut(pair, "=")
		if !found {
			return fmt.Errorf("%q is no KEY=VALUE", pair)
		}
		if *sw == nil {
			*sw = switches{}
		}
		(*sw)[key] = value
	}
	return nil
}

// sourced is a binary of two servers, a (or first) and b, which have flags of many kinds, of a tool, and of both
// servers together.
func sourced(t testing.TB) *HyperKube {
	a := &Server{SimpleUsage: "a", Aliases: []string{"first"}, Run: idle, ProcessFlags: []string{"gates", "mode"}}
	fs := a.Flags()
	fs.String("text", "", "")
	fs.IntP("number", "n", 1, "")
	fs.Bool("switch", false, "")
	fs.StringSlice("list", nil, "")
	fs.StringArray("note", nil, "")
	fs.StringToString("label", nil, "")
	fs.Var(new(urls), "urls", "")
	fs.Var(new(switches), "switches", "")
	fs.String("token", "", "")
	fs.String("old", "", "")
	if err := fs.MarkDeprecated("old", "use --text"); err != nil {
		t.Fatal(err)
	}
	b := &Server{SimpleUsage: "b", Run: idle, ProcessFlags: []string{"gates", "mode"}}
	b.Flags().String("text", "", "")
	b.Flags().Int("size", 1, "")
	for _, s := range []*Server{a, b} {
		s.Flags().StringSlice("gates", nil, "")
		s.Flags().String("mode", "", "")
	}
	hk := newHyperKube(t, a, b,
		&Server{SimpleUsage: "tool", Main: done},
		&Server{SimpleUsage: "ab", Members: []string{"a", "b"}},
		&Server{SimpleUsage: "bare", Run: idle})
	hk.DefaultServers = []string{"ab"}
	hk.FlagTypes = map[string]FlagType{"urls": CommaSeparated, "switches": Pairs}
	return hk
}

// input is what a user gives to a run.
type input struct {
	files   []string // texts of 1.yaml, 2.yaml and so on, which are named in this order
	environ []string
	before  []string // arguments before the word
	args    []string
	called  string // the composite that was called by its name
	stay    bool   // in the current folder, and do not make a new one
}

// plan plans a run of hk.
func (in input) plan(t testing.TB, hk *HyperKube) (*Plan, error) {
	t.Helper()
	if !in.stay {
		t.Chdir(t.TempDir())
	}
	args := slices.Clone(in.args)
	for i, text := range in.files {
		name := fmt.Sprint(i+1, ".yaml")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", name)
	}
	if err := hk.Flags().Parse(in.before); err != nil {
		t.Fatal(err)
	}
	hk.SetOut(&lockedBuffer{})
	var composite *Server
	if in.called != "" {
		composite = server(t, hk, in.called)
	}
	return hk.plan(composite, args, in.environ)
}

func server(t testing.TB, hk *HyperKube, name string) *Server {
	t.Helper()
	s, err := hk.FindServer(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// values are the values of flags of the servers, and of the plan.
func (p *Plan) values(hk *HyperKube, names ...string) (values []string) {
	for _, name := range names {
		if server, flag, namespaced := strings.Cut(name, "."); namespaced {
			s, _ := hk.FindServer(server)
			values = append(values, s.Value(flag))
		} else {
			values = append(values, map[string]string{"name": p.Name, "servers": nameList(p.Servers), "folder": filepath.Base(p.DataDir)}[name])
		}
	}
	return values
}

// Of a value the last one counts, what collects does so over all sources, and what takes the place of others is the
// strongest.
func TestSources(t *testing.T) {
	for _, test := range []struct {
		name string
		input
		flag, want string
	}{
		{"none", input{}, "a.number", "1"},
		{"a file", input{files: []string{"a: {number: 2}"}}, "a.number", "2"},
		{"a later file", input{files: []string{"a: {number: 2}", "a: {number: 3}"}}, "a.number", "3"},
		{"the environment after files", input{files: []string{"a: {number: 2}"}, environ: []string{"HK_A_NUMBER=3"}}, "a.number", "3"},
		{"arguments after the environment", input{args: []string{"--a.number=4"}, environ: []string{"HK_A_NUMBER=3"}}, "a.number", "4"},
		{"arguments after files", input{args: []string{"--a.number=4"}, files: []string{"a: {number: 2}"}}, "a.number", "4"},
		{"the last argument", input{args: []string{"--a.number=4", "--a.number=5"}}, "a.number", "5"},
		{"before the word", input{before: []string{"--name=w"}, environ: []string{"HK_NAME=e"}, files: []string{"name: f"}}, "name", "w"},
		{"after the word", input{before: []string{"--name=w"}, args: []string{"--name=x"}}, "name", "x"},
		{"the environment's name", input{environ: []string{"HK_NAME=e"}, files: []string{"name: f"}}, "name", "e"},
		{"a file's name", input{files: []string{"name: f"}}, "name", "f"},
		{"a file's folder", input{files: []string{"data-dir: sub/f"}}, "folder", "f"},
		{"a slice collects", input{files: []string{"a: {list: [f, g]}", "a: {list: h}"}, environ: []string{"HK_A_LIST=e"}, args: []string{"--a.list=x,y"}},
			"a.list", "[f,g,h,e,x,y]"},
		{"an array collects", input{files: []string{"a: {note: ['f,1', g]}"}, environ: []string{"HK_A_NOTE=e,2"}, args: []string{"--a.note=x"}},
			"a.note", `["f,1",g,"e,2",x]`},
		{"a map collects", input{files: []string{"a: {label: {f: 1, g: 2}}"}, environ: []string{"HK_A_LABEL=e=3"}, args: []string{"--a.label=g=4"}},
			"a.label", "[e=3,f=1,g=4]"},
		{"what replaces", input{files: []string{"a: {urls: [f, g]}"}, args: []string{"--a.urls=x,y"}}, "a.urls", "x,y"},
		{"what replaces, from a file", input{files: []string{"a: {urls: [f, g]}", "a: {urls: [h, i]}"}}, "a.urls", "h,i"},
		{"pairs of its own kind", input{files: []string{"a: {switches: {f: true}}"}, args: []string{"--a.switches=x=false"}}, "a.switches", "f=true,x=false"},
		{"the whole process", input{files: []string{"gates: [f]"}, environ: []string{"HK_GATES=e"}, args: []string{"--gates=x"}}, "b.gates", "[f,e,x]"},
		{"the name of a composite", input{called: "ab", files: []string{"a: {number: 2}"}, environ: []string{"HK_A_NUMBER=3"}}, "a.number", "3"},
		{"the name of a composite, with its own spelling", input{called: "ab", environ: []string{"HK_A_NUMBER=3"}, args: []string{"--number=4"}}, "a.number", "4"},
	} {
		t.Run(test.name, func(t *testing.T) {
			hk := sourced(t)
			p, err := test.plan(t, hk)
			if err != nil {
				t.Fatal(err)
			}
			if got := p.values(hk, test.flag)[0]; got != test.want {
				t.Errorf("%s is %q, want %q", test.flag, got, test.want)
			}
			if server, flag, namespaced := strings.Cut(test.flag, "."); namespaced && test.name != "none" {
				s, _ := hk.FindServer(server)
				if !s.Given(flag) || !s.Flags().Changed(flag) {
					t.Error("it does not count as given")
				}
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	for _, test := range []struct {
		name    string
		environ []string
		args    []string
		want    string // a's number, text and log level, the servers
	}{
		{"none", nil, nil, "1 '' info a, b"},
		{"empty is not given", []string{"HK_A_NUMBER=", "HK_NAME="}, nil, "1 '' info a, b"},
		{"not ours", []string{"A_NUMBER=2", "HKX_A_NUMBER=2", "hk_a_number=2", "PATH=/bin"}, nil, "1 '' info a, b"},
		{"a value with =", []string{"HK_A_TEXT=x=y"}, nil, "1 'x=y' info a, b"},
		{"points and dashes", []string{"HK_A_LOG_LEVEL=warn"}, nil, "1 '' warn a, b"},
		{"about servers that are not selected", []string{"HK_A_NUMBER=2", "HK_A_LOG_LEVEL=debug"}, []string{"b"}, "2 '' - b"},
		{"what is only for the command line", []string{"HK_HELP=true", "HK_PRINT_CONFIG=true"}, nil, "1 '' info a, b"},
		{"anything else", []string{"HK_OTHER=1", "HK_AB=1", "HK_A=2"}, nil, "1 '' info a, b"},
		{"not for the composite's own spelling", []string{"HK_NUMBER=7"}, nil, "1 '' info a, b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			hk := sourced(t)
			p, err := input{environ: test.environ, args: test.args}.plan(t, hk)
			if err != nil {
				t.Fatal(err)
			}
			a := server(t, hk, "a")
			level := "-"
			if a.Log() != nil {
				level = logging.FormatLevel(a.Log().Level())
			}
			if got := fmt.Sprintf("%s '%s' %s %s", a.Value("number"), a.Value("text"), level, nameList(p.Servers)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if hk.settings.printConfig {
				t.Error("it is printed")
			}
		})
	}
}

func TestWrongEnvironment(t *testing.T) {
	for _, test := range []struct {
		name    string
		environ []string
		want    string
	}{
		{"misspelt", []string{"HK_A_NUMBR=1"}, "HK_A_NUMBR: a has no such flag (did you mean HK_A_NUMBER?)"},
		{"nowhere near", []string{"HK_A_ZZZZZZZZ=1"}, "HK_A_ZZZZZZZZ: a has no such flag: see `hk help a`"},
		{"wrong value", []string{"HK_A_NUMBER=x"}, `HK_A_NUMBER: invalid value "x" for --a.number: strconv.ParseInt: parsing "x": invalid syntax`},
		{"wrong level", []string{"HK_LOG_LEVEL=loud"},
			`--log-level: unknown log level "loud": use debug, info, warn, error, or v=N with N from 0 to 127 (--log-level is from HK_LOG_LEVEL)`},
		{"wrong name", []string{"HK_NAME=a b"}, `--name: "a b" is no name: use letters, digits, '-', '_' and '.' (--name is from HK_NAME)`},
		{"no file", []string{"HK_CONFIG=none.yaml"}, "--config none.yaml: no such file or directory (--config is from HK_CONFIG)"},
		{"not selected", []string{"HK_BARE_LOG_LEVEL=debug"},
			"--bare.log-level (HK_BARE_LOG_LEVEL) is given, but bare is not selected (selected: a, b): add it to the list, or leave --bare.log-level out"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := input{environ: test.environ}.plan(t, sourced(t))
			if err == nil || err.Error() != test.want {
				t.Errorf("error %v\nwant  %s", err, test.want)
			}
		})
	}
}

// A server named as the beginning of another one, or flags that differ in a dot alone.
func TestVariablesOfSimilarNames(t *testing.T) {
	short, long := &Server{SimpleUsage: "db", Run: idle}, &Server{SimpleUsage: "db-admin", Run: idle}
	short.Flags().Int("port", 0, "")
	short.Flags().Int("admin-port", 0, "")
	long.Flags().Int("port", 0, "")
	long.Flags().Int("tls-port", 0, "")
	hk := newHyperKube(t, short, long)
	_, err := input{environ: []string{"HK_DB_ADMIN_PORT=1"}}.plan(t, hk)
	if want := "HK_DB_ADMIN_PORT may mean --db.admin-port and --db-admin.port: use the command line or a file"; err == nil || err.Error() != want {
		t.Errorf("error %v\nwant  %s", err, want)
	}
	_, err = input{environ: []string{"HK_DB_ADMIN_TSL_PORT=1"}}.plan(t, hk)
	if want := "HK_DB_ADMIN_TSL_PORT: db-admin has no such flag (did you mean HK_DB_ADMIN_TLS_PORT?)"; err == nil || err.Error() != want {
		t.Errorf("error %v\nwant  %s", err, want)
	}
}

// What looks as if it were meant for a flag, but may be anybody's, is worth a warning, which is shown with those about
// flags that are to go away.
func TestWarnings(t *testing.T) {
	for _, test := range []struct {
		name string
		input
		want string
	}{
		{"misspelt", input{environ: []string{"HK_LOGLEVEL=debug"}}, "the environment's variable HK_LOGLEVEL means nothing (did you mean HK_LOG_LEVEL?)"},
		{"process-wide", input{environ: []string{"HK_GATS=A"}}, "the environment's variable HK_GATS means nothing (did you mean HK_GATES?)"},
		{"another name of a server", input{environ: []string{"HK_FIRST_TEXT=x"}}, "the environment's variable HK_FIRST_TEXT means nothing (did you mean HK_A_TEXT?)"},
		{"servers", input{environ: []string{"HK_SERVERS=a"}}, "the environment's variable HK_SERVERS means nothing: name servers on the command line, or in a file"},
		{"deprecated", input{args: []string{"--a.old=1", "--a.old=2"}}, "--a.old is deprecated: use --text"},
		{"deprecated, in a file", input{files: []string{"\na: {old: 1}"}}, "--a.old (1.yaml:2) is deprecated: use --text"},
		{"deprecated, in the environment", input{environ: []string{"HK_A_OLD=1"}}, "--a.old (HK_A_OLD) is deprecated: use --text"},
		{"with wrong servers, too", input{environ: []string{"HK_LOGLEVEL=debug"}, args: []string{"c"}}, "HK_LOGLEVEL means nothing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			hk := sourced(t)
			p, err := test.plan(t, hk)
			if err == nil {
				p.run.logs.Close()
			}
			out := bufferOf(hk).String()
			contains(t, out, test.want)
			if n := strings.Count(out, "\n"); n != 1 {
				t.Errorf("%d lines, want 1:\n%s", n, out)
			}
		})
	}
}

// --config takes the place of HK_CONFIG, which may name several files.
func TestConfigVariable(t *testing.T) {
	list := strings.Join([]string{"x.yaml", "", "y.yaml"}, string(os.PathListSeparator))
	for _, test := range []struct {
		name, want string
		args       []string
	}{
		{"variable", "3 y", nil},
		{"flag", "9 ", []string{"--config=z.yaml"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			for name, text := range map[string]string{"x.yaml": "a: {number: 2, text: y}", "y.yaml": "a: {number: 3}", "z.yaml": "a: {number: 9}"} {
				if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			hk := sourced(t)
			hk.SetOut(&lockedBuffer{})
			p, err := hk.plan(nil, test.args, []string{"HK_CONFIG=" + list})
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(p.values(hk, "a.number", "a.text"), " "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// A process of its own gets what its server was given, wherever that stands.
func TestSourcesReachIsolatedServers(t *testing.T) {
	hk := sourced(t)
	p, err := input{files: []string{"a: {list: [x, 'y,z'], number: 2, urls: [u, v]}\nmode: m"}, environ: []string{"HK_A_LIST=e"}, args: []string{"ab", "--a.number=3", "--a.isolation=process"}}.plan(t, hk)
	if err != nil {
		t.Fatal(err)
	}
	plan, _, err := p.describe(server(t, hk, "a"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(plan.Servers[0].Given)
	want := []childServer{
		{Name: "a", Isolation: IsolationProcess, Given: []string{"list", "mode", "number", "urls"}, Flags: [][2]text.RawString{
			{"list", "x"}, {"list", `"y,z"`}, {"number", "2"}, {"urls", "u,v"}, {"list", "e"}, {"number", "3"}, {"mode", "m"}}},
		{Name: "b", Given: []string{"mode"}, Flags: [][2]text.RawString{{"mode", "m"}}},
	}
	if diff := cmp.Diff(want, plan.Servers); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	adopted, _, err := sourced(t).adopt(plan)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := adopted.Server("a").Isolated(), adopted.Server("b").Isolated(); !a || b {
		t.Errorf("in that process, a is isolated: %v, and b: %v", a, b)
	}
}

// Commands take from the environment which servers they are about; what stands on the command line is stronger.
func TestCommandsTakeTheLocationFromTheEnvironment(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want []string
	}{
		{"environment", []string{"hk", "where"}, []string{"two", "/data"}},
		{"before the word", []string{"hk", "--name=one", "where"}, []string{"one", "/data"}},
		{"after the word", []string{"hk", "where", "--data-dir=/other"}, []string{"two", "/other"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			hk := sourced(t)
			t.Setenv("HK_NAME", "two")
			t.Setenv("HK_DATA_DIR", "/data")
			var got []string
			hk.AddCommand(&Command{Name: "where", Run: func(_ context.Context, _ *HyperKube, p *Plan, _ []string) error {
				got = []string{p.Name, p.DataDir}
				return nil
			}})
			if out, err := call(hk, test.args...); err != nil {
				t.Fatal(err, out)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What the environment of a command of `run -- COMMAND` says of the folder is no more than its name, if it is that of
// the name: whoever names other servers there means these, in their own folder.
func TestAnotherNameThanTheEnvironments(t *testing.T) {
	state := t.TempDir()
	own := func(name string) string { return filepath.Join(state, "hk", name) }
	for _, test := range []struct {
		name, variable, folder string
		args                   []string
		want                   []string // name, folder, and how commands to type find it
	}{
		{"the same", "two", own("two"), nil, []string{"two", own("two"), "--name=two"}},
		{"another", "two", own("two"), []string{"--name=five"}, []string{"five", own("five"), "--name=five"}},
		{"than the default", "hk", own("hk"), []string{"--name=five"}, []string{"five", own("five"), "--name=five"}},
		{"the default", "two", own("two"), []string{"--name=hk"}, []string{"hk", own("hk"), ""}},
		{"in a folder of its own", "two", "/data", []string{"--name=five"}, []string{"five", "/data", "--name=five --data-dir=/data"}},
		{"the folder of another name", "", own("two"), nil, []string{"hk", own("two"), "--data-dir=" + own("two")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("HK_NAME", test.variable)
			t.Setenv("HK_DATA_DIR", test.folder)
			at := func(p *Plan) []string { return []string{p.Name, p.DataDir, strings.Join(p.location, " ")} }
			hk, other := sourced(t), sourced(t)
			t.Setenv("XDG_STATE_HOME", state)
			var command []string
			hk.AddCommand(&Command{Name: "where", Run: func(_ context.Context, _ *HyperKube, p *Plan, _ []string) error {
				command = at(p)
				return nil
			}})
			if out, err := call(hk, append([]string{"hk", "where"}, test.args...)...); err != nil {
				t.Fatal(err, out)
			}
			p, err := other.plan(nil, test.args, os.Environ())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([][]string{test.want, test.want}, [][]string{command, at(p)}); diff != "" {
				t.Errorf("a command, a run (-want +got):\n%s", diff)
			}
		})
	}
}

// A script's variable that is not set names no folder, and least of all the one that is used without the flag.
func TestFolderWithoutName(t *testing.T) {
	for _, args := range [][]string{{"reset", "--data-dir=", "--yes"}, {"--data-dir=", "reset", "--yes"}, {"run", "--data-dir="}, {"run", "--data-dir", ""}} {
		hk := sourced(t)
		out, err := call(hk, append([]string{"hk"}, args...)...)
		wantCode(t, err, 2)
		contains(t, out, "no folder is named; leave the flag out for the default one")
	}
}
