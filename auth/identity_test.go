package auth_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/oidc"
	"github.com/sluicemq/sluice/internal/oidc/oidctest"
	"github.com/sluicemq/sluice/tenants"
)

// trust makes the server believe a new identity provider.
func (w *world) trust(t *testing.T) *oidctest.Provider {
	t.Helper()
	p := oidctest.Start(t)
	w.providers = &auth.Providers{TenantClaim: "org", RoleClaim: "roles",
		Verifier: oidc.New(oidc.Config{Issuers: []string{p.Issuer}, Audience: oidctest.Audience, Egress: p.Egress(t), Clock: w.clock})}
	w.auth = auth.NewAuthenticator(w.KeyStore, w.providers)
	return p
}

// identity returns a token of ana, a viewer of the test's tenant, with other claims.
func (w *world) identity(t *testing.T, p *oidctest.Provider, others map[string]any) string {
	t.Helper()
	c := p.Claims(w.clock.Now(), map[string]any{"org": w.tenant.Name, "roles": "viewer"})
	for name, v := range others {
		if c[name] = v; v == nil {
			delete(c, name)
		}
	}
	return p.Token(t, c)
}

func TestAnIdentityProviderSpeaksForATenant(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		w.checkAuth(t, "without a provider", w.identity(t, oidctest.Start(t), nil), auth.ErrUnauthenticated)
		p := w.trust(t)
		text := w.identity(t, p, map[string]any{"padding": strings.Repeat("x", 4<<10)}) // longer than ours may be
		for _, server := range []*world{w, w, w.another()} {
			got, err := server.auth.Authenticate(t.Context(), text, home)
			if err != nil {
				t.Fatal(err)
			}
			if got.Kind != auth.KindTenant || got.Tenant != w.tenant.ID || got.TenantName != w.tenant.Name || got.KeyID != "" || !strings.HasPrefix(got.ID(), "oid_") {
				t.Errorf("principal %+v", got)
			}
			if diff := cmp.Diff(auth.Identity{ID: got.ID(), Issuer: p.Issuer, Subject: "ana"}, *got.Identity); diff != "" {
				t.Errorf("identity (-want +got):\n%s", diff)
			}
			if g := got.Grants; !g.May(auth.MustScope("queues:read")) || g.May(auth.MustScope("queues:write")) || g.ExpiresAt.IsZero() {
				t.Errorf("grants %+v", g)
			}
			if _, err := server.auth.IssueToken(t.Context(), auth.NewToken{By: got}); !errors.Is(err, auth.ErrPermissionDenied) {
				t.Errorf("an access token of no key: %v", err)
			}
		}
		before := w.calls()
		w.checkAuth(t, "warm", text, nil)
		if n := w.calls() - before; n != 0 {
			t.Errorf("%d calls to Redis by a token that is known", n)
		}
		w.checkAuth(t, "our own tokens", w.newToken(t, w.newKey(t).Secret.Reveal(), auth.NewToken{}).Secret.Reveal(), nil)
		w.checkAuth(t, "far too long", w.identity(t, p, map[string]any{"padding": strings.Repeat("x", 8<<10)}), auth.ErrUnauthenticated)

		stranger, err := w.auth.Authenticate(t.Context(), w.identity(t, p, map[string]any{"sub": "bob"}), home)
		ana, _ := w.auth.Authenticate(t.Context(), text, home)
		if err != nil || stranger.ID() == ana.ID() {
			t.Errorf("two subjects have one id %s, %v", ana.ID(), err)
		}
		w.clock.Advance(time.Hour)
		w.checkAuth(t, "an hour later", text, auth.ErrTokenExpired)
		w.checkAuth(t, "on a server that has just started", text, auth.ErrTokenExpired)
	})
}

