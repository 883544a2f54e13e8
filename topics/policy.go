package topics

import (
	"context"

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
	err = s.with(ctx, t, name, func(tp *topic) (err error) {
		p, err = s.renewing.Do(ctx, tp.uid, tp.renew)
		return err
	})
	return p, false, err
}

// IsNamed reports whether there is a topic of this name, by a look that costs the same whether there is or not.
func (s *Store) IsNamed(ctx context.Context, t tenants.ID, name string) (bool, error) {
	uid, err := s.registry.Lookup(ctx, t, name)
	return uid != "", err
}

// renew reads the settings, unless somebody just did, and returns their policy. Where they have become others meanwhile those stay.
func (tp *topic) renew(ctx context.Context) (*policy.Policy, error) {
	before, asked := tp.config.Load(), tp.store.clock.Now()
	if !tp.policy.IsFresh(asked) {
		c, _, err := tp.store.load(ctx, tp.keys, nil)
		if err != nil {
			return nil, err
		}
		if tp.config.CompareAndSwap(before, c) {
			tp.policy.Confirm(asked)
		}
	}
	return tp.policy.Of(tp.config.Load().AWS.policy()), nil
}
