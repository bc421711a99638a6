package supervisor

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// AnnotationDefault is the key of a flag's annotation (pflag.FlagSet.SetAnnotation) that says in words what
// Server.Defaults sets the flag to. It is for values that depend on the machine, so that the help is the same
// everywhere.
const AnnotationDefault = "supervisor.default"

// dataDirName stands for the data folder in the help.
const dataDirName = "DATA-DIR"

// marks say, for the help, what `run` sets flags to by itself (Server.Defaults), if that differs from the flag's own
// default.
type marks map[*pflag.Flag]string

// runDefaults finds what `run` sets the flags of these servers to, when they run beside the default ones, whatever the
// environment and the machine. It sets the flags: the process can do nothing else with the servers afterwards.
func (hk *HyperKube) runDefaults(servers ...*Server) marks {
	root := filepath.Join(string(filepath.Separator), dataDirName)
	p := &Plan{hk: hk, Name: hk.Name, DataDir: root, OnlyCheck: true, given: &given{}}
	p.run = &run{hk: hk, plan: p, logs: logging.New(logging.Config{Program: hk.Name})}
	defer p.run.logs.Close()
	var names []string
	for _, s := range servers {
		if s.Run != nil {
			names = append(names, s.Name())
		}
	}
	var err error
	if p.Servers, err = hk.choose(append(names, "all")); err == nil {
		err = hk.join(p, nil)
	}
	found := marks{}
	if err != nil {
		return found // `run` says what is wrong
	}
	_ = giveDefaults(p, problems{}) // likewise
	for _, s := range p.Servers {
		values := map[*pflag.Flag][]string{}
		for _, h := range s.flags.history {
			if f := s.Flags().Lookup(h.flag); h.source == nil {
				values[f] = append(values[f], h.value)
			}
		}
		for f, values := range values {
			if text := hk.runDefault(f, values); text != "" {
				found[f] = fmt.Sprintf(" (%s run: %s)", hk.Name, strings.ReplaceAll(text, root, dataDirName))
			}
		}
	}
	return found
}

// runDefault is what to say of a flag that `run` has set to these values, one after the other. It is empty if the
// result is the flag's own default.
func (hk *HyperKube) runDefault(f *pflag.Flag, values []string) string {
	words := f.Annotations[AnnotationDefault]
	switch {
	case len(words) > 0:
		return words[0]
	case f.Value.String() == f.DefValue:
		return ""
	case isSecret(f, values):
		return "a secret"
	}
	if t := hk.typeOf(f.Value); t == SingleValue || t == CommaSeparated {
		values = values[len(values)-1:]
	}
	if text := strings.Join(values, ","); text != "" {
		return text
	}
	return `""`
}

// mention reports whether one of the marks has this text in it.
func (m marks) mention(text string) bool {
	for _, mark := range m {
		if strings.Contains(mark, text) {
			return true
		}
	}
	return false
}

// of are the marks of the flags in a set.
func (m marks) of(flags *pflag.FlagSet) marks {
	of := marks{}
	flags.VisitAll(func(f *pflag.Flag) {
		if mark, ok := m[f]; ok && !f.Hidden {
			of[f] = mark
		}
	})
	return of
}

// usages is pflag's FlagUsagesWrapped with the marks, each behind its flag's default. Unlike pflag, it wraps what
// follows a word that is too long for a line.
func (m marks) usages(flags *pflag.FlagSet, columns int) string {
	var rows [][2]string
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			rows = append(rows, m.row(f))
		}
	})
	return flagTable(rows, columns)
}

// row is what is shown of a flag: its name with its type, and all the rest.
func (m marks) row(f *pflag.Flag) [2]string {
	// Only pflag knows which defaults of which types are worth showing. So its text is made, and taken apart.
	const mark = "\x01"
	c := *f
	c.Usage, c.Deprecated, c.Hidden = mark+f.Usage+mark, "", false
	alone := newFlagSet("")
	alone.AddFlag(&c)
	name, rest, _ := strings.Cut(alone.FlagUsages(), mark)
	_, ownDefault, _ := strings.Cut(rest, mark)
	kind, text := pflag.UnquoteUsage(f)
	if f.NoOptDefVal != "" && f.Value.Type() == "string" {
		// pflag shows a blank, with which its value would be another argument.
		name = strings.Replace(name, fmt.Sprintf(" %s[=%q]", kind, f.NoOptDefVal), "[="+kind+"]", 1)
	}
	text += strings.TrimRight(ownDefault, "\n") + m[f]
	if f.Deprecated != "" {
		text += " (DEPRECATED: " + f.Deprecated + ")"
	}
	return [2]string{strings.TrimRight(name, " "), text}
}

// narrowest is how many columns there must be beside the names of flags. With fewer, descriptions stand below them.
const narrowest, below = 40, 16

// flagTable lays out rows of flags.
func flagTable(rows [][2]string, columns int) string {
	column := 0
	for _, row := range rows {
		column = max(column, len(row[0])+3)
	}
	besides := columns-column >= narrowest
	if !besides {
		column = below
	}
	indent := strings.Repeat(" ", column)
	var b strings.Builder
	for _, row := range rows {
		name, text := row[0], text.WrapLines(row[1], indent, columns)
		switch {
		case text == "":
			b.WriteString(name + "\n")
		case besides:
			fmt.Fprintf(&b, "%-*s%s", column, name, strings.TrimPrefix(text, indent))
		default:
			b.WriteString(name + "\n" + text)
		}
	}
	return b.String()
}
