package supervisor

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-200a7251/km/supervisor/internal/configfile"
)

// wrongFile is a file, and the error that it leads to.
type wrongFile struct{ name, file, want string }

// wrongKeys are keys that there are not, or not there.
var wrongKeys = []wrongFile{
	{"misspelt flag", "a:\n  numbr: 1", "1.yaml:2: a.numbr: a has no such flag (did you mean number?)"},
	{"another server's flag", "a: {size: 1}", "1.yaml:1: a.size: a has no such flag; it is a flag of b"},
	{"flag of no server", "a: {quiet: true}", "1.yaml:1: a.quiet: a has no such flag; --quiet stands outside of servers"},
	{"flag that is nowhere", "a: {zzzzzzzz: 1}", "1.yaml:1: a.zzzzzzzz: a has no such flag"},
	{"flag only for the command line, in a server", "a: {config: x}", "1.yaml:1: a.config: a has no such flag"},
	{"alias", "quiet: true\nfirst: {number: 1}", "1.yaml:2: first is another name of a: put its flags below that"},
	{"composite", "ab: {number: 1}", "1.yaml:1: ab stands for several servers: put the flags below a, b"},
	{"tool", "tool: {number: 1}", "1.yaml:1: tool cannot be run beside others, and has no flags here"},
	{"with a point", "a.number: 1", "1.yaml:1: a.number: put number below the name of its server, a"},
	{"with a point, misspelt", "a.numbr: 1", "1.yaml:1: a.numbr: the flags of a stand below its name, and a.numbr: a has no such flag (did you mean number?)"},
	{"outside of its server", "number: 1", "1.yaml:1: number: a server's flags stand below its name: a"},
	{"outside of its servers", "text: 1", "1.yaml:1: text: a server's flags stand below its name: a, b"},
	{"unknown", "zzzzzzzz: 1", "1.yaml:1: zzzzzzzz is neither a server nor a flag of `hk run`"},
	{"misspelt, of the framework", "log-levle: debug", "1.yaml:1: log-levle is neither a server nor a flag of `hk run` (did you mean log-level?)"},
	{"misspelt server", "bar: {}", "1.yaml:1: bar is neither a server nor a flag of `hk run` (did you mean bare?)"},
	{"misspelt servers", "server: [a]", "1.yaml:1: server is neither a server nor a flag of `hk run` (did you mean servers?)"},
	{"misspelt process-wide flag", "gate: [A]", "1.yaml:1: gate is neither a server nor a flag of `hk run` (did you mean gates?)"},
	{"strange key", `"a b\n": 1`, "1.yaml:1: \"a b\\n\" is neither a server nor a flag of `hk run`"},
	{"strange key in a server", `a: {"": 1}`, `1.yaml:1: a."": a has no such flag`},
	{"config", "config: x.yaml", "1.yaml:1: config has no place in a file: give --config on the command line"},
	{"print-config", "print-config: true", "1.yaml:1: print-config has no place in a file: give --print-config on the command line"},
	{"help", "help: true", "1.yaml:1: help has no place in a file: give --help on the command line"},
	{"twice", "quiet: true\nquiet: true", `1.yaml:2: key "quiet" stands here and in line 1; remove one of them`},
	{"twice in a server", "a:\n  text: x\n  text: y", `1.yaml:3: key "text" stands here and in line 2; remove one of them`},
}

// wrongValues are values that flags do not take.
var wrongValues = []wrongFile{
	{"value", "a:\n  number: x", `1.yaml:2: invalid value "x" for --a.number: strconv.ParseInt: parsing "x": invalid syntax`},
	{"value of the framework's", "log-max-size: x", `1.yaml:1: invalid value "x" for --log-max-size: strconv.ParseInt: parsing "x": invalid syntax`},
	{"value of its own kind", "a: {urls: [x, bad]}", `1.yaml:1: invalid value "x,bad" for --a.urls: bad is no URL`},
	{"value of pairs", "a: {label: x}", `1.yaml:1: invalid value "x" for --a.label: x must be formatted as key=value`},
	{"value in a list", "a:\n  label:\n  - x=1\n  - y", `1.yaml:4: invalid value "y" for --a.label: y must be formatted as key=value`},
	{"value of the whole process", "gates: '\"A'", `1.yaml:1: invalid value "\"A" for --gates: parse error on line 1, column 3: extraneous or missing " in quoted-field`},
	{"policy", "a: {restart: perhaps}", `1.yaml:1: invalid value "perhaps" for --a.restart: unknown restart policy: use never, on-failure or always`},
	{"level", "a:\n  log-level: loud",
		`--a.log-level: unknown log level "loud": use debug, info, warn, error, or v=N with N from 0 to 127 (--a.log-level is from 1.yaml:2)`},
	{"grace period", "a: {grace-period: 0s}", "--a.grace-period: 0s is not a time to wait: use a positive one (--a.grace-period is from 1.yaml:1)"},
}

