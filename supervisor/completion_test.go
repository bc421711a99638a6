package supervisor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// completionToy is a binary with something of all that can be completed. Nothing of it may be run.
func completionToy(t testing.TB) *HyperKube {
	mustNotRun := func(context.Context, *Server, []string) error {
		t.Error("completion has run a server")
		return nil
	}
	api := &Server{SimpleUsage: "api", Aliases: []string{"kube-api"}, Long: "It serves. And more.", Run: mustNotRun, Main: mustNotRun,
		ProcessFlags: []string{"gates"}, FlagValues: toyValues}
	flags := api.Flags()
	flags.StringToString("gates", nil, "what is switched on. Options are:\nA=true|false\nB=true|false")
	flags.IntP("port", "p", 8080, "where to `listen`")
	flags.String("mode", "", "one of the modes")
	flags.StringSlice("plugins", nil, "several")
	flags.StringArray("words", nil, "several, and a comma is part of one")
	flags.String("cert-dir", "", "folder")
	flags.String("secret", "", "not shown")
	flags.Lookup("secret").Hidden = true

	store := &Server{SimpleUsage: "store", Run: mustNotRun, ProcessFlags: []string{"gates"}, FlagValues: toyValues}
	store.Flags().StringToString("gates", nil, "what is switched on")
	store.Flags().Bool("fast", false, "")
	store.Flags().String("mode", "", "another mode\tof course")

	hk := &HyperKube{Name: "hk", DefaultServers: []string{"api", "store"}}
	hk.AddServer(api)
	hk.AddServer(store)
	hk.AddServer(&Server{SimpleUsage: "late", Long: "Last", Run: mustNotRun})
	hk.AddServer(&Server{SimpleUsage: "both", Long: "Both of them.", Members: []string{"api", "store"}})
	hk.AddServer(&Server{SimpleUsage: "raw", Long: "It likes\nits\targuments.", Main: mustNotRun})
	hk.AddCommand(&Command{Name: "greet", Args: "NAME", Short: "say hello", Flags: greetFlags(),
		Complete: func(_ *HyperKube, args []string) []string {
			return []string{"Ann\ta\tfriend\nof mine", "Bob", "after " + strings.Join(args, " and ")}
		},
		FlagValues: valuesByFlag(map[string][]string{"tone": {"loud", "low"}})})
	hk.AddCommand(&Command{Name: "read", Args: "FILE", Short: "read a file"})
	hk.AddCommand(&Command{Name: "idle", Short: "do nothing"})
	return hk
}

// toyValues are the values of flags of the toy's servers.
func toyValues(s *Server, flag string) []string {
	return map[string][]string{
		"gates":   {"A=true\tALPHA", "A=false\tALPHA", "B=true", "B=false"},
		"mode":    {s.Name() + "-fast", s.Name() + "-slow\tbut sure"},
		"plugins": {"one", "two", "three"},
		"words":   {"a,b", "a,c"},
	}[flag]
}

func greetFlags() *pflag.FlagSet {
	flags := newFlagSet("")
	flags.String("tone", "", "how")
	flags.Bool("twice", false, "once more")
	return flags
}

// completes returns the words that the toy answers with, and the directive.
func completes(t testing.TB, hk *HyperKube, args ...string) (words []string, directive string) {
	t.Helper()
	out, err := call(hk, append([]string{"hk", cobra.ShellCompRequestCmd}, args...)...)
	if err != nil {
		t.Errorf("completing %q: %v", args, err)
	}
	all := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	words, directive = all[:len(all)-1], all[len(all)-1]
	if !regexp.MustCompile(`^:[0-9]+$`).MatchString(directive) {
		t.Fatalf("completing %q: the last line is %q, want a directive, such as :4", args, directive)
	}
	return words, directive
}

// Directives of cobra's.
const (
	files = ":0"
	space = ":4" // and no files
	list  = ":6" // no space either: the list may go on
	dirs  = ":16"
)

// completionCase is what is typed, and what is offered. A wanted description * is any.
type completionCase struct {
	name      string
	args      []string
	want      []string
	directive string
}

