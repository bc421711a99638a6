package process

import (
	"context"
	"crypto/rand"
	"sync"

	"k8s.io/client-go/tools/cache"
)

// turns has, for each component, a channel that has something as long as a start is in its Turn.
var turns sync.Map // of string to chan struct{}

// Turn is for a component that registers itself under a name for the process, and fails where that is taken
// (k8s.io/component-base/configz, k8s.io/client-go/tools/cache.NewInformerName). It waits until no other start of this
// component in this process is in its turn: the component then gives the name back for whoever has it, and calls end as
// soon as it has registered itself. Without it two clusters that start at once may find each other's names. end may be
// called again.
func Turn(ctx context.Context, component string) (end func(), err error) {
	made, _ := turns.LoadOrStore(component, make(chan struct{}, 1))
	turn := made.(chan struct{})
	select {
	case turn <- struct{}{}:
		return sync.OnceFunc(func() { <-turn }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// InformerName is the name by which metrics tell a component's informers apart. Upstream wants each only once in a
// process: where another cluster has it, it gets an end that nobody else's has.
func InformerName(component string) (*cache.InformerName, error) {
	name, err := cache.NewInformerName(component)
	if err != nil {
		return cache.NewInformerName(component + "-" + rand.Text())
	}
	return name, nil
}
