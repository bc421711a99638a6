package supervisor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// compileSchema returns a function that validates the text of a config file with the schema that hk prints, as editors
// do.
func compileSchema(t testing.TB, hk *HyperKube) func(text string) error {
	t.Helper()
	schema, err := jsonschema.UnmarshalJSON(strings.NewReader(printedSchema(t, hk)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", schema); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(text string) error {
		var document any
		if err := yaml.Unmarshal([]byte(text), &document); err != nil {
			return err
		}
		asJSON, err := json.Marshal(forJSON(document))
		if err != nil {
			return err
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
		if err != nil {
			return err
		}
		return compiled.Validate(value)
	}
}

// forJSON makes texts of what YAML has, and JSON has not.
func forJSON(value any) any {
	switch value := value.(type) {
	case time.Time:
		return value.String()
	case float64:
		if math.IsInf(value, 0) || math.IsNaN(value) {
			return fmt.Sprint(value)
		}
	case []any:
		for i := range value {
			value[i] = forJSON(value[i])
		}
	case map[string]any:
		for key := range value {
			value[key] = forJSON(value[key])
		}
	case map[any]any: // a key is no text there
		texts := map[string]any{}
		for key := range value {
			texts[fmt.Sprint(key)] = forJSON(value[key])
		}
		return texts
	}
	return value
}

func printedSchema(t testing.TB, hk *HyperKube) string {
	t.Helper()
	var out bytes.Buffer
	hk.SetOut(&out)
	if err := hk.Run([]string{"hk", "config", "schema"}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// listed is a binary with flags whose values can be counted.
func listed(t testing.TB) *HyperKube {
	s := &Server{SimpleUsage: "db", Aliases: []string{"store"}, Long: "It keeps\n  things.", Run: idle, ProcessFlags: []string{"mode"}, FlagValues: func(_ *Server, flag string) []string {
		return map[string][]string{"kind": {"fast\tas fast as can be", "safe"}, "on": {"true", "false", "auto"}, "level": {"1", "2"}, "kinds": {"fast", "safe"}, "mode": {"x", "y"}}[flag]
	}}
	fs := s.Flags()
	fs.String("kind", "fast", "how")
	fs.String("on", "", "")
	fs.Int("level", 1, "")
	fs.StringSlice("kinds", nil, "")
	fs.StringToString("labels", nil, "")
	fs.String("mode", "", "")
	fs.Int("old", 1, "what was")
	if err := fs.MarkDeprecated("old", "use --kind"); err != nil {
		t.Fatal(err)
	}
	return newHyperKube(t, s, &Server{SimpleUsage: "api", Run: idle}, &Server{SimpleUsage: "both", Members: []string{"db", "api"}}, &Server{SimpleUsage: "tool", Main: done})
}

func TestSchemaValidates(t *testing.T) {
	check := compileSchema(t, listed(t))
	for text, ok := range map[string]bool{
		"servers: [db, api]": true, "servers: db,api": true, "servers: [store, both, all]": true, "servers: [tool]": false, "servers: [bd]": false,
		"servers: []": false, "servers: {}": false, "servers: ''": false, "server: [db]": false,
		"quiet: true": true, "quiet: yes please": false, "name: two": true, "name: 2": true, "data-dir: /x": true, "config: x": false, "help: true": false, "print-config: true": false,
		"log-max-size: 7": true, "log-max-size: x": false, "log-max-size: 1.5": false,
		"log-format: json": true, "log-format: xml": false, "log-level: v=17": true, "log-levl: debug": false,
		"db:": true, "db: {}": true, "db: 1": false, "db: [kind]": false, "store: {kind: fast}": false, "both: {}": false, "tool: {}": false, "bd: {}": false,
		"db: {kind: safe}": true, "db: {kind: saef}": false, "db: {knid: safe}": false, "db: {kind: [safe]}": false, "db: {kind: 'fast\tas fast as can be'}": false,
		"db: {on: true}": true, "db: {on: 'true'}": true, "db: {on: auto}": true, "db: {on: ''}": true, "db: {on: perhaps}": false,
		"db: {level: 2}": true, "db: {level: 3}": false, "db: {level: '2'}": false,
		"db: {kinds: fast}": true, "db: {kinds: 'fast,safe'}": true, "db: {kinds: [fast, safe]}": true, "db: {kinds: []}": false, "db: {kinds: {fast: safe}}": false,
		"db: {labels: a=1}": true, "db: {labels: {a: 1, b: true, c: x}}": true, "db: {labels: [a=1]}": true, "db: {labels: {}}": false, "db: {labels: {a: [1]}}": false,
		"db: {restart: always}": true, "db: {restart: perhaps}": false, "db: {isolation: process}": true, "db: {isolation: perhaps}": false, "db: {log-level: debug}": true,
		"db: {log-file: none}": true, "db: {grace-period: 5s}": true, "db: {grace-period: }": false, "db: {restart: ''}": false,
		"mode: x": true, "mode: z": false, "db: {mode: x}": true, "db: {old: 2}": true, "": false,
	} {
		if err := check(text); (err == nil) != ok {
			t.Errorf("%s: %v, want valid: %v", text, err, ok)
		}
	}
}

func TestSchemaHasEveryFlag(t *testing.T) {
	hk := listed(t)
	var s struct {
		Schema     string `json:"$schema"`
		Properties map[string]struct {
			Description string
			Default     any
			Properties  map[string]struct{ Description string }
			Strict      *bool `json:"additionalProperties"`
		}
		Strict *bool `json:"additionalProperties"`
	}
	if err := json.Unmarshal([]byte(printedSchema(t, hk)), &s); err != nil {
		t.Fatal(err)
	}
	if s.Schema != "http://json-schema.org/draft-07/schema#" || s.Strict == nil || *s.Strict || s.Properties["db"].Strict == nil || *s.Properties["db"].Strict {
		t.Errorf("it is not draft 7, or not strict: %+v", s)
	}
	flags := 0
	hk.RunFlags().VisitAll(func(f *pflag.Flag) {
		server, flag, namespaced := strings.Cut(f.Name, ".")
		there := false
		if _, there = s.Properties[f.Name]; namespaced {
			_, there = s.Properties[server].Properties[flag]
		}
		if want := f.Name != "config" && f.Name != "print-config" && f.Name != "help"; there != want {
			t.Errorf("%s is there: %v, want %v", f.Name, there, want)
		}
		flags++
	})
	if flags < 30 {
		t.Errorf("%d flags: that is not all", flags)
	}
	for got, want := range map[string]string{
		s.Properties["db"].Description:                    "It keeps things.",
		s.Properties["db"].Properties["kind"].Description: "how",
		s.Properties["db"].Properties["old"].Description:  "what was (deprecated: use --kind)",
		fmt.Sprint(s.Properties["log-max-size"].Default):  "20",
		s.Properties["servers"].Description:               "servers to run; what they need joins by itself. Default: db, api",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// It is the same for everybody, at any time.
func TestSchemaIsAlwaysTheSame(t *testing.T) {
	first := printedSchema(t, listed(t))
	t.Setenv("HK_NAME", "two")
	t.Setenv("HK_DATA_DIR", "/data")
	for range 5 {
		if diff := cmp.Diff(first, printedSchema(t, listed(t))); diff != "" {
			t.Fatalf("(-first +other):\n%s", diff)
		}
	}
}