func TestWhatClaimsMean(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	p := w.trust(t)
	other := w.newTenant(t)
	for _, c := range []struct {
		what   string
		claims map[string]any
		want   error
		scopes string
		tenant tenants.ID
	}{
		{"a role", map[string]any{"roles": "developer"}, nil, "[developer]", w.tenant.ID},
		{"a list of roles", map[string]any{"roles": []string{"viewer", "staff", "operator", "viewer"}}, nil, "[operator viewer]", w.tenant.ID},
		{"another tenant", map[string]any{"org": other.Name}, nil, "[viewer]", other.ID},
		{"a role that is none", map[string]any{"roles": "admin"}, oidc.ErrRefused, "", tenants.ID{}},
		{"a scope", map[string]any{"roles": "messages:send"}, oidc.ErrRefused, "", tenants.ID{}},
		{"everything", map[string]any{"roles": "*"}, oidc.ErrRefused, "", tenants.ID{}},
		{"no role", map[string]any{"roles": nil}, oidc.ErrRefused, "", tenants.ID{}},
		{"no role in the list", map[string]any{"roles": []string{}}, oidc.ErrRefused, "", tenants.ID{}},
		{"a role that is a number", map[string]any{"roles": 1}, oidc.ErrRefused, "", tenants.ID{}},
		{"a list of numbers", map[string]any{"roles": []int{1}}, oidc.ErrRefused, "", tenants.ID{}},
		{"no tenant", map[string]any{"org": nil}, oidc.ErrRefused, "", tenants.ID{}},
		{"an empty tenant", map[string]any{"org": ""}, oidc.ErrRefused, "", tenants.ID{}},
		{"a list of tenants", map[string]any{"org": []string{w.tenant.Name}}, oidc.ErrRefused, "", tenants.ID{}},
		{"a tenant that does not exist", map[string]any{"org": "nobody"}, oidc.ErrRefused, "", tenants.ID{}},
		{"the id of a tenant", map[string]any{"org": w.tenant.ID.String()}, oidc.ErrRefused, "", tenants.ID{}},
		{"no name of a tenant", map[string]any{"org": "../x y"}, oidc.ErrRefused, "", tenants.ID{}},
		{"claims of other names", map[string]any{"org": nil, "roles": nil, auth.DefaultTenantClaim: w.tenant.Name, auth.DefaultRoleClaim: "owner"}, oidc.ErrRefused, "", tenants.ID{}},
	} {
		got, err := w.auth.Authenticate(t.Context(), w.identity(t, p, c.claims), home)
		if !errors.Is(err, c.want) || got.Tenant != c.tenant || err == nil && fmt.Sprint(got.Grants.Scopes) != c.scopes {
			t.Errorf("%s: %+v, %v; want %v for %s, %v", c.what, got, err, c.scopes, c.tenant, c.want)
		}
	}
}

func TestAnIdentityEndsWithItsTenantAndItsKey(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		p := w.trust(t)
		other := w.another()
		text := w.identity(t, p, nil)
		w.checkAuth(t, "at first", text, nil)
		other.checkAuth(t, "at first", text, nil)
		if err := w.tenants.Delete(t.Context(), w.tenant.Name, tenants.Condition{}); err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(5 * time.Second)
		for _, server := range []*world{w, other} {
			if _, err := server.auth.Authenticate(t.Context(), text, home); err == nil {
				t.Error("the tenant is gone, and somebody speaks for it")
			}
		}
		again, _, err := w.tenants.Put(t.Context(), w.tenant.Name, tenants.Settings{}, tenants.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		w.clock.Advance(5 * time.Second)
		for _, server := range []*world{w, other} {
			if got, err := server.auth.Authenticate(t.Context(), text, home); err != nil || got.Tenant != again.ID {
				t.Errorf("another tenant of that name: %v, %v", got.Tenant, err)
			}
		}

		p.Rotate(oidctest.NewKey(t, "second", "ES256"))
		w.clock.Advance(11 * time.Minute)
		fresh := w.identity(t, p, nil)
		w.checkAuth(t, "a token of the new key", fresh, nil) // of which the server learns
		w.checkAuth(t, "a token of a key that was taken back", text, auth.ErrUnauthenticated)
		p.Down.Store(true)
		w.clock.Advance(30 * time.Minute)
		w.checkAuth(t, "while the provider is away", fresh, nil)
		w.net.cut()
		w.clock.Advance(5 * time.Second)
		if _, err := w.auth.Authenticate(t.Context(), fresh, home); err == nil {
			t.Error("without Redis nobody knows whether the tenant is there")
		}
		w.net.back()
	})
}

func TestTheTokensOfProvidersTakeBoundedMemory(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	p := w.trust(t)
	w.auth.SetMaxTokens(10)
	for i := range 50 {
		w.checkAuth(t, "one of many", w.identity(t, p, map[string]any{"sub": fmt.Sprint("s", i)}), nil)
	}
	if n := w.auth.Tokens(); n > 10 {
		t.Errorf("%d tokens are remembered, want at most 10", n)
	}
	w.clock.Advance(2 * time.Minute)
	w.auth.Confirm(t.Context())
	if n := w.auth.Tokens(); n != 0 {
		t.Errorf("%d tokens are remembered that nobody shows", n)
	}
}
