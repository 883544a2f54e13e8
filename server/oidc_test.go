package server_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sluicemq/sluice/internal/oidc/oidctest"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/server"
	"github.com/sluicemq/sluice/server/servertest"
)

// trustingProvider are the settings of a server that trusts a provider of a test.
func trustingProvider(p *oidctest.Provider) []string {
	return []string{"SLUICE_OIDC_ISSUERS=" + p.Issuer, "SLUICE_OIDC_AUDIENCE=" + oidctest.Audience, "SLUICE_OIDC_ALLOW=127.0.0.1", "SLUICE_EGRESS_ALLOW_HTTP=true"}
}

// identity returns the claims of somebody with a role in a tenant.
func identity(p *oidctest.Provider, tenant, role string) jwt.MapClaims {
	return p.Claims(time.Now(), map[string]any{"sluice_tenant": tenant, "sluice_role": role})
}

func TestAnIdentityProviderIsTrustedOnEveryServer(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	p := oidctest.StartPlain(t)
	trust := func(c *server.Config) {
		c.OIDCIssuers, c.OIDCAudience = []string{p.Issuer}, oidctest.Audience
		c.OIDCAllow, c.EgressAllowHTTP = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, true
	}
	a := servertest.New(t, servertest.WithRedis(redis.URL()), quiet, trust)
	b := servertest.New(t, servertest.WithRedis(redis.URL()), quiet, trust)
	without := servertest.New(t, servertest.WithRedis(redis.URL()), quiet)
	newTenant(t, a, "acme")
	other, _ := newTenant(t, a, "other")
	must(t, http.StatusCreated, nil, http.MethodPut, a.URL()+"/v1/queues/secret", other, "")
	developer, viewer := p.Token(t, identity(p, "acme", "developer")), p.Token(t, identity(p, "acme", "viewer"))
	must(t, http.StatusCreated, nil, http.MethodPut, a.URL()+"/v1/queues/orders", developer, "")
	must(t, http.StatusOK, nil, http.MethodGet, b.URL()+"/v1/queues/orders", viewer, "")
	must(t, http.StatusForbidden, nil, http.MethodDelete, b.URL()+"/v1/queues/orders", viewer, "")
	must(t, http.StatusNotFound, nil, http.MethodGet, b.URL()+"/v1/queues/secret", developer, "")
	must(t, http.StatusUnauthorized, nil, http.MethodGet, without.URL()+"/v1/queues/orders", viewer, "")
	must(t, http.StatusForbidden, nil, http.MethodGet, a.URL()+"/v1/tenants", p.Token(t, identity(p, "acme", "owner")), "")

	// A server that starts while the provider is away knows nobody of his, and those that run do.
	p.Down.Store(true)
	c := servertest.New(t, servertest.WithRedis(redis.URL()), quiet, trust)
	if r := call(t, http.MethodGet, c.URL()+"/v1/queues/orders", viewer, ""); r.status != http.StatusServiceUnavailable || !strings.Contains(r.body, "issuer_unavailable") {
		t.Errorf("a server that starts meanwhile: %d %s", r.status, r.body)
	}
	must(t, http.StatusOK, nil, http.MethodGet, a.URL()+"/v1/queues/orders", viewer, "")
}
