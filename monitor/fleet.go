package monitor

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/tenants"
)

// Activity is what all queues of a tenant hold together, and what came and went in the last ten seconds. It is up to 20 seconds old.
// Of a tenant whose queues nobody has used all that is 0. What went wrong is that of a day.
type Activity struct {
	Values // Oldest is 0: it is known of each queue only
	Rates
	tenants.Trouble
	At time.Time // when something last changed, to ten seconds; zero: never
}

// TenantColumns are the words by which SortTenants sorts.
var TenantColumns = append(slices.DeleteFunc(slices.Clone(Columns), func(c string) bool { return c == "oldest_age" }), "throttled", "undelivered")

// Activity returns that of some tenants, in their order. It costs two calls.
func (m *Monitor) Activity(ctx context.Context, list ...tenants.ID) ([]Activity, error) {
	out := make([]Activity, len(list))
	if len(list) == 0 {
		return out, nil
	}
	names := make([]string, len(list))
	for i, id := range list {
		names[i] = id.String()
	}
	on, err := m.read(ctx, fleet()[0], names...)
	if err != nil {
		return nil, err
	}
	troubles, err := m.troubles(ctx, list...)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		out[i].Trouble = troubles[list[i]]
		if e, ok := on[name]; ok {
			out[i].Values, out[i].Rates, out[i].At = e.Values, e.rates(m.now()), startOf(e.span)
		}
	}
	return out, nil
}

// Oldest returns of when the oldest message is that waits in any queue of a tenant, and the zero time when none does. It is as old as
// the counts of Activity.
func (m *Monitor) Oldest(ctx context.Context, t tenants.ID) (time.Time, error) {
	reply, err := m.engine.Do(ctx, oldestScript, board(t)[:1])
	if err != nil {
		return time.Time{}, err
	}
	text, _ := reply.(string)
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, engine.ErrBroken.Because(err)
	}
	if ms == 0 {
		return time.Time{}, nil
	}
	return time.UnixMilli(ms).UTC(), nil
}

// SortTenants returns the part of tenants that an order asks for, which has one of TenantColumns, and the place behind which the next
// one begins, or "". One whose counts change between two parts may be in both, or in none.
func (m *Monitor) SortTenants(ctx context.Context, list []tenants.Ref, o Order) ([]tenants.Ref, string, error) {
	all, err := m.read(ctx, fleet()[0])
	if err != nil {
		return nil, "", err
	}
	var troubles map[tenants.ID]tenants.Trouble
	if o.Column == "throttled" || o.Column == "undelivered" {
		if troubles, err = m.troubles(ctx); err != nil {
			return nil, "", err
		}
	}
	on, named, names := make(map[string]entry, len(all)), make(map[string]tenants.Ref, len(list)), make([]string, len(list))
	for i, r := range list {
		names[i], named[r.Name] = r.Name, r
		e := all[r.ID.String()]
		e.trouble = troubles[r.ID]
		on[r.Name] = e
	}
	names, next, err := o.part(names, on, m.now())
	if err != nil {
		return nil, "", err
	}
	refs := make([]tenants.Ref, len(names))
	for i, name := range names {
		refs[i] = named[name]
	}
	return refs, next, nil
}
