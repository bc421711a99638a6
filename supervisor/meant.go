package supervisor

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// meant returns the flags of `run` that an unknown name may mean, the nearest first, and the servers that it seems to
// be about.
func (rf *runFlags) meant(name string) (meant []*pflag.Flag, servers []*Server) {
	server, flag, namespaced := strings.Cut(name, ".")
	if !namespaced {
		if owners, flags := rf.owners(name, nil); len(flags) > 0 {
			return flags, owners
		}
		return rf.near(name, nil), nil
	}
	s, err := rf.hk.FindServer(server)
	if err != nil || s.Run == nil {
		if s, err = rf.hk.FindServer(text.Nearest(server, rf.hk.serverNames())); err != nil || s.Run == nil {
			return nil, nil
		}
		if f := rf.Lookup(s.Name() + "." + flag); f != nil {
			return []*pflag.Flag{f}, []*Server{s}
		}
	}
	if best := text.Nearest(flag, rf.flagNames(s)); best != "" {
		meant = append(meant, rf.Lookup(s.Name()+"."+best))
	}
	_, others := rf.owners(flag, s)
	if meant = append(meant, others...); len(meant) == 0 {
		meant = rf.near(flag, s)
	}
	return meant, []*Server{s}
}

// owners are the servers, other than one, that have a flag of that name, and these flags.
func (rf *runFlags) owners(flag string, except *Server) (servers []*Server, flags []*pflag.Flag) {
	for _, s := range rf.hk.servers {
		if f := rf.Lookup(s.Name() + "." + flag); f != nil && s != except {
			servers, flags = append(servers, s), append(flags, f)
		}
	}
	return servers, flags
}

// near are the flags of `run` whose name, without the server's, is nearest to this one; those without a server come
// first.
func (rf *runFlags) near(flag string, except *Server) []*pflag.Flag {
	if best := text.Nearest(flag, rf.flagNames(nil)); best != "" {
		return []*pflag.Flag{rf.Lookup(best)}
	}
	var names []string
	for _, s := range rf.hk.servers {
		if s != except {
			names = append(names, rf.flagNames(s)...)
		}
	}
	_, flags := rf.owners(text.Nearest(flag, names), except)
	return flags
}

// flagNames are the names of a server's flags, without the server's name; or of flags without a server.
func (rf *runFlags) flagNames(s *Server) (names []string) {
	rf.VisitAll(func(f *pflag.Flag) {
		server, flag, namespaced := strings.Cut(f.Name, ".")
		switch {
		case s == nil && !namespaced:
			names = append(names, f.Name)
		case s != nil && namespaced && server == s.Name():
			names = append(names, flag)
		}
	})
	return names
}

// suggestFlags adds to an error about the unknown flag of that name which ones may be meant.
func suggestFlags(err error, name string, meant []*pflag.Flag) error {
	if len(meant) == 0 {
		return err
	}
	if _, flag, _ := strings.Cut(meant[0].Name, "."); flag == name {
		return fmt.Errorf("%w: a server's flags stand under its name: %s", err, flagList(meant, ", "))
	}
	return fmt.Errorf("%w (did you mean %s?)", err, flagList(meant, " or "))
}

// flagList are the names of flags, as they are given.
func flagList(flags []*pflag.Flag, separator string) string {
	names := make([]string, len(flags))
	for i, f := range flags {
		names[i] = "--" + f.Name
	}
	return strings.Join(names, separator)
}