func (test completionCase) run(t *testing.T) {
	words, directive := completes(t, completionToy(t), test.args...)
	for i, word := range words {
		name, _, about := strings.Cut(word, "\t")
		if loose := name + "\t*"; about && slices.Contains(test.want, loose) {
			words[i] = loose
		}
	}
	if diff := cmp.Diff(test.want, words, cmpopts.EquateEmpty()); diff != "" || directive != test.directive {
		t.Errorf("%q: directive %s, want %s; words (-want +got):\n%s", test.args, directive, test.directive, diff)
	}
}

func TestCompletes(t *testing.T) {
	for _, test := range []completionCase{
		{"commands", []string{"sta"}, []string{"start\t*", "status\t*"}, space},
		{"servers, with one sentence", []string{"ap"}, []string{"api\tIt serves"}, space},
		{"a server that says nothing", []string{"stor"}, []string{"store"}, space},
		{"a description on one line", []string{"ra"}, []string{"raw\tIt likes its arguments"}, space},
		{"an alias", []string{"kube-"}, []string{"kube-api\tIt serves"}, space},
		{"behind flags of the binary", []string{"--name", "two", "--data-dir=/x", "ra"}, []string{"raw\tIt likes its arguments"}, space},
		{"the binary's flags", []string{"--na"}, []string{"--name\t*"}, space},
		{"a value that nobody can know", []string{"--name", ""}, nil, space},
		{"a folder", []string{"--data-dir", ""}, nil, dirs},
		{"unknown command", []string{"nonsense", ""}, nil, space},
		{"unknown command and flag", []string{"nonsense", "--non"}, nil, space},
		{"no such word", []string{"zzz"}, nil, space},

		{"servers to run", []string{"run", ""}, []string{"api\tIt serves", "store", "late\tLast", "both\tBoth of them", "all\tapi, store"}, list},
		{"the rest of a list", []string{"run", "api,"}, []string{"api,store", "api,late\tLast", "api,both\tBoth of them"}, list},
		{"the third one", []string{"run", "api,late,s"}, []string{"api,late,store"}, list},
		{"one that is named by its alias", []string{"run", "kube-api,a"}, nil, list},
		{"one that was named before", []string{"run", "store", "s"}, nil, list},
		{"an alias in a list", []string{"run", "late,kube"}, []string{"late,kube-api\tIt serves"}, list},

		{"an argument of a command", []string{"greet", "A"}, []string{"Ann\ta friend of mine"}, space},
		{"the next argument", []string{"greet", "Ann", "af"}, []string{"after Ann"}, space},
		{"the same argument", []string{"greet", "Bob", "B"}, nil, space},
		{"a flag of a command", []string{"greet", "--t"}, []string{"--tone\thow", "--twice\tonce more"}, space},
		{"its value", []string{"greet", "--tone", "lo"}, []string{"loud", "low"}, space},
		{"its value, behind =", []string{"greet", "--tone=lou"}, []string{"loud"}, space},
		{"behind a switch", []string{"greet", "--twice", "B"}, []string{"Bob"}, space},
		{"a command for files", []string{"read", ""}, nil, files},
		{"a command without arguments", []string{"idle", ""}, nil, space},
		{"a server of a run", []string{"stop", "la"}, []string{"late\tLast"}, space},
		{"servers of a run", []string{"stop", "late,st"}, []string{"late,store"}, list},
		{"a shell", []string{"completion", "f"}, []string{"fish"}, space},
		{"one shell", []string{"completion", "fish", ""}, nil, space},
		{"the help of", []string{"help", "la"}, []string{"late"}, space},
	} {
		t.Run(test.name, test.run)
	}
}

