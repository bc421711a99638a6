package supervisor

import (
	"errors"
	"maps"
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
	of := problems{errs: each(err), of: map[*Server]bool{}}
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

// each returns the errors that were joined to this one, or itself.
func each(err error) []error {
	several, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	// A text of its own, such as that of fmt.Errorf, has more to say than the errors in it.
	if joined := errors.Join(several.Unwrap()...); joined == nil || err.Error() != joined.Error() {
		return []error{err}
	}
	var all []error
	for _, err := range several.Unwrap() {
		all = append(all, each(err)...)
	}
	return all
}
