package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/configfile"
)

func TestServersOfFile(t *testing.T) {
	for _, test := range []struct {
		name string
		input
		want string
	}{
		{"list", input{files: []string{"servers: [b, bare]"}}, "b, bare"},
		{"text", input{files: []string{"servers: b, bare"}}, "b, bare"},
		{"lines", input{files: []string{"servers:\n- bare\n- b"}}, "bare, b"},
		{"alias", input{files: []string{"servers: first"}}, "a"},
		{"composite", input{files: []string{"servers: [ab]"}}, "a, b"},
		{"all", input{files: []string{"servers: [all, bare]"}}, "a, b, bare"},
		{"JSON", input{files: []string{`{"servers": ["b"], "b": {"size": 2}}`}}, "b"},
		{"no list", input{files: []string{"quiet: true"}}, "a, b"},
		{"no file", input{}, "a, b"},
		{"empty file", input{files: []string{"# nothing\n"}}, "a, b"},
		{"the last one counts", input{files: []string{"servers: [a]", "servers: [b]", "quiet: true"}}, "b"},
		{"the command line counts", input{files: []string{"servers: [a]"}, args: []string{"bare"}}, "bare"},
		{"an empty name on the command line is none", input{files: []string{"servers: [bare]"}, args: []string{""}}, "bare"},
		{"the name of a composite counts", input{files: []string{"servers: [bare]"}, called: "ab"}, "a, b"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := test.plan(t, sourced(t))
			if err != nil {
				t.Fatal(err)
			}
			if got := nameList(p.Servers); got != test.want {
				t.Errorf("selected: %s, want %s", got, test.want)
			}
		})
	}
}

// What a file says of the flags that the framework adds, and of its own.
func TestFrameworkFlagsOfFile(t *testing.T) {
	hk := sourced(t)
	p, err := input{files: []string{`
servers: [a, b]
name: two
quiet: true
keep-going: true
log-level: warn
log-format: json
log-max-size: 7
a:
  log-level: v=3
  log-file: a.log
  restart: always
  grace-period: 3s
  isolation: none
b: # nothing of it
`}}.plan(t, hk)
	if err != nil {
		t.Fatal(err)
	}
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	a, b, c := server(t, hk, "a"), server(t, hk, "b"), hk.settings
	got := fmt.Sprintln(p.Name, c.quiet, c.keepGoing, c.logFormat, c.logMaxSize, logging.FormatLevel(a.Log().Level()), logging.FormatLevel(b.Log().Level()),
		a.at().policy.restart, a.at().policy.grace, a.at().policy.isolation, b.at().policy.grace)
	want := fmt.Sprintln("two", true, true, "json", 7, "v=3", "warn", RestartAlways, 3*time.Second, IsolationNone, DefaultGracePeriod)
	if got != want {
		t.Errorf("got  %swant %s", got, want)
	}
	// A relative path is relative to the current folder.
	if i := slices.IndexFunc(p.run.logFiles, func(f logFile) bool { return f.path == filepath.Join(cwd, "a.log") }); i < 0 {
		t.Errorf("no log file is %s: %v", filepath.Join(cwd, "a.log"), p.run.logFiles)
	}
}

// Values come from a file as they are written, whatever is in them.
func TestValuesOfFile(t *testing.T) {
	for _, test := range []struct{ file, flag, want string }{
		{"a: {number: 0x10}", "number", "16"},
		{"a: {number: -3}", "number", "-3"},
		{"a: {number: '3'}", "number", "3"},
		{"a: {switch: true}", "switch", "true"},
		{"a: {text: yes}", "text", "yes"},
		{"a: {text: 1.10}", "text", "1.10"},
		{"a: {text: 0644}", "text", "0644"},
		{`a: {text: ""}`, "text", ""},
		{"a:\n  text: |\n    one\n    two\n", "text", "one\ntwo\n"},
		{"a: {text: 'a: b # c'}", "text", "a: b # c"},
		{`{"a": {"text": 1.50, "number": 2}}`, "text", "1.50"},
		{"a: {list: 'x,y'}", "list", "[x,y]"},
		{"a: {list: [x, 'y,z', '', 'q\"q', ' s ']}", "list", `[x,"y,z",,"q""q"," s "]`},
		{"a: {list: ['']}", "list", "[]"},
		{"a: {note: [x, 'y,z', \"l\\nm\"]}", "note", "[x,\"y,z\",\"l\nm\"]"},
		{"a: {note: 'y,z'}", "note", `["y,z"]`},
		{"a: {urls: [x, y]}", "urls", "x,y"},
		{"a: {urls: 'x,y'}", "urls", "x,y"},
		{"a: {label: 'x=1,y=2'}", "label", "[x=1,y=2]"},
		{"a: {label: [x=1, y=2]}", "label", "[x=1,y=2]"},
		{"a: {label: {x: 1, y: '2,3'}}", "label", `[x=1,"y=2,3"]`},
		{"a: {label: {x: a=b, y: 'c=d,e=f'}}", "label", `[x=a=b,"y=c=d,e=f"]`},
		{`a: {label: {x: ""}}`, "label", "[x=]"},
		{"a: {switches: {x: true, y: false}}", "switches", "x=true,y=false"},
	} {
		hk := sourced(t)
		if _, err := (input{files: []string{test.file}}).plan(t, hk); err != nil {
			t.Errorf("%s: %v", test.file, err)
		} else if got := server(t, hk, "a").Value(test.flag); got != test.want {
			t.Errorf("%s: %s is %q, want %q", test.file, test.flag, got, test.want)
		}
	}
}

