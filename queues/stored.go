package queues

import (
	"context"
	"fmt"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

// holderKind begins the names of queues, each shard for itself, among what stores something of a tenant.
const holderKind = 'q'

// maxDraws bounds how often one call draws: others may fill what it has drawn.
const maxDraws = 4

// drawer has a script store what the tenant may; see lua/lib/stored.lua.
type drawer struct {
	desk  *desk
	most  int64           // bytes that the tenant may store; 0: any number
	how   tenants.Drawing // when the tenant has too little left
	draws int
	full  error // the tenant may store no more
}

// mode is what the script is told: to mind nothing, to say what it is short of, or to store what fits.
func (w *drawer) mode() string {
	switch {
	case w.most == 0:
		return ""
	case w.full != nil || w.draws >= maxDraws:
		return "2"
	}
	return "1"
}

// run calls a script, and again as long as it makes room or is short of something that the tenant may store. made says where
// an answer "again" tells how many messages were pushed out.
func (w *drawer) run(ctx context.Context, made int, call func() ([]any, error)) ([]any, error) {
	for step := 1; ; step++ {
		reply, err := call()
		if err != nil || step == maxTidy {
			return reply, err
		}
		switch engine.Text(reply, 0) {
		case "again":
			w.desk.pushedOut(reply, made)
		case "short":
			w.desk.pushedOut(reply, 5)
			if err := w.draw(ctx, reply); err != nil {
				return nil, err
			}
		default:
			return reply, nil
		}
	}
}

// draw gets the queue what a script says it is short of.
func (w *drawer) draw(ctx context.Context, reply []any) error {
	d := w.desk
	w.draws++
	has := tenants.ReadHolding(reply, 2)
	how := w.how
	if engine.Text(reply, 7) == "1" {
		how = tenants.DrawAll
	}
	grant, err := d.store.storage.Draw(ctx, d.at.tenant, w.most, tenants.Holder(holderKind, d.uid), has, engine.Number(reply, 1), how)
	if tenants.IsStorageFull(err) {
		w.full, err = err, nil
	}
	if err == nil && grant.Number > 0 {
		_, err = d.store.engine.Do(ctx, grantScript, d.keys[:1], grant.Bytes, grant.Number)
	}
	if err == nil && w.how == tenants.DrawNone {
		return w.full
	}
	if err != nil {
		return engine.ErrUnavailable.Because(err) // nothing was stored, whatever became of the grant
	}
	return nil
}

// err is why the script did not store something: the tenant is full, or seems to be because others fill what is drawn.
func (w *drawer) err() error {
	if w.full != nil {
		return w.full
	}
	return tenants.LimitStored.Reached(tenants.ErrStorageFull, w.most, w.most)
}

// Holders calls f for each shard of each queue of a tenant.
func (s *Store) Holders(ctx context.Context, t tenants.ID, f func(uid string) error) error {
	return s.registry().Each(ctx, t, func(q Named) error {
		others, err := s.others(ctx, t, q.UID)
		if err != nil {
			return err
		}
		for _, uid := range append(others, q.UID) {
			if err := f(uid); err != nil {
				return err
			}
		}
		return nil
	})
}

// Holding returns what a shard of a queue may fill and what it has stored; see tenants.Keeper.
func (s *Store) Holding(ctx context.Context, t tenants.ID, uid string, trim bool, above int64) (tenants.Holding, error) {
	return tenants.AskHolding(ctx, s.engine, holdingScript, queueKeys(t, uid), trim, above)
}

// gaveBack tells the tenant what a queue has given back, as outbox.lua says it. When that does not get there the tenant has
// less to give out until it counts again.
func (d *desk) gaveBack(ctx context.Context, text string) {
	if text == "" || d.store.storage == nil {
		return
	}
	var has tenants.Holding
	_, err := fmt.Sscanf(text, "%d,%d,%d", &has.Grant, &has.Number, &has.Used)
	if err == nil {
		_ = d.store.storage.Told(ctx, d.at.tenant, tenants.Holder(holderKind, d.uid), has) // the engine has logged it
	}
}

// most returns how many bytes the tenant of the queue may store, 0 for any number.
func (d *desk) most(ctx context.Context) (int64, error) {
	if d.store.storage == nil {
		return 0, nil
	}
	terms, err := d.store.terms(ctx, d.at.tenant)
	if err != nil {
		return 0, err
	}
	return d.store.storage.Most(ctx, d.at.tenant, terms), nil
}
