package supervisor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// shop is a binary with flags of all kinds.
func shop(t *testing.T, more ...*Server) *HyperKube {
	db := &Server{SimpleUsage: "db", Aliases: []string{"store"}, Long: "It keeps things.", Run: idle, ProcessFlags: []string{"gates", "legacy"}}
	db.Flags().Bool("legacy", false, "as it was")
	_ = db.Flags().MarkDeprecated("legacy", "it will be as it is")
	db.Flags().StringP("address", "a", "0.0.0.0", "where to listen, see --port")
	db.Flags().Int("port", 5432, "where to listen")
	db.Flags().String("folder", "", "where things are")
	db.Flags().StringSlice("peers", nil, "other databases")
	db.Flags().Bool("sync", false, "write things at once")
	db.Flags().String("same", "as ever", "what `run` leaves alone")
	db.Flags().Int("score", 5, "what depends on the machine")
	db.Flags().String("password", "", "what opens it")
	db.Flags().Int("old", 1, "what there was before")
	_ = db.Flags().MarkDeprecated("old", "use --port")
	db.Flags().Bool("inner", false, "what is nobody's business")
	_ = db.Flags().MarkHidden("inner")
	db.Flags().StringSlice("gates", nil, "experiments\nOptions are:\n"+gateLines(20))
	_ = db.Flags().SetAnnotation("score", AnnotationDefault, []string{"that of the process"})
	db.Defaults = func(p *Plan, s *Server) error {
		return errors.Join(s.Default("address", "127.0.0.1"), s.Default("folder", p.Path("db")), s.Default("peers", "a"), s.Default("peers", "b"),
			s.Default("sync", "true"), s.Default("same", "as ever"), s.Default("score", "5"), s.Default("password", "xyzzy"))
	}
	web := &Server{SimpleUsage: "web [FILE...]", Long: "It shows things.", Run: idle, Needs: []Need{{Server: "db"}}, ProcessFlags: []string{"gates"}}
	web.Flags().Int("port", 80, "where to listen")
	web.Flags().StringSlice("gates", nil, "experiments")
	web.Defaults = func(*Plan, *Server) error { return errors.New("not today") }
	hk := newHyperKube(t, append([]*Server{db, web}, more...)...)
	hk.Name, hk.DefaultServers = "shop", []string{"web"}
	return hk
}

// gateLines are so many lines of a description.
func gateLines(n int) string {
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf("Gate%d=true", i+1))
	}
	return strings.Join(lines, "\n")
}

// What `run` sets by itself stands at the flags, wherever and by whomever the help is asked for.
func TestUsageMarksDefaults(t *testing.T) {
	want := []string{
		"-a, --address string where to listen", `(default "0.0.0.0") (shop run: 127.0.0.1)`, "where things are (shop run: DATA-DIR/db)",
		"other databases (shop run: a,b)", "write things at once (shop run: true)", "(default 5) (shop run: that of the process)",
		"(shop run: a secret)", `(default "as ever") --score`, "as they stand below. For `shop run`, --FLAG is", "--db.FLAG, or SHOP_DB_FLAG",
		"is marked (shop run: VALUE).", "DATA-DIR is the data folder",
		"Flags that `shop run` adds --db.log-level string ",
	}
	for _, args := range []string{"shop help db", "shop db --help", "db --help", "shop help store"} {
		t.Run(args, func(t *testing.T) {
			hk := shop(t)
			t.Setenv("HOME", "")
			t.Setenv("XDG_STATE_HOME", "")
			t.Setenv("SHOP_DB_ADDRESS", "192.0.2.1")
			out, err := call(hk, strings.Fields(args)...)
			if err != nil {
				t.Error(err)
			}
			contains(t, strings.Join(strings.Fields(out), " "), want...)
			lacks(t, out, "xyzzy", "192.0.2.1", "--old", "--inner")
		})
	}
}

// What counts are the servers that `run` would run: the default ones, and this one.
func TestUsageMarksDefaultsBesideOthers(t *testing.T) {
	cache := &Server{SimpleUsage: "cache", Run: idle, Defaults: func(p *Plan, s *Server) error {
		return s.Default("beside", nameList(p.Servers))
	}}
	cache.Flags().String("beside", "", "who is there")
	out, err := call(shop(t, cache), "shop", "help", "cache")
	if err != nil {
		t.Error(err)
	}
	contains(t, out, "who is there (shop run: cache, db, web)")
}

