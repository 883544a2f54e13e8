package topics

import (
	"context"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

// holderKind begins the names of topics among what stores something of a tenant.
const holderKind = 't'

// maxDraws bounds how often one call draws: others may fill what it has drawn.
const maxDraws = 4

// draw gets the topic what publish.lua says it is short of, or returns tenants.ErrStorageFull for a tenant that may store
// no more.
func (tp *topic) draw(ctx context.Context, most int64, reply []any) error {
	s := tp.store
	has := tenants.Holding{Grant: engine.Number(reply, 2), Number: engine.Number(reply, 3), Used: engine.Number(reply, 4)}
	grant, err := s.storage.Draw(ctx, tp.at.tenant, most, tenants.Holder(holderKind, tp.uid), has, engine.Number(reply, 1), tenants.DrawNone)
	if tenants.IsStorageFull(err) {
		return err
	}
	if err == nil {
		_, err = s.engine.Do(ctx, grantScript, tp.keys[:1], grant.Bytes, grant.Number)
	}
	if err != nil {
		return engine.ErrUnavailable.Because(err) // nothing was stored, whatever became of the grant
	}
	return nil
}

// Holders calls f for each topic of a tenant.
func (s *Store) Holders(ctx context.Context, t tenants.ID, f func(uid string) error) error {
	for after := ""; ; {
		found, err := s.registry.List(ctx, t, "", after, 100)
		if err != nil {
			return err
		}
		for _, n := range found {
			after = n.Name
			if err := f(n.UID); err != nil {
				return err
			}
		}
		if len(found) < 100 {
			return nil
		}
	}
}

// Holding returns what a topic may fill and what it has stored; see tenants.Keeper.
func (s *Store) Holding(ctx context.Context, t tenants.ID, uid string, trim bool, above int64) (tenants.Holding, error) {
	flag := 0
	if trim {
		flag = 1
	}
	reply, err := s.engine.Do(ctx, holdingScript, topicKeys(t, uid), flag, above)
	if err != nil {
		return tenants.Holding{}, err
	}
	list, _ := reply.([]any)
	if engine.Text(list, 0) != "ok" {
		return tenants.Holding{}, tenants.ErrNoHolder
	}
	return tenants.Holding{Grant: engine.Number(list, 1), Number: engine.Number(list, 2), Used: engine.Number(list, 3)}, nil
}
