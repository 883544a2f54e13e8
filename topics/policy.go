package topics

import (
	"context"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/policy"
	"github.com/sluicemq/sluice/tenants"
)

// policy returns what the settings say about who may use the topic: nothing where that was said before it had an effect.
func (a *AWS) policy() string {
	if !a.PolicyHolds {
		return ""
	}
	return a.Policy
}

// Policy returns what the owner of a topic has said about who may use it, as it was at most 4 s ago; nil: nothing. While this
// server publishes to the topic it asks nobody; see queues.Store.Policy.
func (s *Store) Policy(ctx context.Context, t tenants.ID, name string) (p *policy.Policy, known bool, err error) {
	if v, ok := s.topics.Load(address{t, name}); ok {
		if tp := v.(*topic); tp.policy.IsFresh(s.clock.Now()) {
			tp.touch()
			return tp.policy.Of(tp.config.Load().AWS.policy()), true, nil
		}
	}
	err = s.with(ctx, t, name, func(tp *topic) error {
		renewed := s.renewing.DoChan(tp.uid, func() (any, error) { return nil, tp.renew(context.WithoutCancel(ctx)) })
		select {
		case <-ctx.Done():
			return engine.ErrUnavailable.Because(ctx.Err())
		case r := <-renewed:
			if r.Err == nil {
				p = tp.policy.Of(tp.config.Load().AWS.policy())
			}
			return r.Err
		}
	})
	return p, false, err
}

// IsNamed reports whether there is a topic of this name, by a look that costs the same whether there is or not.
func (s *Store) IsNamed(ctx context.Context, t tenants.ID, name string) (bool, error) {
	uid, err := s.registry.Lookup(ctx, t, name)
	return uid != "", err
}

// renew reads the settings, unless somebody just did. Where they have become others meanwhile those stay.
func (tp *topic) renew(ctx context.Context) error {
	before, asked := tp.config.Load(), tp.store.clock.Now()
	if tp.policy.IsFresh(asked) {
		return nil
	}
	c, _, err := tp.store.load(ctx, tp.keys, nil)
	if err == nil && tp.config.CompareAndSwap(before, c) {
		tp.policy.Confirm(asked)
	}
	return err
}