// wrongShapes are lists and maps where there can be none.
var wrongShapes = []wrongFile{
	{"list for one value", "a: {number: [1, 2]}", "1.yaml:1: a.number: it takes one value, not a list: if it is one of several values, write them as one text"},
	{"map for one value", "a: {number: {x: 1}}", "1.yaml:1: a.number: it takes no KEY: VALUE"},
	{"map for a list", "a: {list: {x: 1}}", "1.yaml:1: a.list: it takes no KEY: VALUE"},
	{"list in a list", "a:\n  list:\n  - x\n  - [y]", "1.yaml:2: a.list: what the list has in line 4 is no text: write one"},
	{"nothing in a list", "a: {list: [x, ]}\nb: {text: }", "1.yaml:2: b.text: it has no value: leave it out, or write \"\" for an empty one"},
	{"null in a list", "a: {list: [x, ~]}", "1.yaml:1: a.list: what the list has in line 1 is no text: write one"},
	{"empty list", "a: {list: []}", `1.yaml:1: a.list: it is empty: leave it out, or write "" for an empty one`},
	{"empty map", "a: {label: {}}", `1.yaml:1: a.label: it is empty: leave it out, or write "" for an empty one`},
	{"null in a map", "a: {label: {x: }}", `1.yaml:1: a.label: x has no value that is a text: write one, or "" for an empty one`},
	{"list in a map", "a: {label: {x: [1]}}", `1.yaml:1: a.label: x has no value that is a text: write one, or "" for an empty one`},
	{"= in a key", "a: {label: {x=y: 1}}", `1.yaml:1: a.label: the = in "x=y" would end the key: such a key cannot be given`},
	{"comma in a pair", "a: {switches: {x: 'true,y=false'}}", `1.yaml:1: a.switches: the comma in "x=true,y=false" would make two values of it: write it as two`},
	{"comma in a list of commas", "a: {urls: ['x,y']}", `1.yaml:1: a.urls: the comma in "x,y" would make two values of it: write it as two`},
	{"text for a server", "a: 1", "1.yaml:1: a: the flags of a are to stand below its name, as NAME: VALUE"},
	{"list for a server", "a: [number]", "1.yaml:1: a: the flags of a are to stand below its name, as NAME: VALUE"},
}

// wrongLists are lists of servers.
var wrongLists = []wrongFile{
	{"no server", "servers: []", "1.yaml:1: servers: no name is in the list: name some, or leave it out for the default ones"},
	{"nothing for servers", "servers:", "1.yaml:1: servers: no name is in the list: name some, or leave it out for the default ones"},
	{"no names", "servers: ' , '", "1.yaml:1: servers: no name is in the list: name some, or leave it out for the default ones"},
	{"map of servers", "servers: {a: {}}", "1.yaml:1: servers: it is a list of names, and takes no KEY: VALUE: write names, such as [a, b]"},
	{"list of lists of servers", "servers: [[a]]", "1.yaml:1: servers: a name in the list is none: write names, such as [a, b]"},
	{"unknown servers", "servers: [bb, barre]",
		"1.yaml:1: server not found: bb (did you mean b?); there are a, b, ab, bare\n1.yaml:1: server not found: barre (did you mean bare?); there are a, b, ab, bare"},
	{"a tool", "servers: [tool]", "1.yaml:1: tool cannot be run beside others: call `hk tool`"},
}

// wrongTexts are no config files.
var wrongTexts = []wrongFile{
	{"syntax", "a:\n\tnumber: 1", "1.yaml:2: a tab stands where the line is indented, which YAML does not allow; use spaces"},
	{"list", "- a", `1.yaml:1: the file is a list, and has to be a map; write "key: value" lines`},
	{"binary", "a: \x00", "1.yaml:1: a NUL byte stands here: this is no text, or it is encoded as UTF-16; save it as UTF-8"},
	{"too long", "# " + strings.Repeat("x", configfile.MaxSize), "1.yaml:1: the file has 1048577 bytes, and at most 1048576 are read; name a config file"},
}

func TestWrongFiles(t *testing.T) {
	for _, test := range slices.Concat(wrongKeys, wrongValues, wrongShapes, wrongLists, wrongTexts) {
		t.Run(test.name, func(t *testing.T) {
			_, err := input{files: []string{test.file}}.plan(t, sourced(t))
			if err == nil || err.Error() != test.want {
				t.Errorf("error %v\nwant  %s", err, test.want)
			}
		})
	}
}
