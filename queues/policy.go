package queues

import (
	"context"

	"github.com/sluicemq/sluice/internal/policy"
	"github.com/sluicemq/sluice/tenants"
)

// policy returns what the settings say about who may use the queue: nothing where that was said before it had an effect.
func (a *AWS) policy() string {
	if !a.PolicyHolds {
		return ""
	}
	return a.Policy
}

// Policy returns what the owner of a queue has said about who may use it, as it was at most 4 s ago; nil: nothing. While this
// server uses the queue it asks nobody, because each call confirms the settings by which it was made; known says that this was so.
func (s *Store) Policy(ctx context.Context, t tenants.ID, name string) (p *policy.Policy, known bool, err error) {
	if v, ok := s.desks.Load(address{t, name}); ok {
		if d := v.(*desk); d.policy.IsFresh(s.clock.Now()) {
			d.touch()
			return d.policy.Of(d.config.Load().AWS.policy()), true, nil
		}
	}
	err = s.with(ctx, t, name, func(d *desk) (err error) {
		p, err = s.renewing.Do(ctx, d.uid, d.renew)
		return err
	})
	return p, false, err
}

// IsNamed reports whether there is a queue of this name, by a look that costs the same whether there is or not.
func (s *Store) IsNamed(ctx context.Context, t tenants.ID, name string) (bool, error) {
	uid, err := s.lookup(ctx, t, name)
	return uid != "", err
}

// renew reads the settings, unless somebody just did, and returns their policy. Where they have become others meanwhile those stay.
func (d *desk) renew(ctx context.Context) (*policy.Policy, error) {
	before, asked := d.config.Load(), d.store.clock.Now()
	if !d.policy.IsFresh(asked) {
		c, err := d.store.load(ctx, d.at.tenant, d.uid)
		if err != nil {
			return nil, err
		}
		if d.config.CompareAndSwap(before, c) {
			d.policy.Confirm(asked)
		}
	}
	return d.policy.Of(d.config.Load().AWS.policy()), nil
}