func TestCompletesFlagsOfServers(t *testing.T) {
	for _, test := range []completionCase{
		{"of a server", []string{"run", "--api.p"}, []string{"--api.plugins\tseveral", "--api.port\twhere to listen"}, space},
		{"of a server, by its alias", []string{"run", "--kube-api.p"}, nil, space},
		{"added to a server", []string{"run", "--store.r"}, []string{"--store.restart\t*", "--store.restart-limit\t*", "--store.restart-pause\t*", "--store.restart-window\t*"}, space},
		{"hidden", []string{"run", "--api.sec"}, nil, space},
		{"of the process, with its first sentence", []string{"run", "--ga"}, []string{"--gates\twhat is switched on"}, space},
		{"the beginning of a server's", []string{"run", "--ap"}, []string{"--api.\tflags of the server api"}, list},
		{"a server's and another one", []string{"run", "--la"}, []string{"--late.\tflags of the server late"}, list},
		{"a value of the process", []string{"run", "--gates="}, []string{"A=true\tALPHA", "A=false\tALPHA", "B=true", "B=false"}, list},
		{"a value of the process, as a word", []string{"run", "--gates", "A=f"}, []string{"A=false\tALPHA"}, list},
		{"each key once", []string{"run", "--gates=A=true,"}, []string{"A=true,B=true", "A=true,B=false"}, list},
		{"a value of the process, with a namespace", []string{"run", "--store.gates=B"}, []string{"B=true", "B=false"}, list},
		{"a value of a server's", []string{"run", "--store.mode", ""}, []string{"store-fast", "store-slow\tbut sure"}, space},
		{"a value of a server's, behind =", []string{"run", "api", "--api.mode=api-s"}, []string{"api-slow\tbut sure"}, space},
		{"a list", []string{"run", "--api.plugins=t"}, []string{"two", "three"}, list},
		{"the rest of a list", []string{"run", "--api.plugins", "two,t"}, []string{"two,three"}, list},
		{"no list", []string{"run", "--api.words=a,"}, []string{"a,b", "a,c"}, space},
		{"a switch", []string{"run", "--store.fast="}, []string{"true", "false"}, space},
		{"behind a switch", []string{"run", "--store.fast", "la"}, []string{"late\tLast"}, list},
		{"a level", []string{"run", "--log-level", "de"}, []string{"debug"}, space},
		{"a level of a server's", []string{"run", "--api.log-level=v"}, []string{"v=2", "v=4", "v=6"}, space},
		{"a format", []string{"run", "--log-format="}, []string{"console", "json"}, space},
		{"a restart", []string{"run", "--api.restart=o"}, []string{"on-failure"}, space},
		{"an isolation", []string{"run", "--late.isolation", ""}, []string{"none", "process"}, space},
		{"a folder", []string{"run", "--api.cert-dir", ""}, nil, dirs},
		{"a file", []string{"run", "--config", ""}, nil, files},
		{"a number", []string{"run", "--api.port", ""}, nil, space},

		{"of a server alone", []string{"api", "--p"}, []string{"--plugins\tseveral", "--port\twhere to listen"}, space},
		{"of a server alone, with one letter", []string{"api", "-p", ""}, nil, space},
		{"of an alias", []string{"kube-api", "--mo"}, []string{"--mode\tone of the modes"}, space},
		{"a value of a server alone", []string{"api", "--mode", "api-f"}, []string{"api-fast"}, space},
		{"a list of a server alone", []string{"api", "--gates=B=true,A=t"}, []string{"B=true,A=true\tALPHA"}, list},
		{"no argument of a server alone", []string{"api", ""}, nil, space},
		{"no flags of others", []string{"api", "--store"}, nil, space},

		{"of a composite", []string{"both", "--log-l"}, []string{"--log-level\t*"}, space},
		{"of one member", []string{"both", "--fa"}, []string{"--fast"}, space},
		{"of a member, with a namespace", []string{"both", "--store.f"}, []string{"--store.fast"}, space},
		{"the beginning of a member's", []string{"both", "--sto"}, []string{"--store.\tflags of the server store"}, list},
		{"of no member", []string{"both", "--late"}, nil, space},
		{"of no member, with a namespace", []string{"both", "--late."}, nil, space},
		{"a value of a member's", []string{"both", "--plugins=one,t"}, []string{"one,two", "one,three"}, list},
		{"a value of both", []string{"both", "--mode", ""}, []string{"api-fast", "api-slow\tbut sure"}, space},
		{"no argument of a composite", []string{"both", ""}, nil, space},
		{"of a Main alone", []string{"raw", "--x"}, nil, space},
	} {
		t.Run(test.name, test.run)
	}
}