// What the user gives is not what `run` sets by itself.
func TestUsageDoesNotMarkWhatIsGiven(t *testing.T) {
	out, err := call(shop(t), "shop", "db", "--address=192.0.2.1", "--bogus")
	wantCode(t, err, 2)
	contains(t, out, "(shop run: true)")
	lacks(t, out, "192.0.2.1", "127.0.0.1")
}

// A server of which nothing is known, because its Defaults fail, is shown without marks; so is one to which run sets
// nothing.
func TestUsageWithoutMarks(t *testing.T) {
	out, err := call(shop(t), "shop", "help", "web")
	if err != nil {
		t.Error(err)
	}
	contains(t, out, "  shop web [FILE...] [flags]    alone\n  shop run web [--web.FLAG...]  beside others\n", "where to listen (default 80)")
	lacks(t, out, "shop run:", "marked", "DATA-DIR")
}

// A server may print its usage while it runs: that must not set flags.
func TestUsageOfServerSetsNothing(t *testing.T) {
	hk := shop(t)
	var out strings.Builder
	hk.SetOut(&out)
	db := hk.Servers()[0]
	db.usage()
	contains(t, out.String(), "where to listen", "shop run db")
	lacks(t, out.String(), "(shop run:")
	if db.Value("address") != "0.0.0.0" || db.Flags().Changed("address") {
		t.Errorf("the address is %s", db.Value("address"))
	}
}

func TestUsageOfServerAlone(t *testing.T) {
	s := &Server{SimpleUsage: "lone [FILE]", Main: func(context.Context, *Server, []string) error { return nil }}
	s.Flags().Bool("quick", false, "hurry")
	hk := newHyperKube(t, s)
	var out strings.Builder
	hk.SetOut(&out)
	s.usage()
	if want := "Usage\n\n  hk lone [FILE] [flags]\n\nFlags\n\n      --quick   hurry\n"; out.String() != want {
		t.Errorf("it is\n%s\nwant\n%s", out.String(), want)
	}
}

func TestUsageOfRun(t *testing.T) {
	out, err := call(shop(t), "shop", "run", "--help")
	if err != nil {
		t.Error(err)
	}
	contains(t, out, "\nExamples\n  shop run  ", "\n  shop run web --web.log-level=debug ",
		"\n  shop run --ephemeral -- make test ", "\n  db, web. None named means web.\n", "\n      --config file ", "--print-config",
		"\nFlags of the whole process\n      --gates\n", "SHOP_SERVER_FLAG", "shop help flag WORD")
	for line := range strings.Lines(out) {
		if len(line) > 81 {
			t.Errorf("a line has %d columns: %s", len(line)-1, line)
		}
	}
	two, err := call(newHyperKube(t, &Server{SimpleUsage: "a", Run: idle}, &Server{SimpleUsage: "b", Run: idle}), "hk", "run", "--help")
	if err != nil {
		t.Error(err)
	}
	contains(t, two, "\n  hk run a,b --a.log-level=debug ", " two servers, a flag of one\n")
	lacks(t, two, "whole process")

	hk := newHyperKube(t, &Server{SimpleUsage: "a", Run: idle}, &Server{SimpleUsage: "both", Members: []string{"a"}})
	hk.DefaultServers = []string{"both"}
	if out, err = call(hk, "hk", "run", "--help"); err != nil {
		t.Error(err)
	}
	lacks(t, out, "both.log-level") // it has no flags
}

