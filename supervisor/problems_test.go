package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

func TestProblems(t *testing.T) {
	a, b := errors.New("a"), errors.New("b")
	s, other := &Server{}, &Server{}
	var p problems
	p.add(nil, s)
	if p.err() != nil || p.of[s] {
		t.Errorf("nothing is wrong, but %v, of %v", p.err(), p.of)
	}
	p.add(a, s)
	if p.err() != a {
		t.Errorf("one that is wrong is %v, want it as it is", p.err())
	}
	p.add(errors.Join(b, a))
	if got := p.err().Error(); got != "a\nb\na" || !p.of[s] || p.of[other] {
		t.Errorf("got %q, of %v", got, p.of)
	}
	if !errors.Is(p.err(), b) {
		t.Error("it is not one of them")
	}
}

const noCommand = "a command is to follow `--`, such as `-- make test`; leave `--` out to run the servers until Ctrl-C"

const isQuiet, unknown = "quiet=true", "unknown flag: --"

// readings are arguments, and what is read.
var readings = []struct {
	name string
	args []string
	want []string // what is given, and names
	errs []string
}{
	{"nothing", nil, nil, nil},
	{"names", []string{"a,b", "bare"}, []string{"a,b", "bare"}, nil},
	{"anywhere", []string{"--quiet", "a", "--a.text", "x", "b", "--a.number=2"}, []string{isQuiet, "a.text=x", "a.number=2", "a", "b"}, nil},
	{"a value that looks like a flag", []string{"--a.text", "--quiet", "--a.text", "--", "a"}, []string{"a.text=--quiet", "a.text=--", "a"}, nil},
	{"empty", []string{"--a.text=", "--a.text", "", ""}, []string{"a.text=", "a.text=", ""}, nil},
	{"a dash is a name", []string{"-", "a"}, []string{"-", "a"}, nil},
	{"nothing behind --", []string{"a", "--"}, []string{"a"}, []string{noCommand}},
	{"a command", []string{"a", "--", "make", "--quiet", "b"}, []string{"a", "-- make --quiet b"}, nil},
	{"an empty command", []string{"a", "--", "", "b"}, []string{"a"}, []string{noCommand}},
	{"-- behind --", []string{"--", "make", "--"}, []string{"-- make --"}, nil},
	{"no value", []string{"--quiet", "--a.text"}, []string{isQuiet}, []string{"flag needs an argument: --a.text"}},
	{"syntax", []string{"--=x", "---a", "--quiet"}, []string{isQuiet}, []string{"bad flag syntax: --=x", "bad flag syntax: ---a"}},

	{"unknown, no value", []string{"--zzzzzzzz", "--quiet"}, []string{isQuiet}, []string{unknown + "zzzzzzzz"}},
	{"unknown, value", []string{"--zzzzzzzz=x", "--quiet"}, []string{isQuiet}, []string{unknown + "zzzzzzzz"}},
	{"unknown, and its value", []string{"--zzzzzzzz", "x", "--quiet"}, []string{isQuiet}, []string{unknown + "zzzzzzzz"}},
	{"unknown, and servers", []string{"--zzzzzzzz", "a,all", "--quiet"}, []string{isQuiet, "a,all"}, []string{unknown + "zzzzzzzz"}},
	{"unknown at the end", []string{"--quiet", "--zzzzzzzz"}, []string{isQuiet}, []string{unknown + "zzzzzzzz"}},
	{"unknown before --", []string{"--zzzzzzzz", "--", "b"}, []string{"-- b"}, []string{unknown + "zzzzzzzz"}},
	{"unknown twice is told once", []string{"--zzzzzzzz", "--zzzzzzzz=x"}, nil, []string{unknown + "zzzzzzzz"}},
	{"misspelt, and its value", []string{"--a.numbr", "3", "a"}, []string{"a"}, []string{unknown + "a.numbr (did you mean --a.number?)"}},
	{"misspelt, and a value that is the name of a server", []string{"--a.txt", "b", "a"}, []string{"a"}, []string{unknown + "a.txt (did you mean --a.text?)"}},
	{"misspelt, and a negative value", []string{"--a.numbr", "-3", "a"}, []string{"a"}, []string{unknown + "a.numbr (did you mean --a.number?)"}},
	{"misspelt, and standard input", []string{"--confg", "-", "a"}, []string{"a"}, []string{unknown + "confg (did you mean --config?)"}},
	{"misspelt, with its value", []string{"--a.numbr=1", "x"}, []string{"x"}, []string{unknown + "a.numbr (did you mean --a.number?)"}},
	{"misspelt, takes no value", []string{"--quite", "a"}, []string{"a"}, []string{unknown + "quite (did you mean --quiet?)"}},
	{"misspelt, next is a flag", []string{"--a.numbr", "--quiet"}, []string{isQuiet}, []string{unknown + "a.numbr (did you mean --a.number?)"}},
	{"two", []string{"--quite", "--a.numbr=1", "--quiet"}, []string{isQuiet}, []string{unknown + "quite (did you mean --quiet?)", unknown + "a.numbr (did you mean --a.number?)"}},
	{"whose", []string{"--text=1"}, nil, []string{unknown + "text: a server's flags stand under its name: --a.text, --b.text"}},

	{"letter, and its value", []string{"-n", "1", "a"}, []string{"a"}, []string{"unknown shorthand flag: 'n' in -n: one letter does not say which server: --a.number"}},
	{"letter with its value", []string{"-n1", "a"}, []string{"a"}, []string{"unknown shorthand flag: 'n' in -n1: one letter does not say which server: --a.number"}},
	{"letter = value", []string{"-n=1", "a"}, []string{"a"}, []string{"unknown shorthand flag: 'n' in -n=1: one letter does not say which server: --a.number"}},
	{"letters that nobody has", []string{"-xyz", "a"}, []string{"a"}, []string{"unknown shorthand flag: 'x' in -xyz"}},
	{"not ASCII", []string{"-ß", "a"}, []string{"a"}, []string{"unknown shorthand flag: 'Ã' in -ß"}},
	{"a value for help", []string{"--help=false", "a"}, []string{"help=false", "a"}, nil},
}

