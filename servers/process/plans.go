package process

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	cliflag "k8s.io/component-base/cli/flag"

	"github.com/seed-200a7251/km/logging"
	"github.com/seed-200a7251/km/servers/names"
	"github.com/seed-200a7251/km/supervisor"
)

// Several plans may be carried out in one process, as tests do, one after another or at once. What is kept in variables
// of the process they have together; this file is about what follows from that.
var (
	mu       sync.Mutex // guards what follows
	running  []*supervisor.Plan
	settings map[string][]string // what Variables were set to; nil before the first plan
)

// alone reports whether a process can run only one of these at once. Upstream's CoreDNS keeps its servers in variables
// (github.com/coredns/caddy), and what can start only once has taken the process for itself.
func alone(s *supervisor.Server) bool {
	return s.Name() == names.DNS || s.StartsOnce != nil && s.StartsOnce(s)
}

// admit notes that a plan is carried out, until it has ended, and settles the variables for the first one. It is an
// error if it cannot be carried out beside, or after, the others.
func admit(p *supervisor.Plan) error {
	mu.Lock()
	defer mu.Unlock()
	wanted := map[string][]string{}
	for _, name := range Variables {
		wanted[name] = given(p, name)
		if settings != nil && !slices.Equal(wanted[name], settings[name]) {
			return fmt.Errorf("--%s is %q here, but it was settled as %q when servers were started in this process for the first time: use the same, or another process",
				name, strings.Join(wanted[name], ","), strings.Join(settings[name], ","))
		}
	}
	for _, other := range running {
		for _, s := range p.Servers {
			if inside(p, s.Name()) && inside(other, s.Name()) && alone(s) && alone(other.Server(s.Name())) {
				return fmt.Errorf("%s runs in this process already (in %s), and there can be only one at a time: stop that one first, or use another process",
					s.Name(), other.DataDir)
			}
		}
	}
	if settings == nil {
		if err := settle(); err != nil {
			forget(p)
			return err
		}
		settings = wanted
	}
	running = append(running, p)
	p.AtEnd(func() {
		mu.Lock()
		defer mu.Unlock()
		running = slices.DeleteFunc(running, func(other *supervisor.Plan) bool { return other == p })
	})
	return nil
}

// inside reports whether a plan has a server that runs in this process.
func inside(p *supervisor.Plan, name string) bool {
	s := p.Server(name)
	return s != nil && !s.Isolated()
}

// forget has the gates be as if no plan had given any: all sets of flags have one value for them, upstream's
// (compatibility.registry.AddFlags).
func forget(p *supervisor.Plan) {
	for _, s := range p.Servers {
		if f := s.Flags().Lookup("feature-gates"); f != nil {
			if gates, ok := f.Value.(*cliflag.ColonSeparatedMultimapStringString); ok {
				clear(*gates.Multimap)
			}
		}
	}
}

// given is what a flag that all servers have together was set to.
func given(p *supervisor.Plan, name string) (values []string) {
	for _, s := range p.Servers {
		_ = s.Replay(func(flag, value string) error { // the function returns no error
			if flag == name {
				values = append(values, value)
			}
			return nil
		})
		if len(values) > 0 {
			return values
		}
	}
	return nil
}

// serverOf returns the server that runs in this process and whose Log it is, or nil.
func serverOf(l *logging.Log) *supervisor.Server {
	mu.Lock()
	defer mu.Unlock()
	for _, p := range running {
		for _, s := range p.Servers {
			if l != nil && s.Log() == l {
				return s
			}
		}
	}
	return nil
}

// flush writes out what all servers have logged.
func flush() {
	mu.Lock()
	plans := slices.Clone(running)
	mu.Unlock()
	for _, p := range plans {
		p.Logs().Flush()
	}
}