func TestSearchFlags(t *testing.T) {
	const dbPort, webPort = "      --db.port int ", "      --web.port int "
	for _, test := range []struct {
		name, args  string
		want, lacks []string
	}{
		{"part of a name", "flag por", []string{"Flags of db\n\n" + dbPort, "\n\nFlags of web\n\n" + webPort, "(default 5432)", "(default 80)"}, nil},
		{"other case", "flag PORT", []string{dbPort, webPort}, nil},
		{"also called flags", "flags port", []string{dbPort, webPort}, nil},
		{"with dashes", "flag --port", []string{dbPort, webPort}, nil},
		{"name with server", "flag db.port", []string{dbPort}, []string{webPort}},
		{"name from its beginning", "flag ^port$", []string{dbPort, webPort}, nil},
		{"all patterns", "flag db port", []string{dbPort}, []string{webPort}},
		{"one in the name, one in the description", "flag folder things", []string{"--db.folder string ", "(shop run: DATA-DIR/db)"}, []string{"--db.sync"}},
		{"of the framework", "flag keep-going", []string{"Flags of `shop run`\n\n      --keep-going "}, []string{"Flags of db"}},
		{"of the framework, per server", "flag grace", []string{"--db.grace-period duration", "--web.grace-period duration"}, nil},
		{"of the whole process, once", "flag gates", []string{"Flags of the whole process\n\n      --gates strings "}, []string{"db.gates", "web.gates", "(default"}},
		{"only some lines of a long description", "flag gate7",
			[]string{"experiments\n", "Gate7=true\n", "... (all: shop help --gates)\n"}, []string{"Gate8"}},
		{"deprecated", "flag db.old", []string{"--db.old int ", "(DEPRECATED: use --port)"}, nil},
		{"deprecated, of the whole process", "flag legacy", []string{"Flags of the whole process\n\n      --legacy ", "(DEPRECATED: it will"}, []string{"db.legacy"}},
		{"default of a kind that has none", "flag peers", []string{"--db.peers strings ", "other databases (shop run: a,b)"}, []string{"[]"}},
		{"letter is not for run", "flag db.address", []string{"      --db.address string "}, []string{"-a,"}},
		{"in quotes", "flag leaves.alone", []string{"--db.same run ", "what run leaves alone"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := call(shop(t), append([]string{"shop", "help"}, strings.Fields(test.args)...)...)
			if err != nil {
				t.Error(err)
			}
			contains(t, out, test.want...)
			lacks(t, out, append(test.lacks, "Error")...)
		})
	}
}

// Who looks for a flag by name is not to read about others first.
func TestSearchShowsNamesFirst(t *testing.T) {
	out, err := call(shop(t), "shop", "help", "flag", "port")
	if err != nil {
		t.Fatal(err)
	}
	name, description := strings.Index(out, "--db.port"), strings.Index(out, "--db.address")
	if name < 0 || description < name {
		t.Errorf("--db.port is at %d, --db.address at %d:\n%s", name, description, out)
	}
}

func TestSearchFindsNothing(t *testing.T) {
	for _, test := range []struct {
		args, want string
		code       int
	}{
		{"flag", "say what to search for, as in `shop help flag port`", 2},
		{"flag a(", `"a(" is no regular expression: missing closing ) (`, 2},
		{"flag port *x", `"*x" is no regular expression: missing argument to repetition operator: * (`, 2},
		{"flag prot", "no flag of `shop run` matches \"prot\" (did you mean --db.port or --web.port?)", 1},
		{"flag --db.prot", "no flag of `shop run` matches \"--db.prot\" (did you mean --db.port", 1},
		{"flag pasword", "no flag of `shop run` matches \"pasword\" (did you mean --db.password?)", 1},
		{"flag ephemeral gates", "no flag of `shop run` matches all of [\"ephemeral\" \"gates\"]: leave one out", 1},
		{"flag port xyz", "no flag of `shop run` matches \"xyz\"\n", 1},
		{"flag bacups", "no flag of `shop run` matches \"bacups\" (did you mean backups?)", 1},
		{"flag dxx", "no flag of `shop run` matches \"dxx\"\n", 1},           // dir is not what was meant
		{"flag business", "no flag of `shop run` matches \"business\"\n", 1}, // it is hidden
		{"--db.prot", "there is no flag --db.prot (did you mean --db.port", 2},
		{"db.prot", "there is no flag --db.prot (did you mean --db.port", 2},
		{"--xyzxyz", "there is no flag --xyzxyz: search with `shop help flag WORD`", 2},
		{"port", "server not found: port; it is a flag of db, web: see `shop help flag port`", 2},
		{"flog", "server not found: flog (did you mean flag?)", 2},
	} {
		t.Run(test.args, func(t *testing.T) {
			out, err := call(shop(t), append([]string{"shop", "help"}, strings.Fields(test.args)...)...)
			wantCode(t, err, test.code)
			if !strings.HasPrefix(out, "Error: "+test.want) || strings.Count(out, "\n") != 1 {
				t.Errorf("it prints %q, want %q", out, "Error: "+test.want)
			}
		})
	}
}

