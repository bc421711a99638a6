package apiserver

import (
	"context"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/seed-200a7251/km/servers/cluster"
)

// bindIdentities is a hook of the server's, and with it part of its /readyz: it gives the identities of km's servers
// their rights. Where that is refused by what users have put in the way, such as a webhook that nothing serves any
// more, the server is ready without it, as they could not remove that otherwise; and it is tried on. Where it is slow,
// the server is not ready: it would refuse the admin.
func (c *chain) bindIdentities(config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	// A start may take long. The hook's own context ends when all requests have been served, those of the hook
	// included.
	refused := wait.PollUntilContextCancel(c.ctx, readyPoll, true, func(context.Context) (bool, error) {
		// The loopback client may do everything, whatever RBAC has in store already.
		err := c.rights.ensure(client)
		if cluster.Refused(err) {
			return false, err
		}
		return err == nil, nil
	})
	if refused == nil {
		// Its authorizer learns of them by a watch.
		_ = wait.PollUntilContextCancel(c.ctx, readyPoll, true, func(context.Context) (bool, error) { return c.rolesSeen(), nil })
	}
	if refused == nil || c.ctx.Err() != nil {
		return nil // with an error upstream would end the process
	}
	done := make(chan error)
	go func() {
		defer close(done)
		_ = wait.PollUntilContextCancel(c.ctx, laterPoll, false, func(context.Context) (bool, error) { return c.rights.ensure(client) == nil, nil })
	}()
	c.tellLater("km-bind-identities", refused, done)
	return nil
}

// rolesSeen reports whether the authorizer knows the roles, as far as they are made.
func (c *chain) rolesSeen() bool { return c.known == nil || c.hooks.isRefused() || c.known() }

const (
	// laterPoll is how often it is tried again to make what has been refused.
	laterPoll = 2 * time.Second
	// laterTell is how often it is told that it has not been made yet.
	laterTell = time.Minute
)

// tellLater tells of what could not be made at the start, and what is to be removed so that it can, as long as it is
// tried.
func (c *chain) tellLater(what string, err error, done <-chan error) {
	go func() {
		select {
		case <-c.usable: // or nobody is told what is in the way
		case <-c.ctx.Done():
		}
		select {
		case <-done: // before anybody had to know
			return
		default:
		}
		for c.ctx.Err() == nil {
			if refusal := c.cluster.Refusal(c.ctx, err); refusal != nil {
				err = refusal
			}
			c.log.Warn("what km's servers need cannot be made; it is tried again and again", zap.String("what", what), zap.Error(err))
			select {
			case <-done:
				c.log.Info("what km's servers need has been made", zap.String("what", what))
				return
			case <-time.After(laterTell):
			case <-c.ctx.Done():
			}
		}
	}()
}
