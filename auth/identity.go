package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/oidc"
	"github.com/sluicemq/sluice/tenants"
)

// The names of the claims that say for which tenant somebody acts and what he may, unless the operator chooses others.
const (
	DefaultTenantClaim = "sluice_tenant"
	DefaultRoleClaim   = "sluice_role"
)

const identityPrefix = "oid_"

// Providers are the identity providers whose tokens are taken, and what these mean. Each of them may speak for every tenant.
type Providers struct {
	Verifier *oidc.Verifier
	// TenantClaim is the claim with the name of the tenant, RoleClaim that with a role or a list of roles.
	TenantClaim, RoleClaim string
	// SignIn are those with which people sign in to the console. Each has a client with Verifier.
	SignIn []Provider
	// SessionLife is how long a session holds at most that was opened so. Default: SessionLife.
	SessionLife time.Duration
}

// Provider is an identity provider with which people sign in.
type Provider struct {
	Issuer string
	Name   string // for people
}

// Identity is who an identity provider says that somebody is.
type Identity struct {
	ID      string // made of the other two
	Issuer  string
	Subject string
}

func newIdentity(issuer, subject string) *Identity {
	var id engine.ID
	sum := sha256.Sum256([]byte("identity\x00" + issuer + "\x00" + subject))
	copy(id[:], sum[:])
	return &Identity{ID: identityPrefix + id.String(), Issuer: issuer, Subject: subject}
}

// identify reads the token of an identity provider and remembers it.
func (a *Authenticator) identify(ctx context.Context, text string, d digest) (*entry, error) {
	generation := a.tokens.generation()
	now, err := a.instant(ctx)
	if err != nil {
		return nil, err
	}
	t, err := a.providers.Verifier.Verify(ctx, text, time.UnixMilli(now))
	switch {
	case errors.Is(err, oidc.ErrInvalid):
		return nil, ErrUnauthenticated
	case errors.Is(err, oidc.ErrExpired):
		return nil, ErrTokenExpired
	case err != nil:
		return nil, err
	}
	p, err := a.meaning(ctx, t)
	if err != nil {
		return nil, err
	}
	e := &entry{expires: t.ExpiresAt.UnixMilli(), read: a.now(), standing: &t.Standing, principal: p}
	e.asked.Store(int64(e.read))
	a.tokens.put(d, e, generation)
	return e, nil
}

// meaning returns who somebody is by the claims of a verified token, and what he may until it ends.
func (a *Authenticator) meaning(ctx context.Context, t *oidc.Token) (Principal, error) {
	name := t.Text(a.providers.TenantClaim)
	if name == "" {
		return Principal{}, oidc.Refused("has no claim %q with the name of a tenant", a.providers.TenantClaim)
	}
	owner, err := a.byName(ctx, name)
	if errors.Is(err, tenants.ErrNotFound) {
		return Principal{}, oidc.Refused("names no tenant of this installation in its claim %q", a.providers.TenantClaim)
	}
	if err != nil {
		return Principal{}, err
	}
	named := t.Texts(a.providers.RoleClaim)
	named = slices.DeleteFunc(named, func(name string) bool { _, ok := roles[name]; return !ok })
	slices.Sort(named)
	if named = slices.Compact(named); len(named) == 0 {
		return Principal{}, oidc.Refused("has no claim %q with a role: owner, developer, operator, viewer or viewer_without_bodies", a.providers.RoleClaim)
	}
	r := record{Kind: KindTenant, Scopes: named, ExpiresAt: t.ExpiresAt.UnixMilli()}
	grants, err := r.grants()
	return Principal{Kind: KindTenant, Tenant: owner, TenantName: name, Grants: grants, Identity: newIdentity(t.Issuer, t.Subject)}, err
}

// identified returns who the owner of a verified token of an identity provider is. It holds while its tenant is there, its time
// is not over, and its provider has the key with which it was signed.
func (a *Authenticator) identified(ctx context.Context, e *entry, d digest) (Principal, error) {
	now := a.now()
	e.asked.Store(int64(now))
	if a.millis(now) >= e.expires {
		return Principal{}, ErrTokenExpired
	}
	_, err := a.keys.tenants.Terms(ctx, e.principal.Tenant)
	if errors.Is(err, tenants.ErrNotFound) {
		a.tokens.remove(d) // another tenant may have the name by now
		return Principal{}, ErrUnauthenticated
	}
	if err != nil {
		return Principal{}, err
	}
	return e.principal, nil
}