// All words are there once, and no empty one.
func TestCompletesAllWords(t *testing.T) {
	for _, args := range [][]string{nil, {""}, {"--name=two", ""}} {
		words, directive := completes(t, completionToy(t), args...)
		var names []string
		for _, w := range words {
			name, _, _ := strings.Cut(w, "\t")
			names = append(names, name)
		}
		var want []string
		hk := completionToy(t)
		for _, c := range hk.allCommands() {
			want = append(want, c.Name)
		}
		for _, s := range hk.servers {
			want = append(want, s.Name())
		}
		slices.Sort(want)
		slices.Sort(names)
		if diff := cmp.Diff(want, names); diff != "" || directive != space {
			t.Errorf("%q: directive %s, words (-want +got):\n%s", args, directive, diff)
		}
	}
}

func TestCompletesWithoutDescriptions(t *testing.T) {
	out, err := call(completionToy(t), "hk", cobra.ShellCompNoDescRequestCmd, "run", "l")
	if want := "late\n:6\n"; err != nil || out != want {
		t.Errorf("answer %q, %v, want %q", out, err, want)
	}
}

// Behind `--` is a command, which only the shell knows.
func TestCompletesNoCommand(t *testing.T) {
	for _, args := range [][]string{{"run", "--", ""}, {"run", "late", "--", "l"}, {"run", "--quiet", "--", "make", "--l"}} {
		if words, directive := completes(t, completionToy(t), args...); len(words) > 0 || directive != files {
			t.Errorf("%q: %q, %s, want files", args, words, directive)
		}
	}
	if words, _ := completes(t, completionToy(t), "run", "l"); len(words) == 0 {
		t.Error("before it nothing is offered")
	}
}

// There are hundreds of flags of servers: they are shown when a server's name is there.
func TestCompletesFewFlags(t *testing.T) {
	words, _ := completes(t, completionToy(t), "run", "--")
	for _, w := range words {
		name, _, _ := strings.Cut(w, "\t")
		if server, flag, ok := strings.Cut(name, "."); ok && flag != "" {
			t.Errorf("%s is among all flags, want --%s. alone", name, server)
		}
	}
	if !slices.Contains(words, "--late.\tflags of the server late") || slices.Contains(words, "--both.\tflags of the server both") {
		t.Errorf("words: %q, want the beginning of flags of each server that has some", words)
	}
}

// A server that completes for itself gets what is behind its name, and nothing else is printed.
func TestServerCompletes(t *testing.T) {
	for _, test := range []struct{ call, want []string }{
		{[]string{"__complete", "tool", ""}, []string{"__complete", ""}},
		{[]string{"__complete", "spanner", "ge"}, []string{"__complete", "ge"}},
		{[]string{"__completeNoDesc", "--name", "two", "tool", "get", "-o", "--"}, []string{"__completeNoDesc", "get", "-o", "--"}},
		{[]string{"__complete", "tool", "exec", "--", "-x", ""}, []string{"__complete", "exec", "--", "-x", ""}},
		{[]string{"__complete", "--data-dir=/x", "tool", "--name", "y"}, []string{"__complete", "--name", "y"}},
	} {
		t.Run(strings.Join(test.call, " "), func(t *testing.T) {
			var got []string
			hk := completionToy(t)
			tool := &Server{SimpleUsage: "tool", Aliases: []string{"spanner"}}
			tool.Main = func(context.Context, *Server, []string) error { t.Error("Main was called"); return nil }
			tool.Complete = func(_ context.Context, s *Server, args []string) error {
				if s != tool {
					t.Errorf("called with server %s", s.Name())
				}
				got = args
				return nil
			}
			hk.AddServer(tool)
			out, err := call(hk, append([]string{"hk"}, test.call...)...)
			if err != nil || out != "" {
				t.Errorf("printed %q, %v", out, err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("arguments (-want +got):\n%s", diff)
			}
			if p, err := hk.Location(); err != nil || slices.Contains(test.call, "two") && p.Name != "two" {
				t.Errorf("the plan is %+v, %v, want the name that was given", p, err)
			}
		})
	}
}

// A server's name itself is completed as any other.
func TestNameOfServerThatCompletes(t *testing.T) {
	hk := completionToy(t)
	hk.AddServer(&Server{SimpleUsage: "tool", Main: func(context.Context, *Server, []string) error { return nil },
		Complete: func(context.Context, *Server, []string) error { return fmt.Errorf("asked for its own name") }})
	if words, _ := completes(t, hk, "too"); !slices.Equal(words, []string{"tool"}) {
		t.Errorf("words: %q", words)
	}
}

// What some package adds to the flags of the process is no flag of any command.
func TestCompletesNoFlagsOfPackages(t *testing.T) {
	theirs := pflag.CommandLine
	defer func() { pflag.CommandLine = theirs }()
	pflag.CommandLine = newFlagSet("")
	pflag.CommandLine.Bool("zebra", false, "of a package")
	for _, command := range []string{"run", "version", "api", "both"} {
		if words, _ := completes(t, completionToy(t), command, "--z"); len(words) > 0 {
			t.Errorf("%s: words %q, want none", command, words)
		}
	}
	if pflag.CommandLine.Lookup("zebra") == nil {
		t.Error("the flags of the process have changed")
	}
}

// Completion happens at each press of a key: it does not change anything, and what files say does not matter.
func TestCompletionTouchesNothing(t *testing.T) {
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	t.Setenv("HK_API_PORT", "nonsense")
	config := filepath.Join(t.TempDir(), "hk.yaml")
	if err := os.WriteFile(config, []byte("}{"), 0o200); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "data")
	for _, args := range [][]string{
		{"run", "--config=" + config, "--data-dir", dir, "--api.mo"},
		{"run", "--config=" + filepath.Join(dir, "missing.yaml"), "--data-dir", dir, "--api.mo"},
		{"both", "--config", config, "--data-dir", dir, "--api.mo"},
		{"--data-dir", dir, "run", "--ephemeral", "--api.mo"},
	} {
		if words, _ := completes(t, completionToy(t), args...); len(words) != 1 {
			t.Errorf("%q: words %q, want one", args, words)
		}
	}
	for _, gone := range []string{dir, filepath.Join(os.Getenv("XDG_STATE_HOME"), "hk")} {
		if _, err := os.Stat(gone); !os.IsNotExist(err) {
			t.Errorf("%s: %v, want none", gone, err)
		}
	}
}

