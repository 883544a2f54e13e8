package auth_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/internal/oidc"
	"github.com/sluicemq/sluice/internal/oidc/oidctest"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/tenants"
)

// BenchmarkWarm is what authentication and authorization add to a request whose key, access token or session the server knows: a key with scopes,
// queues and addresses. redis-calls/op must be 0.
func BenchmarkWarm(b *testing.B) {
	e, err := engine.Open(engine.Options{URL: redistest.URL(b)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.Close() })
	ring, err := keyring.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	store := tenants.New(e, clock.Real{})
	keys := auth.NewKeyStore(e, ring, store, clock.Real{})
	provider := oidctest.Start(b, oidctest.NewKey(b, "a", "RS256"))
	a := auth.NewAuthenticator(keys, &auth.Providers{TenantClaim: auth.DefaultTenantClaim, RoleClaim: auth.DefaultRoleClaim,
		Verifier: oidc.New(oidc.Config{Issuers: []string{provider.Issuer}, Audience: oidctest.Audience, Egress: provider.Egress(b), Clock: clock.Real{}})})
	ctx, cancel := context.WithCancel(b.Context())
	var over sync.WaitGroup
	over.Go(func() { _ = a.Run(ctx) })
	over.Go(func() { _ = store.Run(ctx) })
	b.Cleanup(func() {
		cancel()
		over.Wait()
	})
	tenant, _, err := store.Put(ctx, "bench", tenants.Settings{}, tenants.Condition{})
	if err != nil {
		b.Fatal(err)
	}
	made, err := keys.CreateTenantKey(ctx, tenant.ID, auth.NewKey{Scopes: []string{"developer"}, Queues: []string{"mail", "orders-*"},
		AllowedIPs: []string{"10.0.0.0/8", "192.0.2.0/24"}})
	if err != nil {
		b.Fatal(err)
	}
	key := made.Secret.Reveal()
	p, err := a.Authenticate(ctx, key, home)
	if err != nil {
		b.Fatal(err)
	}
	token, err := a.IssueToken(ctx, auth.NewToken{By: p})
	if err != nil {
		b.Fatal(err)
	}
	_, session, err := a.OpenSession(ctx, key, p, "browser", home)
	if err != nil {
		b.Fatal(err)
	}
	identity := provider.Token(b, provider.Claims(time.Now(), map[string]any{"sluice_tenant": "bench", "sluice_role": "developer", "email": "ana@example.com"}))
	b.Run("identity", func(b *testing.B) { benchWarm(b, e, a, "Bearer "+identity) })
	b.Run("key", func(b *testing.B) { benchWarm(b, e, a, "Bearer "+key) })
	b.Run("session", func(b *testing.B) { benchWarm(b, e, a, session.Reveal()) })
	b.Run("token", func(b *testing.B) { benchWarm(b, e, a, "Bearer "+token.Secret.Reveal()) })
}

// show shows the value of a header Authorization, or a session.
func show(ctx context.Context, a *auth.Authenticator, value string) (auth.Principal, error) {
	if auth.IsSession(value) {
		return a.Session(ctx, value, home)
	}
	credential, err := auth.FromHeader(value)
	if err != nil {
		return auth.Principal{}, err
	}
	return a.Authenticate(ctx, credential, home)
}

func benchWarm(b *testing.B, e *engine.Engine, a *auth.Authenticator, header string) {
	ctx, send := b.Context(), auth.MustScope("messages:send")
	one := func(b *testing.B) {
		p, err := show(ctx, a, header)
		if err != nil {
			b.Fatal(err)
		}
		if !p.Grants.May(send) || !p.Grants.Reaches("orders-eu-west-1") {
			b.Fatal("the key may not send")
		}
	}
	one(b)
	b.Run("one caller", func(b *testing.B) {
		b.ReportAllocs()
		before := e.Outcomes()["done"]
		for b.Loop() {
			one(b)
		}
		b.ReportMetric(float64(e.Outcomes()["done"]-before)/float64(b.N), "redis-calls/op")
	})
	b.Run("many callers", func(b *testing.B) {
		b.ReportAllocs()
		before := e.Outcomes()["done"]
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				one(b)
			}
		})
		b.ReportMetric(float64(e.Outcomes()["done"]-before)/float64(b.N), "redis-calls/op")
	})
}
