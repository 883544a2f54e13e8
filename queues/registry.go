package queues

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

// Registry is the names of one kind of things that a tenant has and that live in slots of their own, as queues do. A
// thing is made in steps that can be repeated: reserve its name, make its keys, confirm; and deleted so: mark it gone,
// unregister, remove its keys, forget. Whoever meets one that is half done finishes it.
type Registry struct {
	Engine *engine.Engine
	// Part and Names are the tenant's keys that hold it; see register.lua and confirm.lua.
	Part, Names string
}

// RegistryFull is the error of a tenant that has as many things of a kind as it may have.
type RegistryFull struct{ Used int64 }

// Error implements error.
func (RegistryFull) Error() string { return "the registry is full" }

func (r Registry) keys(t tenants.ID) []string {
	return []string{engine.TenantKey(t.String(), r.Part), engine.TenantKey(t.String(), r.Names)}
}

// Reserve returns the uid for the keys of a thing, and "" where it is live already. most is how many a tenant may have,
// with those that are being made or deleted: then the error is a RegistryFull.
func (r Registry) Reserve(ctx context.Context, t tenants.ID, name string, most int64) (string, error) {
	list, err := r.do(ctx, registerScript, []string{tenantKey(t), r.keys(t)[0]}, name, newUID(), most)
	if err != nil {
		return "", err
	}
	switch engine.Text(list, 0) {
	case "full":
		return "", RegistryFull{engine.Number(list, 1)}
	case "no_tenant":
		return "", ErrTenantGone
	case "live":
		return "", nil
	}
	return engine.Text(list, 1), nil
}

// Confirm makes a thing live whose keys are there. It reports false when the reservation was given up.
func (r Registry) Confirm(ctx context.Context, t tenants.ID, name, uid string) (bool, error) {
	list, err := r.do(ctx, confirmScript, r.keys(t), name, uid)
	return engine.Text(list, 0) == "ok", err
}

// Lookup returns the uid of a live thing, or "".
func (r Registry) Lookup(ctx context.Context, t tenants.ID, name string) (string, error) {
	reply, err := r.Engine.Do(ctx, lookupScript, r.keys(t)[:1], name)
	if err != nil {
		return "", err
	}
	uid, ok := reply.(string)
	if !ok {
		return "", unexpected(reply)
	}
	return uid, nil
}

// Named is a thing by its name and uid.
type Named struct{ Name, UID string }

// List returns up to limit live things whose names begin with prefix and come after the name after, by name.
func (r Registry) List(ctx context.Context, t tenants.ID, prefix, after string, limit int) ([]Named, error) {
	list, err := r.do(ctx, listScript, r.keys(t), prefix, after, limit)
	return named(list), err
}

// Unfinished returns some of what was begun and not ended, without a name what is being deleted, and the cursor of the
// rest: "0" at first and at the end.
func (r Registry) Unfinished(ctx context.Context, t tenants.ID, cursor string) ([]Named, string, error) {
	list, err := r.do(ctx, unfinishedScript, r.keys(t)[:1], cursor)
	if err != nil || len(list) == 0 {
		return nil, "0", err
	}
	return named(list[1:]), engine.Text(list, 0), nil
}

// Each calls f for each live thing, by name, until it returns an error.
func (r Registry) Each(ctx context.Context, t tenants.ID, f func(Named) error) error {
	const page = 100
	for after := ""; ; {
		found, err := r.List(ctx, t, "", after, page)
		if err != nil {
			return err
		}
		for _, n := range found {
			after = n.Name
			if err := f(n); err != nil {
				return err
			}
		}
		if len(found) < page {
			return nil
		}
	}
}

// Page returns up to limit names of live things that begin with prefix and come after the name after, and the name after
// which the next part goes on, or "".
func (r Registry) Page(ctx context.Context, t tenants.ID, prefix, after string, limit int) (names []string, next string, err error) {
	found, err := r.List(ctx, t, prefix, after, limit+1)
	if err != nil {
		return nil, "", err
	}
	names = make([]string, len(found))
	for i := range found {
		names[i] = found[i].Name
	}
	if len(names) <= limit {
		return names, "", nil
	}
	return names[:limit], names[limit-1], nil
}

// eraseAtOnce bounds the things of a tenant that are removed at the same time.
const eraseAtOnce = 16

// Erase has bury remove at most so many things of a tenant that is being deleted, and returns how many are left.
func (r Registry) Erase(ctx context.Context, t tenants.ID, most int, bury func(context.Context, Named) error) (left int64, err error) {
	found, err := r.some(ctx, t, most)
	if err != nil {
		return 0, err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(eraseAtOnce)
	for _, n := range found {
		g.Go(func() error { return bury(gctx, n) })
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return r.Count(ctx, t)
}

// some returns up to limit things, whether they are live, begun or being deleted; those are without a name. It finds some as
// long as there are any.
func (r Registry) some(ctx context.Context, t tenants.ID, limit int) ([]Named, error) {
	if limit == 0 {
		return nil, nil
	}
	found, err := r.List(ctx, t, "", "", limit)
	for cursor := "0"; err == nil && len(found) == 0; {
		found, cursor, err = r.Unfinished(ctx, t, cursor)
		if cursor == "0" {
			break
		}
	}
	return found[:min(len(found), limit)], err
}

// Count returns how many things there are, with those that are begun and those being deleted.
func (r Registry) Count(ctx context.Context, t tenants.ID) (int64, error) {
	list, err := r.do(ctx, countScript, r.keys(t)[:1])
	return engine.Number(list, 0), err
}

// Unregister takes the name of a thing out and notes that its keys are still to be removed.
func (r Registry) Unregister(ctx context.Context, t tenants.ID, name, uid string) error {
	_, err := r.do(ctx, unregisterScript, r.keys(t), name, uid)
	return err
}

// GiveUp takes out a reservation whose maker seems to be gone, so that he cannot confirm it any more, and notes that its keys
// are still to be removed. It reports false for what is no reservation any more.
func (r Registry) GiveUp(ctx context.Context, t tenants.ID, name, uid string) (bool, error) {
	list, err := r.do(ctx, giveUpScript, r.keys(t)[:1], name, uid)
	return engine.Text(list, 0) == "ok", err
}

// Forget forgets a thing whose keys are removed.
func (r Registry) Forget(ctx context.Context, t tenants.ID, uid string) error {
	_, err := r.do(ctx, forgetScript, r.keys(t)[:1], uid)
	return err
}

func (r Registry) do(ctx context.Context, s *engine.Script, keys []string, args ...any) ([]any, error) {
	reply, err := r.Engine.Do(ctx, s, keys, args...)
	list, _ := reply.([]any)
	return list, err
}

func named(list []any) []Named {
	out := make([]Named, 0, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		out = append(out, Named{engine.Text(list, i), engine.Text(list, i+1)})
	}
	return out
}
