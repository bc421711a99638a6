package supervisor

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
)

// read reads the arguments up to `--`, behind which a command stands. What is left are the names of servers.
func (rf *runFlags) read(args []string) (names []string, given []assignment, command []string, wrong problems) {
	a := argumentReader{r: rf, unknown: map[string][]*pflag.Flag{}}
	for len(args) > 0 {
		if args[0] == "--" {
			if command = args[1:]; len(command) == 0 || command[0] == "" {
				command = nil
				a.wrong.add(errors.New("a command is to follow `--`, such as `-- make test`; leave `--` out to run the servers until Ctrl-C"))
			}
			break
		}
		args = args[a.next(args):]
	}
	return a.names, a.given, command, a.wrong
}

// argumentReader reads arguments one after another, so that a mistake in one does not hide those in others. What each
// means is left to pflag.
type argumentReader struct {
	r       *runFlags
	names   []string
	given   []assignment
	wrong   problems
	unknown map[string][]*pflag.Flag // by the name of an unknown flag: those that may be meant
}

// next reads the first of the arguments, and returns how many it has read: a flag may have its value behind it.
func (ar *argumentReader) next(args []string) int {
	before := len(ar.given)
	n, err := 1, ar.parse(args[:1])
	if _, ok := errors.AsType[*pflag.ValueRequiredError](err); ok && len(args) > 1 {
		ar.given = ar.given[:before] // there may be some in -hx
		n, err = 2, ar.parse(args[:2])
	}
	unknown, isUnknown := errors.AsType[*pflag.NotExistError](err)
	switch {
	case !isUnknown:
		ar.wrong.add(err)
	case unknown.GetSpecifiedShortnames() != "":
		known := ar.r.letters(unknown.GetSpecifiedName())
		if len(known) > 0 {
			err = fmt.Errorf("%w: one letter does not say which server: %s", err, flagList(known, ", "))
		}
		ar.wrong.add(err)
		if len(known) > 0 && len(args[0]) == 2 && ar.isValue(known, args[1:]) {
			n = 2
		}
	default:
		name := unknown.GetSpecifiedName()
		meant, told := ar.unknown[name]
		if !told {
			var servers []*Server
			meant, servers = ar.r.meant(name)
			ar.unknown[name] = meant
			ar.wrong.add(suggestFlags(err, name, meant), servers...)
		}
		if !strings.Contains(args[0], "=") && ar.isValue(meant, args[1:]) {
			n = 2
		}
	}
	return n
}

// parse has pflag read arguments that belong together.
func (ar *argumentReader) parse(args []string) error {
	err := ar.r.ParseAll(args, func(f *pflag.Flag, value string) error {
		ar.given = append(ar.given, assignment{flag: f, value: value})
		return nil
	})
	ar.names = append(ar.names, ar.r.Args()...)
	return err
}

// isValue reports whether the first of the arguments seems to be the value of the unknown flag before it. Then it must
// not be taken for the name of a server.
func (ar *argumentReader) isValue(meant []*pflag.Flag, args []string) bool {
	if len(args) == 0 || len(meant) > 0 && meant[0].NoOptDefVal != "" {
		return false
	}
	if strings.HasPrefix(args[0], "-") && args[0] != standardInput {
		_, err := strconv.ParseFloat(args[0], 64)
		return err == nil // and no flag
	}
	return len(meant) > 0 || !ar.r.hk.areServers(args[0])
}

// areServers reports whether the text is a list of names of servers.
func (hk *HyperKube) areServers(text string) bool {
	names := splitNames([]string{text})
	return len(names) > 0 && !slices.ContainsFunc(names, func(name string) bool {
		_, err := hk.FindServer(name)
		return err != nil && name != "all"
	})
}

// letters are the flags that have this letter where their server stands alone.
func (rf *runFlags) letters(letter string) (known []*pflag.Flag) {
	if len(letter) != 1 { // half of a letter that is not ASCII: no flag is looked up by it
		return nil
	}
	for _, s := range rf.hk.servers {
		if s.Run == nil {
			continue
		}
		if f := s.Flags().ShorthandLookup(letter); f != nil {
			known = append(known, rf.Lookup(s.Name()+"."+f.Name))
		}
	}
	return known
}