func TestReadingArguments(t *testing.T) {
	for _, test := range readings {
		t.Run(test.name, func(t *testing.T) {
			names, given, command, wrong := sourced(t).newRunFlags().read(test.args)
			var got []string
			for _, a := range given {
				got = append(got, a.flag.Name+"="+a.value)
			}
			got = append(got, names...)
			if command != nil {
				got = append(got, "-- "+strings.Join(command, " "))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var errs []string
			for _, err := range wrong.errs {
				errs = append(errs, err.Error())
			}
			if diff := cmp.Diff(test.errs, errs); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}

// All that is wrong is told at once, each on a line; nothing follows from what was told.
func TestAllProblems(t *testing.T) {
	check := func(_ context.Context, _ *Plan, s *Server) error {
		return errors.Join(fmt.Errorf("%s: --text is too short", s.Name()), fmt.Errorf("%s: --a.number and --number are odd", s.Name()))
	}
	hk := sourced(t)
	for _, s := range hk.servers {
		s.Check = check
	}
	server(t, hk, "b").Defaults = func(_ *Plan, s *Server) error { return errors.New("b: --size has no default") }
	in := input{
		files:   []string{"a: {text: x}\nlog-level: loud\nzzzzzzzz: 1", "log-max-size: 0\nb: {size: 2}"},
		environ: []string{"HK_LOG_FORMAT=xml", "HK_BARE_XYZ=1"},
		args:    []string{"a,b", "--zzzzzzzz", "-n", "1", "--log-max-backups", "x", "--name=?", "--ephemeral", "--data-dir=d"},
	}
	p, err := in.plan(t, hk)
	if err == nil || p == nil {
		t.Fatalf("error %v, plan %v", err, p)
	}
	want := strings.Join([]string{
		"unknown flag: --zzzzzzzz",
		"unknown shorthand flag: 'n' in -n: one letter does not say which server: --a.number",
		"HK_BARE_XYZ: bare has no such flag: see `hk help bare`",
		"1.yaml:3: zzzzzzzz is neither a server nor a flag of `hk run`",
		`invalid argument "x" for "--log-max-backups" flag: strconv.ParseInt: parsing "x": invalid syntax`,
		`--name: "?" is no name: use letters, digits, '-', '_' and '.'`,
		"--ephemeral has a folder of its own: leave --data-dir d out",
		`--log-level: unknown log level "loud": use debug, info, warn, error, or v=N with N from 0 to 127 (--log-level is from 1.yaml:2)`,
		`--log-format: unknown log format "xml": use console or json (--log-format is from HK_LOG_FORMAT)`,
		"--log-max-size=0, --log-max-backups=4: use numbers above 0 (--log-max-size is from 2.yaml:1)",
		"b: --size has no default (--b.size is from 2.yaml:2)",
	}, "\n")
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("planned (-want +got):\n%s", diff)
	}
	want += "\na: --text is too short (--a.text is from 1.yaml:1)\na: --a.number and --number are odd"
	if diff := cmp.Diff(want, p.run.check(t.Context()).Error()); diff != "" {
		t.Errorf("checked (-want +got):\n%s", diff)
	}
}

// With wrong settings, servers find others in the plan, with which they can look at their flags.
func TestPlanOfWrongSettings(t *testing.T) {
	p, err := planned(t, sourced(t), "--name=../x", "--ephemeral", "--data-dir=d")
	if err == nil || p == nil {
		t.Fatalf("error %v, plan %v", err, p)
	}
	if p.Name != "hk" || !p.Ephemeral || filepath.Dir(p.DataDir) != filepath.Clean(os.TempDir()) {
		t.Errorf("the plan is %+v", p)
	}
}

// Servers whose flags are wrong are not asked: what they would say may only follow from it.
func TestWrongServersAreNotAsked(t *testing.T) {
	for name, in := range map[string]input{
		"value":           {args: []string{"--a.number=x"}},
		"unknown flag":    {args: []string{"--a.numbr=1"}},
		"whose":           {args: []string{"--urls=1"}},
		"file":            {files: []string{"a: {numbr: 1}"}},
		"value in a file": {files: []string{"a: {number: []}"}},
		"no map":          {files: []string{"a: 1"}},
		"with a point":    {files: []string{"a.number: 1"}},
		"variable":        {environ: []string{"HK_A_NUMBR=1"}},
		"level":           {args: []string{"--a.log-level=x"}},
		"time":            {args: []string{"--a.grace-period=0"}},
	} {
		t.Run(name, func(t *testing.T) {
			hk := sourced(t)
			asked := []string{}
			for _, s := range hk.servers {
				s.Check = func(context.Context, *Plan, *Server) error { asked = append(asked, s.Name()); return nil }
				s.Defaults = func(*Plan, *Server) error { return errors.New(s.Name() + " has no default") }
			}
			server(t, hk, "b").Defaults = nil
			p, err := in.plan(t, hk)
			if err == nil || p == nil {
				t.Fatalf("error %v, plan %v", err, p)
			}
			before := err.Error()
			lacks(t, before, "no default")
			if err := p.run.check(t.Context()); err.Error() != before {
				t.Errorf("error %v, want %v", err, before)
			}
			if got := strings.Join(asked, ","); got != "b" {
				t.Errorf("asked were %q, want b alone", got)
			}
		})
	}
}

// A wrong value of a flag of the whole process is no server's: all of them are asked.
func TestWrongProcessFlagIsNoServers(t *testing.T) {
	p, err := input{args: []string{"a,b,bare", `--gates="A`}}.plan(t, sourced(t))
	if err == nil || p == nil {
		t.Fatalf("error %v, plan %v", err, p)
	}
	if len(p.given.wrong.of) > 0 {
		t.Errorf("wrong are %v", p.given.wrong.of)
	}
}

// An error that names a flag says where it was given, if that is not the command line.
func TestLocate(t *testing.T) {
	for _, test := range []struct {
		name string
		input
		text string
		want string
	}{
		{"file", input{files: []string{"\na: {text: x}"}}, "a: --text is wrong", "a: --text is wrong (--a.text is from 1.yaml:2)"},
		{"variable", input{environ: []string{"HK_A_TEXT=x"}}, "--a.text is wrong", "--a.text is wrong (--a.text is from HK_A_TEXT)"},
		{"command line", input{args: []string{"--a.text=x"}}, "--text is wrong", "--text is wrong"},
		{"the command line counts", input{files: []string{"a: {text: x}"}, args: []string{"--a.text=y"}}, "--text is wrong", "--text is wrong"},
		{"the last file counts", input{files: []string{"a: {text: x}", "\na: {text: y}"}}, "--text is wrong", "--text is wrong (--a.text is from 2.yaml:2)"},
		{"not given", input{files: []string{"b: {text: x}"}}, "--text is wrong", "--text is wrong"},
		{"two", input{files: []string{"a:\n  text: x\n  number: 3"}}, "--text and --a.number differ", "--text and --a.number differ (--a.text is from 1.yaml:2, --a.number is from 1.yaml:3)"},
		{"a longer name", input{files: []string{"a: {text: x}"}}, "--text-2, --textile, --text.x and --text_y are wrong", "--text-2, --textile, --text.x and --text_y are wrong"},
		{"a longer name, and this one", input{files: []string{"a: {text: x}"}}, "--text-2 and --text.", "--text-2 and --text. (--a.text is from 1.yaml:1)"},
		{"known", input{files: []string{"a: {text: x}"}}, "1.yaml:1: --text is wrong", "1.yaml:1: --text is wrong"},
		{"another line is known", input{files: []string{"a: {text: x}"}}, "1.yaml:10: --text is wrong", "1.yaml:10: --text is wrong (--a.text is from 1.yaml:1)"},
		{"the whole process", input{files: []string{"gates: [A]"}}, "--gates: no A", "--gates: no A (--gates is from 1.yaml:1)"},
		{"all that it collects", input{files: []string{"gates: [A]", "\ngates: [B]"}, environ: []string{"HK_GATES=C"}}, "--gates: no B",
			"--gates: no B (--gates is from 1.yaml:1, --gates is from 2.yaml:2, --gates is from HK_GATES)"},
		{"what it collects, and one is known", input{files: []string{"gates: [A]", "\ngates: [B]"}}, "2.yaml:2: --gates: no B", "2.yaml:2: --gates: no B"},
		{"the framework", input{files: []string{"free-ports: true"}}, "--free-ports: none", "--free-ports: none (--free-ports is from 1.yaml:1)"},
	} {
		for _, from := range []string{"Defaults", "Check", "Setup"} {
			t.Run(test.name+" "+from, func(t *testing.T) {
				hk := sourced(t)
				a, want := server(t, hk, "a"), test.want
				fail := errors.New(test.text)
				switch from {
				case "Defaults":
					a.Defaults = func(*Plan, *Server) error { return errors.Join(fail, errors.New("second")) }
				case "Check":
					a.Check = func(context.Context, *Plan, *Server) error { return errors.Join(fail, errors.New("second")) }
				case "Setup":
					hk.Setup = func(*Plan) error { return errors.Join(fail, errors.New("second")) }
					if strings.Contains(want, "--a.") && !strings.Contains(test.text, "--a.") || test.name == "two" {
						return // it is no server's, and has to name the whole flag
					}
				}
				p, err := test.plan(t, hk)
				if err == nil {
					err = p.run.check(t.Context())
				}
				if !errors.Is(err, fail) || err.Error() != want+"\nsecond" {
					t.Errorf("error %v\nwant  %s, and a second one", err, want)
				}
			})
		}
	}
}

// Secrets are not in errors, however wrong they are.
func TestSecretsAreNotInErrors(t *testing.T) {
	for _, in := range []input{
		{files: []string{"db: {pin-token: hunter2}"}},
		{args: []string{"--db.pin-token=hunter2"}},
		{environ: []string{"HK_DB_CODE=hunter2"}},
		{files: []string{"db: {urls: 'https://me:hunter2@host,bad'}"}},
		{args: []string{"--db.key=hunter2", "--key=hunter3"}},
		{files: []string{"db: {pin-token: [hunter2]}"}},
	} {
		s := &Server{SimpleUsage: "db", Run: idle, ProcessFlags: []string{"key"}}
		s.Flags().Int("pin-token", 0, "")
		s.Flags().Int("code", 0, "")
		s.Flags().Var(new(urls), "urls", "")
		s.Flags().String("key", "", "")
		for _, name := range []string{"code", "key"} {
			if err := s.Flags().SetAnnotation(name, AnnotationSecret, []string{"true"}); err != nil {
				t.Fatal(err)
			}
		}
		_, err := in.plan(t, newHyperKube(t, s))
		if err == nil {
			t.Fatalf("%v: no error", in)
		}
		lacks(t, err.Error(), "hunter")
		contains(t, err.Error(), "db.")
	}
}

// Who asks for help is not told what is wrong.
func TestHelpWinsOverErrors(t *testing.T) {
	for args, help := range map[string]bool{
		"--help": true, "-h": true, "--help=true": true, "--help=1": true, "--zzzzzzzz -h": true, "xyz --help": true, "--config=none.yaml --help": true,
		"--a.number=x --help": true, "--help --a.text": true, "--a.text --help": false, "--help=false": false, "-- --help": false, "--help=maybe": false, "": false,
	} {
		hk := sourced(t)
		hk.SetOut(&lockedBuffer{})
		p, err := hk.plan(nil, strings.Fields(args), []string{"HK_A_XYZ=1", "HK_HELP=true"})
		if got := p == nil && err == nil; got != help {
			t.Errorf("%s: help is %v, want %v (error %v)", args, got, help, err)
		}
	}
}

// Of much that is wrong nothing is lost, nor of what is right.
func TestManyWrongFlags(t *testing.T) {
	const flags, wrong = 800, 500
	var servers []*Server
	for i := range 8 {
		s := &Server{SimpleUsage: fmt.Sprint("server", i), Run: idle}
		for n := range flags / 8 {
			s.Flags().String(fmt.Sprintf("some-flag-number-%d", n), "", "")
		}
		servers = append(servers, s)
	}
	hk := newHyperKube(t, servers...)
	var args []string
	for n := range wrong {
		args = append(args, fmt.Sprintf("--server%d.other-flag-nmuber-%d=x", n%8, n))
	}
	for n := range flags {
		args = append(args, fmt.Sprintf("--server%d.some-flag-number-%d=x", n%8, n/8))
	}
	_, err := planned(t, hk, args...)
	if n := len(text.Errors(err)); n != wrong {
		t.Errorf("%d errors, want %d", n, wrong)
	}
	if got := servers[7].Value("some-flag-number-99"); got != "x" {
		t.Errorf("the last flag is %q: it was not read", got)
	}
}

// A wrong run, on the screen: exit code 2, each error on its line, nothing written and nothing started.
func TestWrongRun(t *testing.T) {
	hk := sourced(t)
	for _, s := range hk.servers {
		s.Run = func(context.Context, *Server, []string) error { t.Error("it runs"); return nil }
		s.Listen = func(*Plan, *Server) error { t.Error("it listens"); return nil }
	}
	out, err := call(hk, "hk", "run", "a", "--zzzzzzzz", "--b.size=1", "--log-level=loud")
	wantCode(t, err, 2)
	want := "Error: unknown flag: --zzzzzzzz\n" +
		"Error: --b.size is given, but b is not selected (selected: a): add it to the list, or leave --b.size out\n" +
		"Error: --log-level: unknown log level \"loud\": use debug, info, warn, error, or v=N with N from 0 to 127\n" +
		"See 'hk run --help'.\n"
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
	if entries, err := os.ReadDir(os.Getenv("XDG_STATE_HOME")); err != nil || len(entries) > 0 {
		t.Errorf("there is %v, %v", entries, err)
	}
}

// That somebody looks at the flags changes nothing in a run that goes on.
func TestRunFlagsAreToBeLookedAt(t *testing.T) {
	hk := sourced(t)
	if _, err := planned(t, hk, "--name=two", "--quiet", "--log-max-size=7", "--a.text=x"); err != nil {
		t.Fatal(err)
	}
	hk.RunFlags()
	hk.schema()
	if c := hk.settings; !c.quiet || c.logMaxSize != 7 || c.name != "two" || server(t, hk, "a").Value("text") != "x" {
		t.Errorf("the settings are %+v", c)
	}
}
