package apiserver

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
)

// identitiesHook is the hook that waits until the identities of km's servers may do what they are to do.
const identitiesHook = "km-bind-identities"

// awaitIdentities is that hook: what has been made, the server's authorizer learns of by a watch.
func (c *chain) awaitIdentities(genericapiserver.PostStartHookContext) error {
	c.roles.await(c.ctx)
	_ = wait.PollUntilContextCancel(c.ctx, readyPoll, true, func(context.Context) (bool, error) {
		return c.known == nil || isClosed(c.roles.refused) || c.known(), nil
	})
	return nil // an error would end the process; it is being stopped then
}

const (
	// laterPoll is how often it is tried again to make what has been refused.
	laterPoll = 2 * time.Second
	// laterTell is how often it is told that it has not been made yet.
	laterTell = time.Minute
)

// tellLater tells, if it is refused, what could not be made at the start, and what is to be removed so that it can, as
// long as it is tried.
func (c *chain) tellLater(b *bootstrap) {
	select {
	case <-b.refused:
	case <-b.done:
		return
	case <-c.ctx.Done():
		return
	}
	select {
	case <-c.usable: // or nobody is told what is in the way
	case <-c.ctx.Done():
	}
	if isClosed(b.done) { // before anybody had to know
		return
	}
	err := b.refusal
	for c.ctx.Err() == nil {
		if c.cluster != nil {
			if refusal := c.cluster.Refusal(c.ctx, err); refusal != nil {
				err = refusal
			}
		}
		c.log.Warn("what the cluster needs cannot be made; it is tried again and again", "what", b.name, "error", err)
		select {
		case <-b.done:
			c.log.Info("what the cluster needs has been made", "what", b.name)
			return
		case <-time.After(laterTell):
		case <-c.ctx.Done():
		}
	}
}
