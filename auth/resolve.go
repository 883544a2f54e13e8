package auth

import (
	"context"

	"github.com/sluicemq/sluice/tenants"
)

// Resolve returns the tenant that a request is about. tenantHeader is its header Tenant, "" without one. A tenant's
// key acts for its own tenant: another name is tenants.ErrNotFound, whether or not it exists. An operator's key acts
// for the tenant that the header names: without it that is ErrTenantRequired.
func (a *Authenticator) Resolve(ctx context.Context, p Principal, tenantHeader string) (tenants.ID, error) {
	switch {
	case p.Kind == KindTenant && (tenantHeader == "" || tenantHeader == p.TenantName):
		return p.Tenant, nil
	case p.Kind == KindTenant:
		return tenants.ID{}, tenants.ErrNotFound
	case p.Kind != KindOperator:
		return tenants.ID{}, ErrUnauthenticated
	case tenantHeader == "":
		return tenants.ID{}, ErrTenantRequired
	}
	return a.byName(ctx, tenantHeader)
}

// byName returns the id of the tenant name, as it was at most 4 s ago.
func (a *Authenticator) byName(ctx context.Context, name string) (tenants.ID, error) {
	a.namesMu.Lock()
	n, ok := a.names[name]
	a.namesMu.Unlock()
	if ok && a.now()-n.at < trust {
		return n.id, nil
	}
	return a.naming.Do(ctx, name, func(ctx context.Context) (tenants.ID, error) {
		began := a.now()
		t, err := a.keys.tenants.Get(ctx, name)
		a.namesMu.Lock()
		defer a.namesMu.Unlock()
		if err != nil {
			delete(a.names, name)
			return tenants.ID{}, err
		}
		if len(a.names) >= maxNames {
			clear(a.names) // operators use a handful; to begin again is cheap
		}
		a.names[name] = named{id: t.ID, at: began}
		return t.ID, nil
	})
}
