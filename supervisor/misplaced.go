package supervisor

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// misplaced adds to an error about an unknown flag before the first word where that flag belongs. args are those of the
// call.
func (hk *HyperKube) misplaced(err error, args []string) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return err
	}
	name, dashes := unknown.GetSpecifiedName(), "--"
	short := unknown.GetSpecifiedShortnames() != ""
	if short {
		dashes = "-"
	}
	word, value := "", ""
	for _, arg := range args {
		if v, found := strings.CutPrefix(arg, "--"+name+"="); found && !short {
			value = v
		}
		if hk.isWord(arg) {
			word = arg
			break
		}
	}
	for _, word := range []string{word, "run"} {
		f := hk.flagOf(word, name, short)
		if f == nil {
			continue
		}
		given := dashes + name
		if value != "" && !isSecret(f, []string{value}) {
			given += "=" + value
		}
		return fmt.Errorf("%w: it is a flag of %s, and stands behind that: `%s`", err, word, hk.typed(word, given))
	}
	if s, errFind := hk.FindServer(word); errFind == nil && s.Main != nil {
		return fmt.Errorf("%w: flags of %s stand behind that: `%s`", err, word, hk.typed(word, dashes+name))
	}
	if short {
		return err
	}
	if better := suggestFlag(err, name, hk.Flags()); better != err {
		return better
	}
	if meant, _ := hk.flagsToShow().meant(name); len(meant) > 0 {
		return fmt.Errorf("%w (did you mean %s, behind run?)", err, flagList(meant, " or "))
	}
	server, _, _ := strings.Cut(name, ".")
	if s, errFind := hk.FindServer(server); errFind == nil && s.Run != nil {
		return fmt.Errorf("%w; flags of %s stand behind run: see `%s`", err, server, hk.typed("help", server))
	}
	return err
}

// swallowed adds to an error about a missing word which flag has taken a word for its value.
func (hk *HyperKube) swallowed(err error, flags *pflag.FlagSet) error {
	flags.Visit(func(f *pflag.Flag) {
		if value := f.Value.String(); hk.isWord(value) {
			err = fmt.Errorf("%w: %s is the value of --%s here, which needs one of its own", err, value, f.Name)
		}
	})
	return err
}

// isWord reports whether it is the name of a command or a server.
func (hk *HyperKube) isWord(text string) bool {
	_, err := hk.FindServer(text)
	return err == nil || hk.command(text) != nil
}

// flagOf is the flag of a command or a server that has this name, or this letter; or nil.
func (hk *HyperKube) flagOf(word, name string, short bool) *pflag.Flag {
	var flags *pflag.FlagSet
	c := hk.command(word)
	s, err := hk.FindServer(word)
	switch {
	case word == "run":
		flags = hk.RunFlags()
	case c != nil:
		flags, _ = hk.commandFlags(c)
	case err == nil && len(s.Members) > 0:
		r := hk.flagsToShow()
		if members, err := hk.choose([]string{word}); err == nil {
			r.addMembers(members)
		}
		flags = r.FlagSet
	case err == nil && s.Run != nil:
		flags = s.Flags()
	default:
		return nil
	}
	switch {
	case !short:
		return flags.Lookup(name)
	case len(name) == 1: // not half of a letter that is not ASCII
		return flags.ShorthandLookup(name)
	}
	return nil
}

// suggestFlag adds to an error about the unknown flag of that name which one of these may be meant.
func suggestFlag(err error, name string, flags *pflag.FlagSet) error {
	var names []string
	flags.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	if best := text.Nearest(name, names); best != "" {
		return suggestFlags(err, name, []*pflag.Flag{flags.Lookup(best)})
	}
	return err
}
