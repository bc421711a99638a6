package supervisor

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/logging"
)

// shorten leaves flags of servers out of what is shown: there are hundreds, and a shell would ask whether to show them
// all. Until a server is typed, "--NAME." stands for its flags. Flags of servers other than these are never shown.
func (rf *runFlags) shorten(flags *pflag.FlagSet, servers []*Server, within bool) {
	flags.VisitAll(func(f *pflag.Flag) {
		if s := rf.server(f); s != nil && (!within || !slices.Contains(servers, s)) {
			f.Hidden = true
		}
	})
	if within {
		return
	}
	for _, s := range servers {
		if s.Run != nil {
			flags.Bool(s.Name()+".", false, "flags of the server "+s.Name())
		}
	}
}

// addCobraFlags adds flags, and what values they may have.
func (hk *HyperKube) addCobraFlags(target *cobra.Command, flags *pflag.FlagSet, valuesOf func(flag string) []string) {
	flags.VisitAll(func(f *pflag.Flag) {
		shown := *f
		_, usage := pflag.UnquoteUsage(f)
		shown.Usage = brief(usage)
		shown.Annotations = maps.Clone(f.Annotations)
		target.Flags().AddFlag(&shown)

		var values []string
		if valuesOf != nil {
			values = valuesOf(f.Name)
		}
		if len(values) == 0 && f.Value.Type() == "bool" {
			values = []string{"true", "false"}
		}
		var err error
		switch own := f.Name[strings.LastIndex(f.Name, ".")+1:]; {
		case len(values) > 0:
			err = target.RegisterFlagCompletionFunc(f.Name, hk.flagCompletion(f, values))
		case own == "dir" || strings.HasSuffix(own, "-dir"):
			err = target.MarkFlagDirname(f.Name)
		case !mayBeFile(f):
			err = target.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
		}
		if err != nil {
			panic(err) // the flag was added above
		}
	})
}

// mayBeFile reports whether a flag may take the name of a file, as far as its type says. Types of servers may be
// anything.
func mayBeFile(f *pflag.Flag) bool {
	t := f.Value.Type()
	for _, other := range []string{"int", "uint", "float", "count", "duration", "ip", "bool"} {
		if strings.HasPrefix(t, other) {
			return false
		}
	}
	return f.Name != "name"
}

// longest is how long a description may be: shells cut what does not fit, or give each its own line.
const longest = 100

// brief is the first sentence of a text, on one line, and cut if it is long.
func brief(text string) string {
	var b strings.Builder
	for word := range strings.FieldsSeq(text) {
		if b.Len() > 0 {
			if b.Len()+1+len(word) > longest {
				return strings.TrimRight(b.String(), ",;:") + "…"
			}
			b.WriteByte(' ')
		}
		b.WriteString(word)
		if last := strings.TrimRight(word, `)"'`); strings.HasSuffix(last, ".") && !abbreviation(last) {
			break
		}
	}
	return strings.TrimSuffix(b.String(), ".")
}

// abbreviation reports whether a word that ends with a point does not end a sentence.
func abbreviation(word string) bool {
	return strings.HasSuffix(word, "..") || slices.Contains([]string{"e.g.", "i.e.", "etc.", "vs."}, strings.TrimLeft(word, `("'`))
}

// nothing is what a command without arguments completes.
var nothing = []string{}

// completeNothing is the Complete of such a command.
func completeNothing(*HyperKube, []string) []string { return nothing }

// completeServers completes a list of servers that can be run.
func completeServers(hk *HyperKube, _ []string) (known []string) {
	for _, name := range hk.runnable() {
		if s, err := hk.FindServer(name); err == nil {
			name += "\t" + brief(s.Long)
		}
		known = append(known, name)
	}
	return known
}

// valuesByFlag is a Command's FlagValues.
func valuesByFlag(values map[string][]string) func(string) []string {
	return func(flag string) []string { return values[flag] }
}

// flagCompletion completes the value of a flag: one of the values or, where it takes several, a list of them.
func (hk *HyperKube) flagCompletion(f *pflag.Flag, values []string) cobra.CompletionFunc {
	kind := (&runFlags{hk: hk}).typeOf(f)
	return func(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if kind == SingleValue || f.Value.Type() == "stringArray" { // a comma is part of the value
			return oneOf(values, nil, typed)
		}
		return listOf(values, nil, typed, kind == Pairs)
	}
}

// oneOf are the values that begin like what is typed, and are not taken.
func oneOf(values, taken []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var found []cobra.Completion
	for _, v := range values {
		word, about, _ := strings.Cut(v, "\t")
		if strings.HasPrefix(word, typed) && !slices.Contains(taken, word) {
			found = append(found, cobra.CompletionWithDesc(word, brief(about)))
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp
}

// listOf completes the last of a list of comma-separated values. Of pairs, each key is named once.
func listOf(values, taken []string, typed string, pairs bool) ([]cobra.Completion, cobra.ShellCompDirective) {
	end := strings.LastIndex(typed, ",") + 1
	done, last := typed[:end], typed[end:]
	taken = slices.Concat(taken, splitNames([]string{done}))
	if pairs {
		values = slices.DeleteFunc(slices.Clone(values), func(v string) bool {
			return slices.ContainsFunc(taken, func(pair string) bool { return key(pair) == key(v) })
		})
	}
	found, directive := oneOf(values, taken, last)
	for i := range found {
		found[i] = done + found[i]
	}
	return found, directive | cobra.ShellCompDirectiveNoSpace
}

// key is the first half of a pair.
func key(pair string) string {
	k, _, _ := strings.Cut(pair, "=")
	return k
}

// valuesOf are the values that a flag of `run` may have, if they can be counted.
func (rf *runFlags) valuesOf(flag string) []string {
	f := rf.Lookup(flag)
	_, own, namespaced := strings.Cut(flag, ".")
	if !namespaced {
		own = flag
	}
	_, process := f.Value.(*processValue)
	_, member := f.Value.(*memberValue)
	if process || member || namespaced && !slices.Contains(serverFlagNames, own) {
		for _, s := range rf.takers(f) {
			if values := valuesOf(s, own); len(values) > 0 {
				return values
			}
		}
		return nil
	}
	switch own {
	case "log-level":
		return levelNames
	case "log-format":
		return formatNames
	case "restart":
		return []string{string(RestartOnFailure), string(RestartAlways), string(RestartNever)}
	case "isolation":
		return []string{string(IsolationNone), string(IsolationProcess)}
	}
	return nil
}

// levelNames are the levels that have names, and the most verbose that is of use.
var levelNames = []string{"error", "warn", "info", "debug", "v=2", "v=4", "v=6"}

var formatNames = []string{string(logging.FormatConsole), string(logging.FormatJSON)}

// valuesOf are the values that a flag of a server may have, if it knows.
func valuesOf(s *Server, flag string) []string {
	if s.FlagValues == nil {
		return nil
	}
	return s.FlagValues(s, flag)
}
