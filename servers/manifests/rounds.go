package manifests

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-200a7251/km/servers/manifests/objects"
)

// patience is how long an object is tried again that is refused only for a moment. A server of a webhook among the
// manifests, with its image on this machine, is there by then.
const patience = time.Minute

// refusal is an object that the API does not take, and why.
type refusal struct {
	object objects.Object
	err    error
}

// rounds tries each of some objects, one after another, and those again that are refused only for a moment: the others
// may be what they wait for.
type rounds struct {
	// pause is how long to wait between two rounds.
	pause time.Duration
	// begin is called before each round.
	begin func(context.Context)
	// try returns why an object is refused.
	try func(context.Context, objects.Object) error
	// again reports whether an object that is refused, for the first time or not, is to be tried in the next round.
	again func(o objects.Object, err error, first bool) bool
}

// run returns what is refused: at once, or for as long as patience since that object's first time and since any other
// was taken. It ends early with ctx.
func (r rounds) run(ctx context.Context, all []objects.Object) (refused []refusal) {
	since := map[objects.Object]time.Time{} // when an object was refused for the first time
	var taken time.Time                     // when one was taken
	for len(all) > 0 {
		r.begin(ctx)
		var again []objects.Object
		for _, o := range all {
			err := r.try(ctx, o)
			if ctx.Err() != nil {
				return refused
			}
			start, tried := since[o]
			switch {
			case err == nil:
				taken = time.Now()
			case !r.again(o, err, !tried):
				refused = append(refused, refusal{o, err})
			case tried && time.Since(start) >= patience && time.Since(taken) >= patience:
				refused = append(refused, refusal{o, fmt.Errorf("%w (tried again for %v)", err, time.Since(start).Round(time.Second))})
			default:
				if !tried {
					since[o] = time.Now()
				}
				again = append(again, o)
			}
		}
		if all = again; len(all) == 0 {
			return refused
		}
		select {
		case <-time.After(r.pause):
		case <-ctx.Done():
			return refused
		}
	}
	return refused
}
