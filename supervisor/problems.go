package supervisor

import (
	"errors"
	"maps"

	"github.com/seed-200a7251/km/supervisor/internal/text"
)

// problems are all that is wrong with what the user gave, each a sentence of its own.
type problems struct {
	errs []error
	// of are the servers that have some: what their own checks find then may only follow from these.
	of map[*Server]bool
}

// add adds an error, unless it is nil. servers are those that have it, if they are known.
func (pr *problems) add(err error, servers ...*Server) {
	if err == nil {
		return
	}
	of := problems{errs: text.Errors(err), of: map[*Server]bool{}}
	for _, s := range servers {
		of.of[s] = true
	}
	pr.join(of)
}

// join adds those that others has.
func (pr *problems) join(others problems) {
	pr.errs = append(pr.errs, others.errs...)
	if pr.of == nil {
		pr.of = map[*Server]bool{}
	}
	maps.Copy(pr.of, others.of)
}

// err is nil if there are none.
func (pr problems) err() error {
	switch len(pr.errs) {
	case 0:
		return nil
	case 1:
		return pr.errs[0]
	}
	return errors.Join(pr.errs...)
}
