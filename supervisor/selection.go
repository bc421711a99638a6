package supervisor

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// choose returns the servers that a list means: comma- or space-separated names, in any order and number.
func (hk *HyperKube) choose(list []string) ([]*Server, error) {
	names := splitNames(list)
	if len(names) == 0 {
		names = []string{"all"}
	}
	var chosen []*Server
	var within []string // the names whose members are being added
	var add func(name string) error
	add = func(name string) error {
		if slices.Contains(within, name) {
			return fmt.Errorf("servers are members of each other: %s", strings.Join(append(within, name), ", "))
		}
		within = append(within, name)
		defer func() { within = within[:len(within)-1] }()
		if name == "all" {
			for _, name := range hk.defaultNames() {
				if err := add(name); err != nil {
					return err
				}
			}
			return nil
		}
		s, err := hk.FindServer(name)
		switch {
		case err != nil:
			return fmt.Errorf("%w; there are %s", text.Suggest(err, name, hk.serverNames()), strings.Join(hk.runnable(), ", "))
		case len(s.Members) > 0:
			for _, member := range s.Members {
				if err := add(member); err != nil {
					return err
				}
			}
			return nil
		case s.Run == nil:
			return fmt.Errorf("%s cannot be run beside others: call `%s`", s.Name(), hk.typed(s.Name()))
		}
		if !slices.Contains(chosen, s) {
			chosen = append(chosen, s)
		}
		return nil
	}
	var wrong problems
	for _, name := range names {
		wrong.add(add(name))
	}
	return chosen, wrong.err()
}

// fewest are those of the names that together mean the same servers as all of them: a name whose servers another one
// has, too, is left out.
func (hk *HyperKube) fewest(names []string) (kept []string) {
	chosen := make([][]*Server, len(names))
	for i, name := range names {
		chosen[i], _ = hk.choose([]string{name}) // they have been chosen before
	}
	for i, name := range names {
		covered := false
		for j, others := range chosen {
			rest := slices.DeleteFunc(slices.Clone(chosen[i]), func(s *Server) bool { return slices.Contains(others, s) })
			// Of two that mean the same, the first one stays.
			covered = covered || len(rest) == 0 && (len(others) > len(chosen[i]) || j < i)
		}
		if !covered {
			kept = append(kept, name)
		}
	}
	return kept
}

// splitNames returns the names in arguments, each of which may be a comma- or space-separated list.
func splitNames(args []string) []string {
	return strings.FieldsFunc(strings.Join(args, ","), func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
}

// defaultNames are the servers that "all" means.
func (hk *HyperKube) defaultNames() []string {
	if len(hk.DefaultServers) > 0 {
		return hk.DefaultServers
	}
	var names []string
	for _, s := range hk.servers {
		if s.Run != nil {
			names = append(names, s.Name())
		}
	}
	return names
}

// runnable are the names of the servers that can be run beside others.
func (hk *HyperKube) runnable() []string {
	var names []string
	for _, s := range hk.servers {
		if s.Run != nil || len(s.Members) > 0 {
			names = append(names, s.Name())
		}
	}
	return names
}

func (hk *HyperKube) serverNames() []string {
	var names []string
	for _, s := range hk.servers {
		names = append(names, s.names()...)
	}
	return names
}

// joinByFlags adds to p the servers that join because a flag is given (JoinsWith). If the command line names servers,
// only its flags count, as in unselected.
func (hk *HyperKube) joinByFlags(p *Plan, named bool) {
	for _, s := range hk.servers {
		if s.Run == nil || len(s.JoinsWith) == 0 || p.runs(s) {
			continue
		}
		for _, a := range p.given.assignments {
			if flag := s.joinsWith(a.flag.Name); flag != "" && (!named || a.source.arguments()) {
				p.Servers = append(p.Servers, s)
				p.given.joined = append(p.given.joined, joined{server: s, flag: flag})
				break
			}
		}
	}
}

// joinsWith returns the name that the flag has in `run`, if the server joins when the flag is given.
func (s *Server) joinsWith(flag string) string {
	for _, own := range s.JoinsWith {
		namespaced := s.Name() + "." + own
		switch {
		case s.IsProcessFlag(own) && (flag == own || flag == namespaced):
			return own
		case flag == namespaced:
			return namespaced
		}
	}
	return ""
}

// join adds to p what its servers need, and sorts them: each comes after those that it needs. Nothing is added to a
// composite that is called by its name.
func (hk *HyperKube) join(p *Plan, composite *Server) error {
	for i := 0; i < len(p.Servers); i++ { // grows while it runs: what joins has needs, too
		s := p.Servers[i]
		for _, need := range s.Needs {
			if p.Selected(need.Server) || slices.ContainsFunc(need.Unless, s.Given) || need.When != nil && !need.When(s) ||
				need.Beside != "" && !p.Selected(need.Beside) {
				continue
			}
			needed, err := hk.FindServer(need.Server)
			if err != nil {
				return fmt.Errorf("%s needs a server that this binary does not have: %w", s.Name(), err)
			}
			if needed.Run == nil {
				return fmt.Errorf("%s needs %s, which cannot be run beside others", s.Name(), needed.Name())
			}
			if composite != nil {
				return fmt.Errorf("%s needs %s%s; `%s` starts one, too", s.Name(), needed.Name(), wayOut(need),
					hk.typed("run", composite.Name()))
			}
			p.Servers = append(p.Servers, needed)
			p.given.joined = append(p.given.joined, joined{server: needed, by: s, unless: need.Unless})
		}
	}
	ordered, err := order(p.Servers)
	if err != nil {
		return err
	}
	p.Servers = ordered
	return nil
}

// wayOut says with which flag a needed server is elsewhere.
func wayOut(need Need) string {
	if len(need.Unless) == 0 {
		return ""
	}
	return ": name one with --" + need.Unless[0]
}

// order sorts servers so that each comes after those that it needs, and otherwise keeps their order.
func order(servers []*Server) ([]*Server, error) {
	var ordered, path []*Server
	var visit func(s *Server) error
	visit = func(s *Server) error {
		if slices.Contains(ordered, s) {
			return nil
		}
		if i := slices.Index(path, s); i >= 0 {
			return fmt.Errorf("servers need each other in a circle: %s", nameList(append(path[i:], s)))
		}
		path = append(path, s)
		for _, need := range s.Needs {
			for _, other := range servers {
				if other.answersTo(need.Server) {
					if err := visit(other); err != nil {
						return err
					}
				}
			}
		}
		path = path[:len(path)-1]
		ordered = append(ordered, s)
		return nil
	}
	for _, s := range servers {
		if err := visit(s); err != nil {
			return nil, err
		}
	}
	return ordered, nil
}

func namesOf(servers []*Server) []string {
	var names []string
	for _, s := range servers {
		names = append(names, s.Name())
	}
	return names
}

func nameList(servers []*Server) string { return strings.Join(namesOf(servers), ", ") }
