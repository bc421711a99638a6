package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/supervisor/internal/system"
	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// searchWords are what `help` is told to search flags by.
var searchWords = []string{"flag", "flags"}

// helpCommand is `help`.
func helpCommand(program string) *Command {
	return &Command{
		Name:  "help",
		Args:  "[SERVER | COMMAND | TOPIC | SERVER.FLAG | flag PATTERN...]",
		Short: "help for " + program + ", a server, a command, a topic or a flag",
		Long: "Help for PROGRAM, or for what is named. `help topics` lists what else there is to read about.\n\n" +
			"`help flag` searches the flags of `run`, which are those of all servers. Each PATTERN is a regular expression, in upper or lower " +
			"case, and all of them have to match a flag, be it in its name or in its description:\n\n" +
			"PROGRAM help flag log file",
		Complete: func(hk *HyperKube, args []string) []string {
			switch {
			case len(args) == 0:
				return slices.Concat(hk.words(), hk.topicsToComplete(), []string{searchWords[0] + "\tsearch the flags of all servers"})
			case slices.Contains(searchWords, args[0]):
				return hk.flagsToComplete()
			}
			return nothing
		},
		Run: help,
	}
}

// topicsToComplete are the topics, but those that have a command's name, and the word that lists them.
func (hk *HyperKube) topicsToComplete() (words []string) {
	for _, t := range hk.allTopics() {
		if hk.command(t.Name) == nil && !slices.Contains(searchWords, t.Name) {
			words = append(words, t.Name+"\t"+t.Short)
		}
	}
	return append(words, topicsWord+"\tlist what there is to read about")
}

// flagsToComplete are the names of the flags of `run`.
func (hk *HyperKube) flagsToComplete() (names []string) {
	hk.RunFlags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return names
}

// flagWords returns the arguments of `help`, in which flags other than its own count as words: the help is about them.
func flagWords(own *pflag.FlagSet, args []string) []string {
	if slices.Contains(args, "--") {
		return args
	}
	words := []string{"--"}
	var rest []string
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		if flag, dashed := strings.CutPrefix(name, "--"); dashed && own.Lookup(flag) == nil {
			words = append(words, name)
		} else {
			rest = append(rest, arg)
		}
	}
	return append(rest, words...)
}

// help is the Run of `help`. A word means a command or a server first, and anything else, such as the search for flags,
// only if there is none of that name.
func help(ctx context.Context, hk *HyperKube, _ *Plan, args []string) error {
	if len(args) == 0 {
		hk.usage()
		return nil
	}
	word := args[0]
	if flag, dashed := strings.CutPrefix(word, "--"); dashed {
		return hk.helpFlag(flag)
	}
	topic := hk.topic(word)
	if c := hk.command(word); c != nil {
		if c.Name == "run" {
			hk.runUsage()
		} else {
			hk.commandUsage(c)
		}
		if topic != nil {
			fmt.Fprintln(hk.Out())
			hk.printTopic(topic)
		}
		return nil
	}
	s, err := hk.FindServer(word)
	switch {
	case topic != nil && len(args) == 1:
		hk.printTopic(topic)
		return nil
	case word == topicsWord:
		hk.printTopics()
		return nil
	case err == nil && s.Run == nil && s.Main != nil:
		return s.Main(ctx, s, append(slices.Clone(args[1:]), "--help"))
	case err == nil:
		hk.serverUsage(s, s.Flags())
		return nil
	case slices.Contains(searchWords, word):
		return hk.searchFlags(args[1:])
	}
	r := hk.flagsToShow()
	if r.Lookup(word) != nil || strings.Contains(word, ".") {
		return hk.helpFlag(word)
	}
	if owners, _ := r.owners(word, nil); len(owners) > 0 {
		return usageError(fmt.Errorf("%w; it is a flag of %s: see `%s`", err, nameList(owners), hk.typed("help", "flag", word)))
	}
	var commands []string
	for _, c := range hk.allCommands() {
		commands = append(commands, c.Name)
	}
	words := slices.Concat(hk.words(), searchWords, []string{topicsWord})
	for _, t := range hk.allTopics() {
		words = append(words, t.Name)
	}
	return usageError(fmt.Errorf("%w; there are the servers %s, the commands %s, `%s`, which lists what else there is to read about, and `%s`, which searches flags",
		text.Suggest(err, word, words), nameList(hk.servers), strings.Join(commands, ", "), hk.typed("help", topicsWord), hk.typed("help", searchWords[0], "WORD")))
}

