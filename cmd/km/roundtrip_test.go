package main

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/seed-200a7251/km/servers/component"
)

// What --print-config prints does the same as the call that has printed it: with it each flag of each server has the
// same value again, and counts as given or not as before. Each flag is given in one of the rounds: what a flag's value
// does to the test is seen whenever it runs, and only the flags beside it are a matter of chance.
func TestPrintConfigRoundTrip(t *testing.T) {
	schema := newSchema(t)
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	flags := all(newKM().RunFlags())
	random.Shuffle(len(flags), func(i, j int) { flags[i], flags[j] = flags[j], flags[i] })
	round := 0
	for given := range slices.Chunk(flags, 50) {
		round++
		t.Run(strconv.Itoa(round), func(t *testing.T) {
			t.Logf("seed %d", seed)
			dir := t.TempDir()
			t.Setenv("HOME", dir)
			t.Setenv("XDG_STATE_HOME", "")
			first, firstText := printConfig(t, settingsOf(t, random, given, dir)...)
			for _, pair := range os.Environ() {
				if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "KM_") {
					t.Setenv(name, "") // as if it were not there
				}
			}
			if err := validate(schema, firstText); err != nil {
				t.Errorf("an editor would say of what is printed: %v\n%s", err, firstText)
			}
			file := filepath.Join(dir, "printed.yaml")
			if err := os.WriteFile(file, []byte(firstText), 0o600); err != nil {
				t.Fatal(err)
			}
			second, secondText := printConfig(t, "--config="+file)
			if diff := cmp.Diff(first, second); diff != "" {
				t.Errorf("values (-first +second):\n%s\nprinted:\n%s", diff, firstText)
			}
			if diff := cmp.Diff(withoutSources(firstText), withoutSources(secondText)); diff != "" {
				t.Errorf("printed (-first +second):\n%s", diff)
			}
		})
	}
}

// newSchema is what `config schema` prints, compiled.
func newSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	km := newKM()
	var out bytes.Buffer
	km.SetOut(&out)
	if err := km.Run([]string{"km", "config", "schema"}); err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(&out)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("km.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("km.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validate compares a config file with the schema.
func validate(schema *jsonschema.Schema, text string) error {
	asJSON, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		return err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		return err
	}
	return schema.Validate(document)
}

// The file that is shown as an example is one that editors and km take, and editors find what is wrong with one.
func TestSchema(t *testing.T) {
	topic, err := os.ReadFile(filepath.Join("..", "..", "servers", "km", "how-to.md"))
	if err != nil {
		t.Fatal(err)
	}
	schema := newSchema(t)
	example := regexp.MustCompile("(?s)```yaml\n(.+?)```").FindSubmatch(topic)
	if example == nil {
		t.Fatal("there is no config file in how-to.md")
	}
	if err := validate(schema, string(example[1])); err != nil {
		t.Errorf("the file in how-to.md: %v", err)
	}
	for _, wrong := range []string{
		"apisever: {}", "apiserver: {secure-prot: 1}", "apiserver: {secure-port: high}", "apiserver: {profiling: 1}", "executor: {nodes: -x}",
		"executor: {node-labels: {a: {b: c}}}", "servers: [apisever]", "apiserver: [secure-port]", "executor: {runtime: docker}", "log-format: xml",
		"config: x", "scheduler: {kube-api-qps: many}",
	} {
		if validate(schema, wrong) == nil {
			t.Errorf("nothing is found to be wrong with %s", wrong)
		}
	}
}

// withoutSources are the lines without what stands behind them.
func withoutSources(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			line, _, _ = strings.Cut(line, " # ")
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// printConfig calls `run --print-config`, and returns what the flags of the selected servers are then, and what was
// printed.
func printConfig(t *testing.T, args ...string) (values map[string]string, printed string) {
	t.Helper()
	km := newKM()
	var out bytes.Buffer
	km.SetOut(&out)
	if err := km.Run(append([]string{"km", "run", "--print-config"}, args...)); err != nil {
		t.Fatalf("%v\n%s\n%q", err, out.String(), args)
	}
	// With SetOut, warnings about flags that are deprecated are among it.
	printed = regexp.MustCompile(`(?m)^\d\d:\d\d:.*\n`).ReplaceAllString(out.String(), "")
	selected := regexp.MustCompile(`(?m)^([a-z-]+):$`).FindAllStringSubmatch(printed, -1)
	values = map[string]string{}
	for _, s := range km.Servers() {
		if !slices.ContainsFunc(selected, func(m []string) bool { return m[1] == s.Name() }) {
			continue
		}
		s.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "feature-gates" { // the registry of the process keeps those of all calls before
				values[s.Name()+"."+f.Name] = fmt.Sprintf("%s, given: %v", f.Value, s.Given(f.Name))
			}
		})
	}
	return values, printed
}