// A map's values are a map's values, whatever quotes and signs are in them, although pflag reads them in two ways.
func TestMapsOfFile(t *testing.T) {
	want := map[string]string{"a": "1", "b": `"x"`, "c": `x"`, `"d"`: "2", "e": `a="b"`, "f": "x,y", "g": "x=1,y=2", "h": "", "i": " s ", "j": "l\nm", "": "k"}
	s := &Server{SimpleUsage: "db", Run: idle}
	got := s.Flags().StringToString("label", nil, "")
	var file strings.Builder
	file.WriteString("db:\n  label:\n")
	for key, value := range want {
		fmt.Fprintf(&file, "    %s: %s\n", scalarText(t, key), scalarText(t, value))
	}
	if _, err := (input{files: []string{file.String()}}).plan(t, newHyperKube(t, s)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, *got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func scalarText(t *testing.T, text string) string {
	t.Helper()
	quoted, err := configfile.Scalar(text)
	if err != nil {
		t.Fatal(err)
	}
	return quoted
}

func TestUnreadableFiles(t *testing.T) {
	for name, want := range map[string]string{
		"none.yaml": "--config none.yaml: no such file or directory",
		"":          `--config "": no such file or directory`,
		".":         "--config .: is a directory",
		"a\nb.yaml": `--config "a\nb.yaml": no such file or directory`,
		"x\ny":      `"x\ny":1: b.sise: b has no such flag (did you mean size?)`,
	} {
		t.Run(name, func(t *testing.T) {
			hk := sourced(t)
			t.Chdir(t.TempDir())
			if err := os.WriteFile("x\ny", []byte("b: {sise: 1}"), 0o600); err != nil {
				t.Skip("no such names here:", err)
			}
			if _, err := planned(t, hk, "--config", name); err == nil || err.Error() != want {
				t.Errorf("error %v\nwant  %s", err, want)
			}
		})
	}
}

// standardInputIs has the test read this text as its standard input.
func standardInputIs(t *testing.T, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stdin
	os.Stdin = f
	t.Cleanup(func() { os.Stdin = before; f.Close() })
}

func TestStandardInput(t *testing.T) {
	standardInputIs(t, "\na: {number: 7, prot: 1}")
	hk := sourced(t)
	_, err := input{files: []string{"a: {number: 3}"}, args: []string{"--config=-"}}.plan(t, hk)
	if want := "standard input:2: a.prot: a has no such flag"; err == nil || err.Error() != want {
		t.Errorf("error %v\nwant  %s", err, want)
	}
	if got := server(t, hk, "a").Value("number"); got != "3" {
		t.Errorf("the number is %s, and is to be that of the file that was named last", got)
	}
}

// A list on the command line takes the place of the file's. What is said elsewhere about others is left aside then, but
// looked at.
func TestFlagsOfUnselected(t *testing.T) {
	const notSelected = "is not selected (selected: b): add it to the list, or leave --a.number out"
	for _, test := range []struct {
		name string
		input
		want string
	}{
		{"file and list in it", input{files: []string{"servers: b\na: {number: 2}"}}, "--a.number (1.yaml:2) is given, but a " + notSelected},
		{"file and list on the command line", input{files: []string{"servers: a\na: {number: 2}"}, args: []string{"b"}}, ""},
		{"variable", input{files: []string{"servers: b"}, environ: []string{"HK_A_NUMBER=2"}}, "--a.number (HK_A_NUMBER) is given, but a " + notSelected},
		{"variable and list", input{environ: []string{"HK_A_NUMBER=2"}, args: []string{"b"}}, ""},
		{"command line and list", input{args: []string{"b", "--a.number=2"}}, "--a.number is given, but a " + notSelected},
		{"command line and file", input{files: []string{"servers: b"}, args: []string{"--a.number=2"}}, "--a.number is given, but a " + notSelected},
		{"once", input{files: []string{"servers: b\na: {number: 2}"}, environ: []string{"HK_A_NUMBER=2"}}, "--a.number (HK_A_NUMBER) is given, but a " + notSelected},
		{"wrong value", input{files: []string{"a: {number: x}"}, args: []string{"b"}},
			`1.yaml:1: invalid value "x" for --a.number: strconv.ParseInt: parsing "x": invalid syntax`},
		{"wrong flag", input{files: []string{"a: {numbr: x}"}, args: []string{"b"}}, "1.yaml:1: a.numbr: a has no such flag (did you mean number?)"},
		{"wrong level", input{files: []string{"a: {log-level: x}"}, args: []string{"b"}},
			`--a.log-level: unknown log level "x": use debug, info, warn, error, or v=N with N from 0 to 127 (--a.log-level is from 1.yaml:1)`},
		{"wrong grace period", input{files: []string{"a: {grace-period: -1s}"}, args: []string{"b"}},
			"--a.grace-period: -1s is not a time to wait: use a positive one (--a.grace-period is from 1.yaml:1)"},
		{"wrong servers in the file", input{files: []string{"servers: xyz"}, args: []string{"b"}}, ""},
		{"composite by its name", input{files: []string{"bare: {log-level: debug}"}, called: "ab"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := test.plan(t, sourced(t))
			if fmt.Sprint(err) != test.want && (err != nil || test.want != "") {
				t.Errorf("error %v\nwant  %s", err, test.want)
			}
		})
	}
}

// A flag of the whole process takes several values as a server's does.
func TestTypesOfProcessFlags(t *testing.T) {
	s := &Server{SimpleUsage: "db", Run: idle, ProcessFlags: []string{"notes", "labels", "places"}}
	s.Flags().StringArray("notes", nil, "")
	s.Flags().StringToString("labels", nil, "")
	s.Flags().Var(new(urls), "places", "")
	hk := newHyperKube(t, s)
	hk.FlagTypes = map[string]FlagType{"urls": CommaSeparated}
	p, err := input{files: []string{"notes: ['x,y', z]\nlabels: {a: 1}\ndb: {places: [u, v]}"}}.plan(t, hk)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`["x,y",z]`, "[a=1]", "u,v"}
	if diff := cmp.Diff(want, p.values(hk, "db.notes", "db.labels", "db.places")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What takes effect in the whole process may be said in several places and spellings, if all come to the same.
func TestProcessFlagsOfSources(t *testing.T) {
	const once = ", but there is one value for the whole process: give it once, as --"
	for _, test := range []struct {
		name string
		input
		want string // b's gates and mode
		err  string
	}{
		{"file", input{files: []string{"gates: [A]\nmode: x"}}, "[A] x", ""},
		{"below a server", input{files: []string{"a: {gates: [A], mode: x}"}}, "[A] x", ""},
		{"below both", input{files: []string{"a: {gates: [A, B]}\nb: {gates: 'A,B'}\ngates: 'A,B'"}}, "[A,B] ", ""},
		{"all", input{files: []string{"a: {mode: x}"}, environ: []string{"HK_B_MODE=x", "HK_MODE=x"}, args: []string{"--mode=x"}}, "[] x", ""},
		{"one spelling, one value", input{files: []string{"mode: x"}, environ: []string{"HK_MODE=y"}, args: []string{"--mode=z"}}, "[] z", ""},
		{"differ in files", input{files: []string{"a: {mode: x}", "\nb: {mode: y}"}}, "", "--a.mode=x (1.yaml:1) and --b.mode=y (2.yaml:2) differ" + once + "mode"},
		{"differ, file and command line", input{files: []string{"a: {mode: x}"}, args: []string{"--mode=y"}}, "", "--a.mode=x (1.yaml:1) and --mode=y differ" + once + "mode"},
		{"differ, variable and file", input{files: []string{"gates: [A]"}, environ: []string{"HK_A_GATES=A,B"}}, "",
			"--gates=A (1.yaml:1) and --a.gates=A,B (HK_A_GATES) differ" + once + "gates"},
		{"of servers that are not selected", input{files: []string{"a: {mode: x}\nb: {mode: y}"}, args: []string{"b"}}, "[] y", ""},
		{"nobody has it, and the command line says who", input{files: []string{"mode: x"}, args: []string{"bare"}}, "[] ", ""},
		{"nobody has it", input{files: []string{"servers: bare\nmode: x"}}, "", "--mode (1.yaml:2) is given, but no selected server has it: it is a flag of a, b"},
		{"wrong value, told once", input{files: []string{"gates: '\"A'"}}, "",
			`1.yaml:1: invalid value "\"A" for --gates: parse error on line 1, column 3: extraneous or missing " in quoted-field`},
	} {
		t.Run(test.name, func(t *testing.T) {
			hk := sourced(t)
			p, err := test.plan(t, hk)
			if err != nil || test.err != "" {
				if fmt.Sprint(err) != test.err {
					t.Errorf("error %v\nwant  %s", err, test.err)
				}
				return
			}
			if got := strings.Join(p.values(hk, "b.gates", "b.mode"), " "); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