// helpFlag prints the help of one flag of `run`.
func (hk *HyperKube) helpFlag(name string) error {
	r := hk.flagsToShow()
	f := r.Lookup(name)
	if f == nil {
		meant, _ := r.meant(name)
		err := fmt.Errorf("there is no flag --%s", name)
		if len(meant) == 0 {
			return usageError(fmt.Errorf("%w: search with `%s`", err, hk.typed("help", "flag", "WORD")))
		}
		return usageError(suggestFlags(err, name, meant))
	}
	if v, ok := f.Value.(*processValue); ok {
		f = r.Lookup(v.flag.name) // the spelling without a server
	}
	columns := system.HelpWidth(hk.Out())
	hk.printFound(hk.Out(), r, []*pflag.Flag{f}, nil, columns)
	if !slices.Contains(onlyArguments, f.Name) {
		fmt.Fprintf(hk.Out(), "\nIn the environment: %s\n", hk.variableOf(f.Name))
	}
	return nil
}

// searchFlags is `help flag`: it prints the flags of `run` that all patterns match.
func (hk *HyperKube) searchFlags(patterns []string) error {
	if len(patterns) == 0 {
		return usageError(fmt.Errorf("say what to search for, as in `%s`", hk.typed("help", "flag", "port")))
	}
	var all []*regexp.Regexp
	for _, pattern := range patterns {
		pattern = strings.TrimPrefix(pattern, "--")
		if _, err := regexp.Compile(pattern); err != nil { // as it was typed, without what is added below
			return usageError(wrongPattern(pattern, err))
		}
		all = append(all, regexp.MustCompile("(?i)"+pattern))
	}
	r := hk.flagsToShow()
	found := r.matching(all)
	if len(found) == 0 {
		return r.nothingFound(patterns, all)
	}
	out := hk.Out()
	columns, rows := system.TerminalSize(out)
	var text strings.Builder
	hk.printFound(&text, r, found, all, columns)
	// Only on a terminal that it does not fit: a script would take it for a flag, and who sees all of it can count.
	if system.IsTerminal(out) && strings.Count(text.String(), "\n") >= rows {
		fmt.Fprintf(&text, "\nThese are %d flags. More words find fewer: `%s`.\n", len(found), hk.typed("help", "flag", "WORD", "WORD"))
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// wrongPattern is the error about a pattern that is no regular expression.
func wrongPattern(pattern string, err error) error {
	if e, ok := errors.AsType[*syntax.Error](err); ok {
		err = errors.New(e.Code.String())
		if e.Expr != pattern {
			err = fmt.Errorf("%s: %s", e.Code, e.Expr)
		}
	}
	return fmt.Errorf(`%q is no regular expression: %w (a backslash before a character takes it as it is)`, pattern, err)
}

// matching are the flags that all patterns match: in the name, with or without the server's, or in the description.
func (rf *runFlags) matching(patterns []*regexp.Regexp) (found []*pflag.Flag) {
	rf.VisitAll(func(f *pflag.Flag) {
		if v, ok := f.Value.(*processValue); ok && v.s != nil {
			return // it is there without a server, too
		}
		if f.Hidden && f.Deprecated == "" { // pflag hides what is deprecated; but who searches for it is to be told
			return
		}
		name := f.Name
		if rf.server(f) != nil {
			_, name, _ = strings.Cut(f.Name, ".")
		}
		_, description := pflag.UnquoteUsage(f)
		for _, p := range patterns {
			if !p.MatchString(f.Name) && !p.MatchString(name) && !p.MatchString(description) {
				return
			}
		}
		found = append(found, f)
	})
	byName := func(f *pflag.Flag) int {
		for _, p := range patterns {
			if !p.MatchString(f.Name) {
				return 1
			}
		}
		return 0
	}
	slices.SortStableFunc(found, func(a, b *pflag.Flag) int { return byName(a) - byName(b) })
	return found
}

// nothingFound is the error for patterns that match nothing.
func (rf *runFlags) nothingFound(patterns []string, all []*regexp.Regexp) error {
	for i, p := range all {
		if len(rf.matching([]*regexp.Regexp{p})) > 0 {
			continue
		}
		err := fmt.Errorf("no flag of `%s run` matches %q", rf.hk.Name, patterns[i])
		name := strings.TrimPrefix(patterns[i], "--")
		if meant, _ := rf.meant(name); len(meant) > 0 {
			return suggestFlags(err, name, meant)
		}
		if len(name) > 4 { // short ones are near to too many
			err = text.Suggest(err, name, rf.nameParts())
		}
		return err
	}
	return fmt.Errorf("no flag of `%s run` matches all of %q: leave one out", rf.hk.Name, patterns)
}

// nameParts are the words of which the names of flags are made.
func (rf *runFlags) nameParts() (parts []string) {
	rf.VisitAll(func(f *pflag.Flag) {
		parts = append(parts, strings.FieldsFunc(f.Name, func(c rune) bool { return c == '-' || c == '.' })...)
	})
	return parts
}

// printFound prints flags of `run` under headings, which say whose they are. Flags whose names the patterns match come
// first, and of long descriptions only what the patterns match is shown.
func (hk *HyperKube) printFound(out io.Writer, rf *runFlags, found []*pflag.Flag, patterns []*regexp.Regexp, columns int) {
	framework, process := "Flags of `"+hk.Name+" run`", "Flags of the whole process"
	headings := []string{framework, process}
	for _, s := range hk.servers {
		headings = append(headings, "Flags of "+s.Name())
	}
	var servers []*Server
	for _, f := range found {
		servers = append(servers, rf.takers(f)...)
	}
	marks := hk.runDefaults(servers...)
	rows := map[string][][2]string{} // by heading
	for _, f := range found {
		heading, shown := framework, *f
		if s := rf.server(f); s != nil {
			heading = "Flags of " + s.Name()
		}
		switch v := f.Value.(type) { // the wrapping would hide from pflag what kind of a value it is
		case *processValue:
			heading, shown.Value = process, v.flag.model.Value
			for _, s := range v.flag.servers {
				if mark, ok := marks[s.Flags().Lookup(v.flag.name)]; ok {
					marks[&shown] = mark
				}
			}
		case *serverValue:
			shown.Value = v.f.Value
			marks[&shown] = marks[v.f]
		}
		shown.Usage = hk.excerpt(f, patterns)
		rows[heading] = append(rows[heading], marks.row(&shown))
	}
	between := ""
	for _, heading := range headings {
		if rows[heading] != nil {
			fmt.Fprintf(out, "%s%s\n\n%s", between, heading, flagTable(rows[heading], columns))
			between = "\n"
		}
	}
}

// longDescription is how many lines of a description are shown in full among others; some list choices on hundreds of
// lines. shownAnyway is how many lines of a longer one are shown at least.
const longDescription, shownAnyway = 8, 2

// excerpt is the description of a flag; of a long one, its beginning and the lines that match a pattern.
func (hk *HyperKube) excerpt(f *pflag.Flag, patterns []*regexp.Regexp) string {
	lines := strings.Split(f.Usage, "\n")
	if len(patterns) == 0 || len(lines) <= longDescription {
		return f.Usage
	}
	var shown []string
	for i, line := range lines {
		matches := func(p *regexp.Regexp) bool { return p.MatchString(line) }
		if i < shownAnyway || slices.ContainsFunc(patterns, matches) {
			shown = append(shown, line)
		}
	}
	if len(shown) == len(lines) {
		return f.Usage
	}
	return strings.Join(append(shown, fmt.Sprintf("... (all: %s)", hk.typed("help", "--"+f.Name))), "\n")
}
