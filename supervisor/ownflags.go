package supervisor

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/pflag"
)

// ownFlags are the flags of one server, and what was set on them.
type ownFlags struct {
	set     *pflag.FlagSet
	groups  []flagGroup
	added   bool // AddFlags has been called
	given   map[string]bool
	history []assigned // in order: the value of a repeatable flag does not tell all of it
}

// assigned is what a flag was set to.
type assigned struct {
	flag, value string
	source      *source // nil for what the user has not given
}

// set sets a flag, and keeps how.
func (s *Server) set(flag, value string, from *source) error {
	err := s.Flags().Set(flag, value)
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		err = invalid.Unwrap() // pflag's wrapping names the flag without its namespace
	}
	if err == nil {
		s.flags.history = append(s.flags.history, assigned{flag, value, from})
	}
	return err
}

// note notes that the user set a flag.
func (f *ownFlags) note(flag string) {
	if f.given == nil {
		f.given = map[string]bool{}
	}
	f.given[flag] = true
}

// forget removes a flag from the history, as it is about to be set anew.
func (f *ownFlags) forget(flag string) {
	f.history = slices.DeleteFunc(f.history, func(a assigned) bool { return a.flag == flag })
}

// restore sets flags as another process has set them, which has sent its ownFlags of the same server.
func (s *Server) restore(given []string, history [][2]string) error {
	for _, flag := range given {
		s.flags.note(flag)
	}
	for _, set := range history {
		if err := s.set(set[0], set[1], nil); err != nil {
			return fmt.Errorf("%s: --%s: %w", s.Name(), set[0], err)
		}
	}
	return nil
}
