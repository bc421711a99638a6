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
func (r *runFlags) read(args []string) (names []string, given []assignment, command []string, wrong problems) {
	a := argumentReader{r: r, unknown: map[string][]*pflag.Flag{}}
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

// argumentReader reads arguments one after another, so that what is wrong with one does not keep the others from being
// read. How each is to be understood is left to pflag.
type argumentReader struct {
	r       *runFlags
	names   []string
	given   []assignment
	wrong   problems
	unknown map[string][]*pflag.Flag // by the name of a flag that there is not, those that may be meant
}

// next reads the first of the arguments, and returns how many it has read: a flag may have its value behind it.
func (a *argumentReader) next(args []string) int {
	before := len(a.given)
	n, err := 1, a.parse(args[:1])
	if _, ok := errors.AsType[*pflag.ValueRequiredError](err); ok && len(args) > 1 {
		a.given = a.given[:before] // there may be some in -hx
		n, err = 2, a.parse(args[:2])
	}
	unknown, isUnknown := errors.AsType[*pflag.NotExistError](err)
	switch {
	case !isUnknown:
		a.wrong.add(err)
	case unknown.GetSpecifiedShortnames() != "":
		known := a.r.letters(unknown.GetSpecifiedName())
		if len(known) > 0 {
			err = fmt.Errorf("%w: one letter does not say which server: %s", err, flagList(known, ", "))
		}
		a.wrong.add(err)
		if len(known) > 0 && len(args[0]) == 2 && a.isValue(known, args[1:]) {
			n = 2
		}
	default:
		name := unknown.GetSpecifiedName()
		meant, told := a.unknown[name]
		if !told {
			var servers []*Server
			meant, servers = a.r.meant(name)
			a.unknown[name] = meant
			a.wrong.add(suggestFlags(err, name, meant), servers...)
		}
		if !strings.Contains(args[0], "=") && a.isValue(meant, args[1:]) {
			n = 2
		}
	}
	return n
}

// parse has pflag read arguments that belong together.
func (a *argumentReader) parse(args []string) error {
	err := a.r.ParseAll(args, func(f *pflag.Flag, value string) error {
		a.given = append(a.given, assignment{flag: f, value: value})
		return nil
	})
	a.names = append(a.names, a.r.Args()...)
	return err
}

// isValue reports whether the first of the arguments seems to be the value of the flag before it, which there is not:
// it is not to be taken for the name of a server then.
func (a *argumentReader) isValue(meant []*pflag.Flag, args []string) bool {
	if len(args) == 0 || len(meant) > 0 && meant[0].NoOptDefVal != "" {
		return false
	}
	if strings.HasPrefix(args[0], "-") && args[0] != standardInput {
		_, err := strconv.ParseFloat(args[0], 64)
		return err == nil // and no flag
	}
	return len(meant) > 0 || !a.r.hk.areServers(args[0])
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
func (r *runFlags) letters(letter string) (known []*pflag.Flag) {
	if len(letter) != 1 { // half of one that is not ASCII, as which no flag can be looked up
		return nil
	}
	for _, s := range r.hk.servers {
		if s.Run == nil {
			continue
		}
		if f := s.Flags().ShorthandLookup(letter); f != nil {
			known = append(known, r.Lookup(s.Name()+"."+f.Name))
		}
	}
	return known
}
