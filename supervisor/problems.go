package supervisor

import (
	"errors"
	"maps"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// problems are all that is wrong with what the user gave, each a sentence of its own.
type problems struct {
	errs []error
	// of are the servers that have some: what these would say to their flags may only follow from it.
	of map[*Server]bool
}

// add adds an error, unless it is nil, which is one of the given servers, if any is known.
func (p *problems) add(err error, servers ...*Server) {
	if err == nil {
		return
	}
	of := problems{errs: text.Errors(err), of: map[*Server]bool{}}
	for _, s := range servers {
		of.of[s] = true
	}
	p.join(of)
}

// join adds those that others has.
func (p *problems) join(others problems) {
	p.errs = append(p.errs, others.errs...)
	if p.of == nil {
		p.of = map[*Server]bool{}
	}
	maps.Copy(p.of, others.of)
}

// err is nil if there are none.
func (p problems) err() error {
	switch len(p.errs) {
	case 0:
		return nil
	case 1:
		return p.errs[0]
	}
	return errors.Join(p.errs...)
}
