package supervisor

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// checked are servers that tell what is called, in order.
func checked(t *testing.T, calls *[]string) *HyperKube {
	note := func(what string, p *Plan) {
		*calls = append(*calls, fmt.Sprintf("%s %v", what, p.OnlyCheck))
		if _, err := os.Stat(p.DataDir); err == nil {
			t.Errorf("in %s there is a data folder", what)
		}
	}
	s := &Server{SimpleUsage: "db",
		Defaults: func(p *Plan, _ *Server) error { note("Defaults", p); return nil },
		Check: func(_ context.Context, p *Plan, s *Server) error {
			note("Check", p)
			if s.Value("port") == "0" {
				return fmt.Errorf("db: --port=%s is no port", s.Value("port"))
			}
			return nil
		},
		Listen:  func(*Plan, *Server) error { *calls = append(*calls, "Listen"); return nil },
		Prepare: func(context.Context, *Plan, *Server) error { *calls = append(*calls, "Prepare"); return nil },
		Run:     func(context.Context, *Server, []string) error { *calls = append(*calls, "Run"); return nil },
	}
	s.Flags().Int("port", 1, "")
	hk := newHyperKube(t, s, &Server{SimpleUsage: "other", Run: idle})
	hk.DefaultServers = []string{"db"}
	hk.Setup = func(p *Plan) error { note("Setup", p); return nil }
	return hk
}

func TestConfigCheck(t *testing.T) {
	all := []string{"Defaults true", "Setup true", "Check true"}
	for _, test := range []struct {
		name  string
		files map[string]string
		args  []string
		env   map[string]string
		code  int
		want  string
		calls []string
	}{
		{"fine", map[string]string{"x": "db: {port: 2}"}, []string{"x"}, nil, 0, "x: fine, for db\n", all},
		{"several", map[string]string{"x": "db: {port: 0}", "y": "db: {port: 2}\nservers: [other, db]"}, []string{"x", "y"}, nil, 0,
			"x, y: fine, for other, db\n", all},
		{"the environment is left aside", map[string]string{"x": "ephemeral: true"}, []string{"x"},
			map[string]string{"HK_NAME": "other", "HK_DATA_DIR": "/data", "HK_DB_PORT": "x", "HK_CONFIG": "none.yaml"}, 0, "x: fine, for db\n", all},
		{"Check", map[string]string{"x": "\n\ndb: {port: 0}"}, []string{"x"}, nil, 2, "Error: db: --port=0 is no port (--db.port is from x:3)\n", all},
		{"all that is wrong", map[string]string{"x": "log-level: loud\nname: a/b\ndb: {port: 0}\nother: {restart: x}", "y": "- a"}, []string{"x", "y", "z"}, nil, 2,
			"Error: y:1: the file is a list, and has to be a map; write \"key: value\" lines\n" +
				"Error: --config z: no such file or directory\n" +
				"Error: x:4: invalid value \"x\" for --other.restart: unknown restart policy: use never, on-failure or always\n" +
				"Error: --name: \"a/b\" is no name: use letters, digits, '-', '_' and '.' (--name is from x:2)\n" +
				"Error: --log-level: unknown log level \"loud\": use debug, info, warn, error, or v=N with N from 0 to 127 (--log-level is from x:1)\n" +
				"Error: db: --port=0 is no port (--db.port is from x:3)\n", all},
		{"unknown servers", map[string]string{"x": "servers: [dd]\nlog-format: xml"}, []string{"x"}, nil, 2,
			"Error: x:1: server not found: dd (did you mean db?); there are db, other\nError: --log-format: unknown log format \"xml\": use console or json (--log-format is from x:2)\n", nil},
		{"nothing", nil, nil, nil, 2, "Error: `config check` needs a file, such as `hk config check hk.yaml`\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var calls []string
			hk := checked(t, &calls)
			t.Chdir(t.TempDir())
			for name, text := range test.files {
				if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			out, err := call(hk, append([]string{"hk", "config", "check"}, test.args...)...)
			wantCode(t, err, test.code)
			if test.name == "all that is wrong" { // servers are told once more: one of them is not selected
				test.want = strings.Replace(test.want, "Error: --log-level", "Error: --other.restart (x:4) is given, but other is not selected (selected: db): add it to the list, or leave --other.restart out\nError: --log-level", 1)
			}
			if diff := cmp.Diff(test.want, out); diff != "" {
				t.Errorf("printed (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.calls, calls); diff != "" {
				t.Errorf("called (-want +got):\n%s", diff)
			}
		})
	}
}

func TestConfigCheckReadsStandardInput(t *testing.T) {
	standardInputIs(t, "db: {port: 0}")
	var calls []string
	out, err := call(checked(t, &calls), "hk", "config", "check", "-")
	wantCode(t, err, 2)
	if want := "Error: db: --port=0 is no port (--db.port is from standard input:1)\n"; out != want {
		t.Errorf("printed %q, want %q", out, want)
	}
}

func TestWrongConfigCommand(t *testing.T) {
	for args, want := range map[string]string{
		"":          "say `config schema` or `config check FILE`",
		"schema x":  "`config schema` takes no arguments, but there is \"x\"",
		"chekc x":   "there is no `config chekc`: there are `config schema` and `config check` (did you mean check?)",
		"frobulate": "there is no `config frobulate`: there are `config schema` and `config check`",
	} {
		out, err := call(sourced(t), append([]string{"hk", "config"}, strings.Fields(args)...)...)
		wantCode(t, err, 2)
		if out != "Error: "+want+"\n" {
			t.Errorf("%s: printed %q, want %q", args, out, want)
		}
	}
}

// A run that is really one sees that it is.
func TestRunIsNoCheck(t *testing.T) {
	var calls []string
	if out, err := call(checked(t, &calls), "hk", "run"); err != nil {
		t.Fatal(err, out)
	}
	if got := strings.Join(calls[:3], ", "); got != "Defaults false, Setup false, Check false" {
		t.Errorf("called: %s", got)
	}
}