// settingsOf sets flags of `km run` to some values: in a file, by the environment, and by the arguments that it
// returns.
func settingsOf(t *testing.T, random *rand.Rand, flags []*pflag.Flag, dir string) []string {
	t.Helper()
	inFile := map[string][]string{} // lines below the name of a server
	args := []string{"etcd,apiserver,controller-manager,scheduler,executor,proxy,dns,storage,manifests,machine"}
	if random.IntN(2) == 0 {
		args = nil
		inFile[""] = append(inFile[""], "servers: [etcd, apiserver, controller-manager, scheduler, executor, proxy, dns, storage, manifests, machine]")
	}
	for _, f := range flags {
		server, name, namespaced := strings.Cut(f.Name, ".")
		value, ok := randomValue(random, server, name, namespaced, f)
		if !ok {
			continue
		}
		switch random.IntN(3) {
		case 0:
			args = append(args, "--"+f.Name+"="+value)
		case 1:
			t.Setenv("KM_"+strings.NewReplacer("-", "_", ".", "_").Replace(strings.ToUpper(f.Name)), value)
		default:
			if !namespaced {
				server, name = "", f.Name
			}
			inFile[server] = append(inFile[server], fmt.Sprintf("%s: %q", name, value))
		}
	}
	var text strings.Builder
	for _, server := range slices.Sorted(maps.Keys(inFile)) {
		indent := ""
		if server != "" {
			fmt.Fprintf(&text, "%s:\n", server)
			indent = "  "
		}
		for _, line := range inFile[server] {
			fmt.Fprintf(&text, "%s%s\n", indent, line)
		}
	}
	file := filepath.Join(dir, "given.yaml")
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return append(args, "--config="+file)
}

// randomValue is one that the flag takes; there is none where a value alone is wrong, or is different each time.
func randomValue(random *rand.Rand, server, name string, namespaced bool, f *pflag.Flag) (string, bool) {
	switch {
	case !namespaced && slices.Contains([]string{"help", "config", "print-config", "ephemeral", "data-dir", "log-level", "log-format", "name"}, f.Name):
		return "", false
	// Files that are looked into to know the defaults; and secrets, which are left out.
	case name == "config-file", name == "log-level", strings.HasSuffix(name, "password"), name == "discovery-token", f.Name == "token", f.Name == "machine.token":
		return "", false
	// The next test would find in the process what these were set to.
	case f.Value.Type() == "version", strings.HasSuffix(f.Name, "emulated-version"), strings.HasSuffix(f.Name, "min-compatibility-version"):
		return "", false
	case f.Name == "v", name == "v": // one of them, and vmodule, is a level of the log
		return strconv.Itoa(random.IntN(9)), true
	case f.Name == "admin-listen":
		return fmt.Sprintf("127.0.0.1:%d", 1+random.IntN(65535)), true
	case f.Value.Type() == "isolation", f.Value.Type() == "policy":
		return map[string]string{"isolation": "process", "policy": "always"}[f.Value.Type()], true
	}
	if !namespaced {
		server, name = "apiserver", f.Name
		if name == "role" {
			server = "machine"
		}
	}
	if name == "feature-gates" {
		return "AllAlpha=false", true
	}
	own := *f
	own.Name = name
	values := otherValues(server, &own)
	if s, err := newKM().FindServer(server); err == nil && s.FlagValues != nil {
		if known := s.FlagValues(s, name); len(known) > 0 { // then upstream takes no others, later
			values = known
		}
	}
	if len(values) == 0 {
		return "", false
	}
	value := values[random.IntN(len(values))]
	if slices.Contains(component.ProcessFlags, name) {
		value = values[0] // the same for all servers
	}
	value, _, _ = strings.Cut(value, "\t")  // a description may follow
	return value, f.Value.Set(value) == nil // one more may be too many
}