func TestBrief(t *testing.T) {
	long := strings.Repeat("word ", 30)
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"One.", "One"},
		{"One sentence. Another one.", "One sentence"},
		{"Names in cluster.local, and v1.37. More.", "Names in cluster.local, and v1.37"},
		{"Some (e.g. these) of them. More.", "Some (e.g. these) of them"},
		{"Capabilities (such, ...) of it. More.", "Capabilities (such, ...) of it"},
		{"First line\nand\tsecond", "First line and second"},
		{"(A note.) And more.", "(A note.)"},
		{long, strings.TrimSpace(long[:100]) + "…"},
		{strings.Repeat("x", 120), strings.Repeat("x", 120)},
		{strings.Repeat("x", 95) + ", and so on", strings.Repeat("x", 95) + ", and…"},
		{strings.Repeat("x", 98) + ", and so on", strings.Repeat("x", 98) + "…"},
	} {
		if got := brief(test.text); got != test.want {
			t.Errorf("of %q: %q, want %q", test.text, got, test.want)
		}
	}
}

// What is mended in cobra's scripts has to be there: a new version may have other words, or be right.
func TestMendsAreNeeded(t *testing.T) {
	for _, sh := range shells {
		var script strings.Builder
		if err := sh.write(completionToy(t).cobraRoot(), &script); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(sh.mends); i += 2 {
			if !strings.Contains(script.String(), sh.mends[i]) {
				t.Errorf("cobra's script for %s has no %q any more: see whether what is mended there is right now.", sh.name, sh.mends[i])
			}
		}
		if wrong := `printf "%q`; sh.name == "bash" && strings.Count(script.String(), wrong) != 6 {
			t.Errorf("cobra's script for bash has another number of %s: all of them have to be mended.", wrong)
		}
	}
}

// Words of all kinds get an answer.
func FuzzComplete(f *testing.F) {
	for _, line := range []string{"", "run api,", "run --", "run --api.p", "run --gates=A=true,", "run --log-level", "--name", "--name=x run", "both --fa",
		"greet -", "api -p", "raw --x=", "-- run", "run -- api", "run ,,", "run --=", "run -=", "run --api.=,", "--help ", "run --help", "__complete run", "status\t"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		completes(t, completionToy(t), strings.Split(line, " ")...)
	})
}
