package supervisor

import (
	"encoding/csv"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/logging"
)

// nasty are texts that a file could make something else of.
var nasty = []string{
	"x", "", " ", " lead", "trail ", "a,b", ",", "a\nb", "\n", "a\tb", "#", "a # b", "a: b", "a:", ":a", "'", `"`, `'a'`, `"a"`, `a"b`, `\`, `a\nb`, "null", "~", "true",
	"yes", "-1", "0x1F", "1e3", "1_000", "2001-01-01", ".5", "-", "- a", "? a", "[a]", "{a: b}", "a]", "}", "!a", "&a", "*a", "%a", "@a", "`a`", "|", ">", "ä€😀", "\u2028", "\ufeff", "\u0085",
	"\x00", "\x7f", "a=b", "=", "a=b=c", "$HOME", "<<", "...", "---", "key: [1, 2]", "é\u0301",
}

// random makes values for flags.
type random struct{ *rand.Rand }

func (rnd random) of(values ...string) string { return values[rnd.IntN(len(values))] }

func (rnd random) nasty() string {
	if rnd.IntN(4) == 0 {
		return rnd.of(nasty...) + rnd.of(nasty...)
	}
	return rnd.of(nasty...)
}

// item makes an item for a flag of that type which takes several, or its value if it takes one.
func (rnd random) item(kind string) string {
	number := strconv.Itoa(rnd.IntN(100))
	if kind == "intSlice" || kind == "int32Slice" || kind == "uintSlice" { // these take no others
		return number
	}
	switch strings.TrimSuffix(kind, "Slice") {
	case "bool":
		return rnd.of("true", "false", "1", "0", "T", "False")
	case "int", "int8", "int16", "int32", "int64":
		return rnd.of("-", "", "+") + rnd.of(number, "0x1f", "0b11", "0o17", "1_0", "007")
	case "uint", "uint8", "uint16", "uint32", "uint64":
		return rnd.of(number, "0x1f", "1_0", "007")
	case "count":
		return rnd.of("+1", "3")
	case "float32", "float64":
		return rnd.of("-", "") + rnd.of(number, "1e10", "0.1", ".5", "1e-9", "0x1p-2")
	case "duration":
		return rnd.of("1h30m", "90s", "0", "-1ms", "1.5h")
	case "ip":
		return rnd.of("10.0.0.1", "::1", "fe80::1")
	case "ipMask":
		return rnd.of("255.255.0.0", "ffff0000")
	case "ipNet":
		return rnd.of("10.0.0.0/8", "fd00::/64")
	case "bytesHex":
		return rnd.of("", "00ff", "ABCDEF")
	case "bytesBase64":
		return rnd.of("", "AP8=")
	case "stringToString":
		return strings.ReplaceAll(rnd.nasty(), "=", "") + "=" + rnd.nasty()
	case "stringToInt", "stringToInt64":
		return rnd.of("a", "b", " c ") + "=" + number
	case "switches":
		return rnd.of("a", "b: c", "#") + "=" + rnd.of("true", "", "x y")
	case "urls":
		return rnd.of("a", "https://host/?a=b#c", "a: b", " ", "[::1]:80")
	}
	return rnd.nasty()
}

// value makes a value as it may stand in an argument.
func (rnd random) value(kind string) string {
	n := 1 + rnd.IntN(3)
	switch {
	case kind == "string", kind == "stringArray":
		return rnd.item(kind)
	case kind == "stringToString":
		if item := rnd.item(kind); n == 1 && strings.Count(item, "=") == 1 {
			return item
		}
		return rnd.csv(kind, n+1)
	case kind == "stringSlice":
		return rnd.csv(kind, n)
	case strings.HasSuffix(kind, "Slice"), kind == "urls", kind == "switches", kind == "stringToInt", kind == "stringToInt64":
		var items []string
		for range n {
			items = append(items, rnd.item(kind))
		}
		return strings.Join(items, ",")
	}
	return rnd.item(kind)
}

func (rnd random) csv(kind string, n int) string {
	var items []string
	for range n {
		items = append(items, rnd.item(kind))
	}
	var b strings.Builder
	w := csv.NewWriter(&b)
	w.Write(items)
	w.Flush()
	return strings.TrimSuffix(b.String(), "\n")
}

// entry makes a value as it may stand in a file.
func (rnd random) entry(t *testing.T, kind string, of FlagType) string {
	n := 1 + rnd.IntN(3)
	switch {
	case of == SingleValue || rnd.IntN(2) == 0:
		return scalarText(t, rnd.value(kind))
	case of == Pairs && rnd.IntN(2) == 0:
		pairs := map[string]string{}
		for range n {
			key, value, _ := strings.Cut(rnd.item(kind), "=")
			pairs[scalarText(t, key)] = scalarText(t, value)
		}
		var text []string
		for _, key := range slices.Sorted(maps.Keys(pairs)) {
			text = append(text, fmt.Sprintf("? %s\n      : %s\n", key, pairs[key]))
		}
		return "\n      " + strings.Join(text, "      ")
	}
	var text strings.Builder
	for range n {
		item := rnd.item(kind)
		if kind == "stringToString" && strings.Count(item, "=") > 1 {
			item = "k=v" // what has more is CSV there
		}
		fmt.Fprintf(&text, "\n    - %s", scalarText(t, item))
	}
	return text.String()
}

// kinds is a binary of two servers that have a flag of each kind, and defaults.
func kinds(t testing.TB) *HyperKube {
	var servers []*Server
	for _, name := range []string{"k1", "k2"} {
		s := &Server{SimpleUsage: name, Run: idle, ProcessFlags: []string{"gates", "mode"},
			Defaults: func(p *Plan, s *Server) error {
				for i, text := range nasty[:20] {
					if err := s.Default(fmt.Sprint("default-", i), text); err != nil {
						return err
					}
				}
				return s.Default("default-list", p.Path("a,b"))
			}}
		addKinds(s.Flags())
		servers = append(servers, s)
	}
	hk := newHyperKube(t, servers...)
	hk.DefaultServers = []string{"k2"}
	hk.FlagTypes = map[string]FlagType{"urls": CommaSeparated, "switches": Pairs}
	return hk
}

func addKinds(fs *pflag.FlagSet) {
	fs.Bool("bool", false, "")
	fs.Int("int", 1, "")
	fs.Int8("int8", 1, "")
	fs.Int16("int16", 1, "")
	fs.Int32("int32", 1, "")
	fs.Int64("int64", 1, "")
	fs.Uint("uint", 1, "")
	fs.Uint8("uint8", 1, "")
	fs.Uint16("uint16", 1, "")
	fs.Uint32("uint32", 1, "")
	fs.Uint64("uint64", 1, "")
	fs.Float32("float32", 1, "")
	fs.Float64("float64", 1, "")
	fs.Count("count", "")
	fs.Duration("duration", time.Second, "")
	fs.String("string", "default", "")
	fs.IP("ip", nil, "")
	fs.IPMask("ipMask", nil, "")
	fs.IPNet("ipNet", net.IPNet{}, "")
	fs.BytesHex("bytesHex", nil, "")
	fs.BytesBase64("bytesBase64", nil, "")
	fs.BoolSlice("boolSlice", nil, "")
	fs.IntSlice("intSlice", nil, "")
	fs.Int32Slice("int32Slice", nil, "")
	fs.UintSlice("uintSlice", nil, "")
	fs.Float64Slice("float64Slice", nil, "")
	fs.DurationSlice("durationSlice", []time.Duration{1}, "")
	fs.IPSlice("ipSlice", nil, "")
	fs.StringSlice("stringSlice", []string{"default"}, "")
	fs.StringArray("stringArray", []string{"default"}, "")
	fs.StringToString("stringToString", map[string]string{"default": ""}, "")
	fs.StringToInt("stringToInt", nil, "")
	fs.StringToInt64("stringToInt64", nil, "")
	fs.Var(new(urls), "urls", "")
	fs.Var(new(switches), "switches", "")
	for i := range 20 {
		fs.String(fmt.Sprint("default-", i), "", "")
	}
	fs.StringArray("default-list", nil, "")
	fs.StringSlice("gates", nil, "")
	fs.String("mode", "", "")
}

// giver gives flags values from everywhere.
type giver struct {
	random
	input
	sections, tops [2]string // of the files
}

// give gives a flag up to two values. In a file its key may stand once.
func (g *giver) give(server, flag string, argument, entry func() string) {
	name := flag
	if server != "" {
		name = server + "." + flag
	}
	for range g.IntN(3) {
		switch g.IntN(4) {
		case 0, 1:
			g.args = append(g.args, "--"+name+"="+argument())
		case 2:
			if value := argument(); value != "" {
				g.environ = append(g.environ, (&HyperKube{Name: "hk"}).variableOf(name)+"="+value)
			}
		default:
			where, indent := &g.tops[g.IntN(2)], ""
			if server != "" {
				where, indent = &g.sections[g.IntN(2)], "  "
			}
			if key := "\n" + indent + flag + ": "; !strings.Contains(*where, key) {
				*where += key + entry()
			}
		}
	}
}

// giveRandomly makes an input in which flags of k2, and the framework's, are given.
func giveRandomly(t *testing.T, r random) input {
	g := &giver{random: r}
	switch r.IntN(3) {
	case 0:
		g.args = []string{r.of("k2", "k2,k1", "k1,k2", "all")}
	case 1:
		g.tops[0] = "\nservers: " + r.of("[k1, k2]", "k2,k1", "[k2]")
	}
	hk := kinds(t)
	flags := server(t, hk, "k2").Flags()
	flags.VisitAll(func(f *pflag.Flag) {
		if g.IntN(3) > 0 {
			return
		}
		kind, server := f.Value.Type(), "k2"
		if f.Name == "gates" || f.Name == "mode" {
			server = ""
		}
		g.give(server, f.Name, func() string { return g.value(kind) }, func() string { return g.entry(t, kind, hk.typeOf(f.Value)) })
	})
	for _, f := range []struct {
		server, flag string
		values       []string
	}{
		{"k2", "log-level", []string{"warn", "v=3"}}, {"k2", "grace-period", []string{"1m30s", "5s"}}, {"k2", "restart", []string{"always", "never"}},
		{"k2", "isolation", []string{"none"}}, {"k2", "log-file", []string{"none", "a: b", "x.log"}},
		{"", "name", []string{"two", "2"}}, {"", "quiet", []string{"true", "1"}}, {"", "keep-going", []string{"T", "false"}}, {"", "log-level", []string{"error", "v=2"}},
		{"", "log-format", []string{"json"}}, {"", "log-max-size", []string{"0x10", "7"}}, {"", "log-dir", []string{"a # b", " x"}}, {"", "free-ports", []string{"true"}},
	} {
		g.give(f.server, f.flag, func() string { return g.of(f.values...) }, func() string { return scalarText(t, g.of(f.values...)) })
	}
	for i := range g.tops {
		if g.sections[i] != "" {
			g.sections[i] = "\nk2:" + g.sections[i]
		}
		g.files = append(g.files, g.tops[i]+g.sections[i])
	}
	return g.input
}

// effect is all on which a run depends.
func effect(t *testing.T, hk *HyperKube, p *Plan) map[string]string {
	t.Helper()
	c := hk.settings
	c.printConfig = false
	all := map[string]string{"plan": fmt.Sprint(p.Name, p.DataDir, p.location, p.FreePorts, p.Ephemeral), "settings": fmt.Sprintf("%+v", c),
		"servers": nameList(p.Servers), "joined": fmt.Sprint(p.given.joined), "log files": fmt.Sprint(p.run.logFiles)}
	fresh := kinds(t)
	for _, s := range p.Servers {
		again := server(t, fresh, s.Name()).Flags()
		if err := s.Replay(again.Set); err != nil {
			t.Error(err)
		}
		all[s.Name()] = fmt.Sprint(s.GracePeriod, s.Restart, s.Isolation, logging.FormatLevel(s.Log().Level()))
		s.Flags().VisitAll(func(f *pflag.Flag) {
			other := again.Lookup(f.Name)
			all[s.Name()+"."+f.Name] = fmt.Sprintf("%q, given %v, changed %v, replayed %q, changed %v",
				valueOf(f), s.Given(f.Name), f.Changed, valueOf(other), other.Changed)
		})
	}
	return all
}

// valueOf is a flag's value. Two types of pflag write maps in any order.
func valueOf(f *pflag.Flag) string {
	text := f.Value.String()
	if !strings.HasPrefix(f.Value.Type(), "stringToInt") {
		return text
	}
	pairs := strings.Split(strings.Trim(text, "[]"), ",")
	slices.Sort(pairs)
	return strings.Join(pairs, ",")
}

// withoutSources is what was printed, without the comments behind values.
func withoutSources(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if i := strings.LastIndex(line, " # "); i >= 0 && !strings.HasPrefix(strings.TrimSpace(line), "#") {
			line = line[:i] + "\n"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

var seed = flag.Uint64("seed", 0, "of TestPrintConfigRoundTrip; 0 for a new one")

// What --print-config prints does what the call has done that printed it, and is printed as it is when it is read.
func TestPrintConfigRoundTrip(t *testing.T) {
	seed := *seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-seed=%d", seed)
	check := compileSchema(t, kinds(t))
	for n := range uint64(300) {
		in := giveRandomly(t, random{rand.New(rand.NewPCG(seed, n))})
		hk, read := kinds(t), kinds(t)
		p, err := in.plan(t, hk)
		if err != nil {
			t.Fatalf("%d: %v\n%s", n, err, in)
		}
		text := printed(t, hk, p)
		if err := check(text); err != nil {
			t.Errorf("%d: the schema: %v\n%s", n, err, text)
		}
		again, err := input{files: []string{text}, stay: true}.plan(t, read)
		if err != nil {
			t.Fatalf("%d: %v\n%s\n%s", n, err, in, text)
		}
		if diff := cmp.Diff(effect(t, hk, p), effect(t, read, again)); diff != "" {
			t.Errorf("%d: what it does (-given +printed):\n%s\n%s\n%s", n, diff, in, text)
		}
		if diff := cmp.Diff(withoutSources(text), withoutSources(printed(t, read, again))); diff != "" {
			t.Errorf("%d: printed (-first +second):\n%s\n%s", n, diff, in)
		}
		if t.Failed() {
			return
		}
	}
}

func (in input) String() string {
	return fmt.Sprintf("arguments %q\nenvironment %q\nfiles\n%s", in.args, in.environ, strings.Join(in.files, "\n---\n"))
}