func TestHelpOfOneFlag(t *testing.T) {
	const port = "Flags of db\n\n      --db.port int   where to listen (default 5432)\n\nIn the environment: SHOP_DB_PORT\n"
	for _, test := range []struct {
		args string
		want []string
	}{
		{"db.port", []string{port}},
		{"--db.port", []string{port}},
		{"--db.port=1 --name two", []string{port}},
		{"-- --db.port", []string{port}},
		{"--db.gates", []string{"Flags of the whole process\n\n      --gates strings ", "Gate20=true\n", "SHOP_GATES"}},
		{"ephemeral", []string{"Flags of `shop run`\n\n      --ephemeral ", "SHOP_EPHEMERAL"}},
		{"--log-level", []string{"      --log-level string "}}, // with the dashes it is not the command
		{"log-level", []string{"shop log-level SERVER LEVEL"}},
	} {
		t.Run(test.args, func(t *testing.T) {
			out, err := call(shop(t), append([]string{"shop", "help"}, strings.Fields(test.args)...)...)
			if err != nil {
				t.Error(err)
			}
			contains(t, out, test.want...)
		})
	}
	out, _ := call(shop(t), "shop", "help", "--print-config")
	contains(t, out, "--print-config")
	lacks(t, out, "environment")
}

// Names of the library's user are more than a word of this package's.
func TestFlagMayBeAServer(t *testing.T) {
	out, err := call(shop(t, &Server{SimpleUsage: "flag", Long: "It is waved.", Run: idle}), "shop", "help", "flag", "port")
	if err != nil {
		t.Error(err)
	}
	contains(t, out, "It is waved.")
	lacks(t, out, "--db.port")

	hk := shop(t)
	hk.AddCommand(&Command{Name: "flag", Short: "wave a flag", Run: func(context.Context, *HyperKube, *Plan, []string) error { return nil }})
	if out, err = call(hk, "shop", "help", "flag", "port"); err != nil {
		t.Error(err)
	}
	contains(t, out, "Wave a flag.")
	lacks(t, out, "--db.port")
}

func TestCompletionOfHelp(t *testing.T) {
	out, err := call(shop(t), "shop", "__complete", "help", "fl")
	if err != nil {
		t.Error(err)
	}
	contains(t, out, "flag\t")
	if out, err = call(shop(t), "shop", "__complete", "help", "flag", "db.po"); err != nil {
		t.Error(err)
	}
	contains(t, out, "db.port\n")
	lacks(t, out, "web.port")
}

// What follows a word that is too long for a line is wrapped, too, and lines of the text's own stay such.
func TestFlagTable(t *testing.T) {
	long := strings.Repeat("x", 70)
	for _, test := range []struct {
		name    string
		rows    [][2]string
		columns int
		want    string
	}{
		{"beside", [][2]string{{"--a", "one two"}, {"--bcd", "three"}}, 60, "--a     one two\n--bcd   three\n"},
		{"nothing to say", [][2]string{{"--a", ""}, {"--b", "x"}}, 60, "--a\n--b   x\n"},
		{"wrapped", [][2]string{{"--a", strings.Repeat("word ", 9)}}, 46, "--a   word word word word word word word word\n      word\n"},
		{"below", [][2]string{{"--a", "one"}, {"--bcd", ""}}, 40, "--a\n                one\n--bcd\n"},
		{"long word", [][2]string{{"--a", "see " + long + " and so on"}}, 60, "--a   see\n      " + long + "\n      and so on\n"},
		{"lines", [][2]string{{"--a", "one:\n  two\nthree"}}, 60, "--a   one:\n        two\n      three\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := flagTable(test.rows, test.columns); got != test.want {
				t.Errorf("it is\n%q\nwant\n%q", got, test.want)
			}
		})
	}
}

// A flag of the whole process that is marked stands in the help of `run` with what it is for.
func TestProminentFlag(t *testing.T) {
	s := &Server{SimpleUsage: "db", Run: idle, ProcessFlags: []string{"plain", "special"}}
	s.Flags().Bool("plain", false, "as it comes")
	s.Flags().Bool("special", false, "made for you")
	if err := s.Flags().SetAnnotation("special", AnnotationProminent, []string{"true"}); err != nil {
		t.Fatal(err)
	}
	hk := &HyperKube{Name: "shop"}
	hk.AddServer(s)
	out, err := call(hk, "shop", "run", "--help")
	if err != nil {
		t.Fatal(err)
	}
	before, process, _ := strings.Cut(out, "Flags of the whole process")
	if !strings.Contains(before, "made for you") || strings.Contains(process, "special") {
		t.Errorf("the flag is not among those of `run`:\n%s", out)
	}
	if strings.Contains(before, "plain") || !strings.Contains(process, "--plain") {
		t.Errorf("a flag that is not marked is among those of `run`:\n%s", out)
	}
}
