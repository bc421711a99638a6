package supervisor

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// printed is what --print-config prints of the plan.
func printed(t testing.TB, hk *HyperKube, p *Plan) string {
	t.Helper()
	var out bytes.Buffer
	hk.SetOut(&out)
	if err := hk.printConfig(p); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

const printedHead = "# `hk run --config FILE` does with this file what the call that has printed it would have done.\n" +
	"# Behind each value stands where it is from. Those in comments are hk's own defaults, which follow from the rest.\n\n"

func TestPrintConfig(t *testing.T) {
	for _, test := range []struct {
		name string
		input
		want string
	}{
		{"nothing", input{}, "servers: [ab] # default\n"},
		{"servers", input{args: []string{"b", "first"}}, "servers: [b, first] # command line\n"},
		{"a server twice", input{args: []string{"b,a", "b"}}, "servers: [b, a] # command line\n"},
		{"a server under both of its names", input{args: []string{"first,a"}}, "servers: [first] # command line\n"},
		{"a server beside what has it", input{args: []string{"a,bare,ab"}}, "servers: [bare, ab] # command line\n"},
		{"a server beside all", input{args: []string{"all,a,bare,b"}}, "servers: [all, bare] # command line\n"},
		{"two names of the same servers", input{args: []string{"ab,all"}}, "servers: [ab] # command line\n"},
		{"a server twice in a file", input{files: []string{"servers: [b, 'a,b', ab]"}}, "servers: [ab] # 1.yaml:1\n"},
		{"servers of a file", input{files: []string{"\nservers: b"}}, "servers: [b] # 1.yaml:2\n"},
		{"a composite by its name", input{called: "ab", args: []string{"--size=3", "--text=x"}},
			"servers: [ab] # command line\n\na:\n  text: x # command line\n\nb:\n  size: 3 # command line\n  text: x # command line\n"},
		{"the framework's", input{args: []string{"bare", "--quiet", "--verbose=1", "--log-max-size=0x10", "--bare.grace-period=3s"}, before: []string{"--name=w"},
			environ: []string{"HK_LOG_DIR=a: b"}, files: []string{"log-level: warn\nlog-format: json"}},
			"servers: [bare] # command line\n\nlog-level: warn # 1.yaml:1\nlog-format: json # 1.yaml:2\nlog-dir: 'a: b' # HK_LOG_DIR\nname: w # command line\n" +
				"quiet: true # command line\nverbose: true # command line\nlog-max-size: 16 # command line\n\nbare:\n  grace-period: 3s # command line\n"},
		{"the last one counts", input{args: []string{"a", "--a.number=2", "--a.number=0x3", "--quiet", "--quiet=false"}, files: []string{"a: {number: 9}"}},
			"servers: [a] # command line\n\nquiet: false # command line\n\na:\n  number: 3 # command line\n"},
		{"what collects, from many places", input{args: []string{"a", "--a.list=x", "--a.list=y"}, files: []string{"a: {list: [f, 'g,h']}"}, environ: []string{"HK_A_LIST=e"}},
			"servers: [a] # command line\n\na:\n  list: [f, 'g,h', e, x, y] # 1.yaml:1, HK_A_LIST, command line\n"},
		{"a value with a quote beside none", input{args: []string{"a", "--a.list=", "--a.list=\"x\"\"\""}},
			"servers: [a] # command line\n\na:\n  list: '\"x\"\"\"' # command line\n"},
		{"what replaces, from many places", input{args: []string{"a"}, files: []string{"a: {urls: [f, g]}", "\na: {urls: [h, i]}"}},
			"servers: [a] # command line\n\na:\n  urls: h,i # 2.yaml:2\n"},
		{"one line for a map", input{args: []string{"a", "--a.label=x=1", "--a.label=y=a=b,z=2"}},
			"servers: [a] # command line\n\na:\n  label: [x=1, 'y=a=b,z=2'] # command line\n"},
		{"an array", input{args: []string{"a", "--a.note=x,y", "--a.note=", "--a.note= [z]"}},
			"servers: [a] # command line\n\na:\n  note: ['x,y', '', ' [z]'] # command line\n"},
		{"the whole process", input{args: []string{"a,b", "--a.gates=A,B", "--gates=A,B", "--mode=m"}},
			"servers: [a, b] # command line\n\ngates: A,B # command line\nmode: m # command line\n"},
		{"secrets", input{args: []string{"a,b", "--a.token=hunter2", "--b.text=https://me:hunter2@host", "--a.urls=x,https://me:hun/ter2@host"}},
			"servers: [a, b] # command line\n\na:\n  # token is a secret, and left out: give it again # command line\n  # urls is a secret, and left out: give it again # command line\n\n" +
				"b:\n  # text is a secret, and left out: give it again # command line\n"},
		{"what is said of others is left aside", input{args: []string{"b"}, files: []string{"a: {number: 2, log-level: warn, mode: x}\nb: {size: 2}"}},
			"servers: [b] # command line\n\nb:\n  size: 2 # 1.yaml:2\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			hk := sourced(t)
			p, err := test.plan(t, hk)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(printedHead+test.want, printed(t, hk, p)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Defaults follow from the rest, and are shown. So is what joins.
func TestPrintConfigShowsDefaults(t *testing.T) {
	api := &Server{SimpleUsage: "api", Run: idle, Needs: []Need{{Server: "db", Unless: []string{"db"}}}, ProcessFlags: []string{"gates"},
		Defaults: func(p *Plan, s *Server) error {
			for _, pair := range [][2]string{{"db", "a: b"}, {"port", "1"}, {"list", "x"}, {"list", "y"}, {"gates", "A"}} {
				if err := s.Default(pair[0], pair[1]); err != nil {
					return err
				}
			}
			return nil
		}}
	api.Flags().String("db", "", "")
	api.Flags().Int("port", 0, "")
	api.Flags().StringSlice("list", nil, "")
	api.Flags().StringSlice("gates", nil, "")
	hk := newHyperKube(t, &Server{SimpleUsage: "db", Run: idle}, api)
	p, err := planned(t, hk, "api", "--api.port=3")
	if err != nil {
		t.Fatal(err)
	}
	want := printedHead + "servers: [api] # command line\n# db joins: api needs it (--api.db would name one elsewhere)\n\n" +
		"api:\n  port: 3 # command line\n  # db: 'a: b'\n  # list: [x, y]\n  # gates: A\n"
	if diff := cmp.Diff(want, printed(t, hk, p)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSecrets(t *testing.T) {
	for _, test := range []struct {
		flag, value string
		annotation  string
		secret      bool
	}{
		{"password", "x", "", true}, {"db-password", "x", "", true}, {"passwords", "x", "", true}, {"Token", "x", "", true},
		{"auth_token", "x", "", true}, {"auth.secret", "x", "", true}, {"credentials", "x", "", true}, {"token-file", "x", "", false},
		{"tokens-per-second", "1", "", false}, {"betoken", "x", "", false}, {"url", "https://host/", "", false},
		{"url", "https://me:pw@host/", "", true}, {"url", "https://me@host/", "", false}, {"url", "x,postgres://me:p/w@host", "", true},
		{"url", "http://host:80/,http://me@host", "", false}, {"url", "http://me:p,w@host", "", true},
		{"token", "x", "false", false}, {"url", "https://me:pw@host/", "false", false}, {"color", "x", "true", true},
	} {
		fs := newFlagSet("")
		fs.String(test.flag, "", "")
		if test.annotation != "" {
			if err := fs.SetAnnotation(test.flag, AnnotationSecret, []string{test.annotation}); err != nil {
				t.Fatal(err)
			}
		}
		if got := isSecret(fs.Lookup(test.flag), []string{test.value}); got != test.secret {
			t.Errorf("--%s=%s (%s) is secret: %v, want %v", test.flag, test.value, test.annotation, got, test.secret)
		}
	}
}

func TestPrintConfigCannotWriteAll(t *testing.T) {
	hk := sourced(t)
	p, err := planned(t, hk, "a", "--a.text=\xff")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	hk.SetOut(&out)
	err = hk.printConfig(p)
	if want := `--print-config: the value "\xff" of --a.text cannot stand in a file: `; err == nil || !strings.HasPrefix(err.Error(), want) || out.Len() > 0 {
		t.Errorf("error %v, want %s...; printed %q", err, want, &out)
	}
}

// A name of a file cannot end a comment.
func TestPrintConfigOfStrangeFile(t *testing.T) {
	hk := sourced(t)
	t.Chdir(t.TempDir())
	if err := os.WriteFile("x\nquiet: true", []byte("b: {size: 2}"), 0o600); err != nil {
		t.Skip("no such names here:", err)
	}
	p, err := planned(t, hk, "--config=x\nquiet: true")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, printed(t, hk, p), "\n  size: 2 # \"x\\nquiet: true\":1\n")
}

func TestPrintConfigRunsNothing(t *testing.T) {
	for args, code := range map[string]int{"": 0, "--db.port=x": 2, "--db.log-level=x": 2} {
		var calls []string
		hk := checked(t, &calls)
		out, err := call(hk, append([]string{"hk", "run", "--print-config"}, strings.Fields(args)...)...)
		wantCode(t, err, code)
		if got := strings.Join(calls, ", "); got != "Defaults false" {
			t.Errorf("%s: called were %s", args, got)
		}
		if code == 0 && out != printedHead+"servers: [db] # default\n" || code > 0 && !strings.HasPrefix(out, "Error: ") {
			t.Errorf("%s: printed %q", args, out)
		}
	}
}
