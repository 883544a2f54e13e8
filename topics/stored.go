package topics

import (
	"context"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/tenants"
)

// holderKind begins the names of topics among what stores something of a tenant.
const holderKind = 't'

// maxDraws bounds how often one call draws: others may fill what it has drawn.
const maxDraws = 4

// draw gets the topic what a script says it is short of, or returns tenants.ErrStorageFull for a tenant that may store no
// more, also when it got some.
func (tp *topic) draw(ctx context.Context, most int64, how tenants.Drawing, reply []any) error {
	s := tp.store
	has := tenants.ReadHolding(reply, 2)
	grant, full := s.storage.Draw(ctx, tp.at.tenant, most, tenants.Holder(holderKind, tp.uid), has, engine.Number(reply, 1), how)
	var err error
	if full != nil && !tenants.IsStorageFull(full) {
		err = full
	} else if grant.Number > 0 {
		_, err = s.engine.Do(ctx, grantScript, tp.keys[:1], grant.Bytes, grant.Number)
	}
	if err != nil {
		return engine.ErrUnavailable.Because(err) // nothing was stored, whatever became of the grant
	}
	return full
}

// Holders calls f for each topic of a tenant.
func (s *Store) Holders(ctx context.Context, t tenants.ID, f func(uid string) error) error {
	return s.registry.Each(ctx, t, func(n queues.Named) error { return f(n.UID) })
}

// Holding returns what a topic may fill and what it has stored; see tenants.Keeper.
func (s *Store) Holding(ctx context.Context, t tenants.ID, uid string, trim bool, above int64) (tenants.Holding, error) {
	return tenants.AskHolding(ctx, s.engine, holdingScript, topicKeys(t, uid), trim, above)
}
