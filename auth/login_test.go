package auth_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/oidc"
	"github.com/sluicemq/sluice/internal/oidc/oidctest"
	"github.com/sluicemq/sluice/tenants"
)

const (
	callback = "https://queues.example/v1/session/oidc/callback"
	console  = "/console/t/acme/queues"
	ssoLife  = 8 * time.Hour
)

// doorman has the server let in whom a new identity provider knows: ana, with other claims than the usual.
func (w *world) doorman(t *testing.T, others map[string]any) *oidctest.Provider {
	t.Helper()
	p := oidctest.Start(t)
	w.providers = &auth.Providers{TenantClaim: "org", RoleClaim: "roles", SignIn: []auth.Provider{{Issuer: p.Issuer, Name: "the company"}}, SessionLife: ssoLife,
		Verifier: oidc.New(oidc.Config{Issuers: []string{p.Issuer}, Audience: oidctest.Audience, Egress: p.Egress(t), Clock: w.clock, Scopes: "openid",
			Clients: []oidc.Client{{Issuer: p.Issuer, ID: oidctest.ClientID, Secret: oidctest.ClientSecret}}})}
	w.auth = auth.NewAuthenticator(w.KeyStore, w.providers)
	w.knows(p, others)
	return p
}

// knows has a provider let in ana, a viewer of the test's tenant, with other claims.
func (w *world) knows(p *oidctest.Provider, others map[string]any) {
	p.LetIn(func() jwt.MapClaims {
		c := p.Claims(w.clock.Now(), map[string]any{"org": w.tenant.Name, "roles": "viewer", "name": "Ana"})
		for name, v := range others {
			if c[name] = v; v == nil {
				delete(c, name)
			}
		}
		return c
	})
}

// depart begins to sign in, and returns what the browser keeps and with what it comes back.
func (w *world) depart(t *testing.T, p *oidctest.Provider) (kept string, back url.Values) {
	t.Helper()
	address, secret, ends, err := w.auth.BeginSignIn(t.Context(), p.Issuer, callback, console)
	if err != nil {
		t.Fatal(err)
	}
	if want := w.clock.Now().Add(auth.PendingLife).UTC(); ends.Sub(want).Abs() > time.Second {
		t.Errorf("the way ends at %s, want %s", ends, want)
	}
	u, err := url.Parse(p.Visit(t, address))
	if err != nil || !strings.HasPrefix(u.String(), callback+"?") {
		t.Fatalf("sent back to %s, %v", u, err)
	}
	return secret.Reveal(), u.Query()
}

// arrive ends what depart has begun.
func (w *world) arrive(t *testing.T, kept string, back url.Values) (auth.Session, string, error) {
	t.Helper()
	pending, err := w.auth.Pending(t.Context(), kept, back.Get("state"))
	if err != nil {
		return auth.Session{}, "", err
	}
	if pending.To != console {
		t.Errorf("goes on to %s, want %s", pending.To, console)
	}
	who, err := w.auth.Arrive(t.Context(), pending, oidc.Answer{Code: back.Get("code"), Issuer: back.Get("iss"), Error: back.Get("error")}, home)
	if err != nil {
		return auth.Session{}, "", err
	}
	s, text, err := w.auth.OpenIdentitySession(t.Context(), who, "browser", home)
	return s, text.Reveal(), err
}

func (w *world) tryLogin(t *testing.T, p *oidctest.Provider) (auth.Session, string, error) {
	t.Helper()
	kept, back := w.depart(t, p)
	return w.arrive(t, kept, back)
}

func (w *world) login(t *testing.T, p *oidctest.Provider) (auth.Session, string) {
	t.Helper()
	s, text, err := w.tryLogin(t, p)
	if err != nil {
		t.Fatalf("sign in: %v", err)
	}
	return s, text
}

// Somebody leaves from one server and comes back to another, which has just started.
func TestWhoAProviderKnowsSignsInOnAnyServer(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		p := w.doorman(t, map[string]any{"roles": []string{"developer", "x"}})
		kept, back := w.depart(t, p)
		if plain, err := base64.RawURLEncoding.DecodeString(kept); err != nil || strings.Contains(string(plain), "queues") || len(kept) > 1500 {
			t.Errorf("a browser keeps %d bytes that it can read, %v", len(kept), err)
		}
		late := w.another()
		s, text, err := late.arrive(t, kept, back)
		if err != nil {
			t.Fatal(err)
		}
		var id *auth.Identity
		for _, server := range []*world{w, late, w.another()} {
			got, err := server.auth.Session(t.Context(), text, home)
			if err != nil {
				t.Fatal(err)
			}
			id = got.Identity
			if got.Kind != auth.KindTenant || got.Tenant != w.tenant.ID || got.TenantName != w.tenant.Name || id == nil || id.Issuer != p.Issuer || id.Subject != "ana" ||
				got.ID() != id.ID || got.KeyID+got.MemberID+got.LinkID+got.TokenID != "" || got.SessionID != s.ID {
				t.Errorf("the session gives %+v", got)
			}
			if g := got.Grants; !g.May(auth.MustScope("queues:write")) || g.May(auth.MustScope("keys:write")) || !g.ExpiresAt.IsZero() {
				t.Errorf("the session may %v until %s", g.Allowed().Names(), g.ExpiresAt)
			}
		}
		list, err := w.auth.Sessions(t.Context(), w.tenant.ID, "")
		if err != nil || len(list) != 1 {
			t.Fatalf("sessions %+v, %v", list, err)
		}
		want := auth.Session{ID: s.ID, Kind: auth.KindTenant, Tenant: w.tenant.ID, OwnerID: id.ID, OwnerName: "Ana", Identity: id, Agent: "browser", Address: home,
			CreatedAt: start.UTC(), LastUsedAt: start.UTC(), ExpiresAt: start.Add(ssoLife).UTC()}
		got := list[0].Bare()
		if diff := cmp.Diff(*want.Identity, *got.Identity); diff != "" {
			t.Errorf("the identity (-want +got):\n%s", diff)
		}
		want.Identity, got.Identity = nil, nil
		if diff := cmp.Diff(fmt.Sprintf("%+v", want), fmt.Sprintf("%+v", got)); diff != "" {
			t.Errorf("the session (-want +got):\n%s", diff)
		}
		if _, _, err := w.arrive(t, kept, back); !errors.Is(err, oidc.ErrSignInRefused) {
			t.Errorf("the same way once more: %v", err)
		}
		w.checkSession(t, "afterwards", text, nil)
		if err := w.EndSessions(t.Context(), list...); err != nil {
			t.Fatal(err)
		}
		w.checkSession(t, "ended, here", text, auth.ErrSessionEnded)
		w.clock.Advance(4 * time.Second)
		late.checkSession(t, "ended 4 s ago, there", text, auth.ErrSessionEnded)
	})
}

func TestOnlyWhoHasBegunASignInEndsIt(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	p := w.doorman(t, nil)
	kept, back := w.depart(t, p)
	theirs, stranger := w.depart(t, p)
	foreign := newMemoryWorld(t)
	alien, _ := foreign.depart(t, foreign.doorman(t, nil))
	for what, c := range map[string]struct{ kept, state string }{
		"nothing":              {"", back.Get("state")},
		"no state":             {kept, ""},
		"a stranger's state":   {kept, stranger.Get("state")},
		"a stranger's browser": {theirs, back.Get("state")},
		"another installation": {alien, back.Get("state")},
		"a letter less":        {kept[:len(kept)-1], back.Get("state")},
		"a letter more":        {kept + "A", back.Get("state")},
		"a changed one":        {kept[:40] + strings.ToUpper(kept[40:60]) + kept[60:], back.Get("state")},
		"no such text":         {"!", back.Get("state")},
		"far too long":         {strings.Repeat("A", 5000), back.Get("state")},
	} {
		if _, err := w.auth.Pending(t.Context(), c.kept, c.state); !errors.Is(err, auth.ErrSignInExpired) {
			t.Errorf("%s: %v, want %v", what, err, auth.ErrSignInExpired)
		}
	}
	w.clock.Advance(auth.PendingLife - time.Second)
	if _, _, err := w.arrive(t, kept, back); err != nil { // whom none of this has put out
		t.Errorf("in the last second: %v", err)
	}
	w.clock.Advance(time.Second)
	if _, _, err := w.arrive(t, theirs, stranger); !errors.Is(err, auth.ErrSignInExpired) {
		t.Errorf("after ten minutes: %v", err)
	}
	if _, _, _, err := w.auth.BeginSignIn(t.Context(), "https://evil.example", callback, console); !errors.Is(err, auth.ErrProviderNotFound) {
		t.Errorf("with a provider of nobody: %v", err)
	}
}

func TestWhomAProviderDoesNotLetInGetsNoSession(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	p := w.doorman(t, nil)
	for what, c := range map[string]struct {
		claims map[string]any
		want   error
	}{
		"no tenant":         {map[string]any{"org": nil}, oidc.ErrRefused},
		"an unknown tenant": {map[string]any{"org": "nobody"}, oidc.ErrRefused},
		"no role":           {map[string]any{"roles": []string{"admin"}}, oidc.ErrRefused},
		"another nonce":     {map[string]any{"nonce": "x"}, oidc.ErrRefused},
		"another audience":  {map[string]any{"aud": "x"}, oidc.ErrRefused},
		"expired":           {map[string]any{"exp": start.Unix()}, oidc.ErrSignInRefused},
		"another issuer":    {map[string]any{"iss": "x"}, oidc.ErrSignInRefused},
	} {
		w.knows(p, c.claims)
		if _, _, err := w.tryLogin(t, p); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", what, err, c.want)
		}
	}
	w.knows(p, nil)
	p.Deny("access_denied")
	if _, _, err := w.tryLogin(t, p); !errors.Is(err, auth.ErrSignInCancelled) {
		t.Errorf("who is denied: %v", err)
	}
	p.Deny("invalid_scope")
	if _, _, err := w.tryLogin(t, p); !errors.Is(err, oidc.ErrSignInRefused) {
		t.Errorf("a client that asks for too much: %v", err)
	}
	if got := w.entries(t); len(got) > 0 {
		t.Errorf("there are sessions: %v", got)
	}
}

// A code of nobody costs the provider a question, so one network asks ten of them; and who signs in is not counted.
func TestNobodyGuessesCodes(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	p := w.doorman(t, nil)
	guess := func(address string) error {
		kept, back := w.depart(t, p)
		pending, err := w.auth.Pending(t.Context(), kept, back.Get("state"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.auth.Arrive(t.Context(), pending, oidc.Answer{Code: "x", Issuer: p.Issuer}, address)
		return err
	}
	for range 30 {
		w.login(t, p)
	}
	for range 10 {
		if err := guess(home); !errors.Is(err, oidc.ErrSignInRefused) {
			t.Fatalf("a guess: %v", err)
		}
	}
	if err := guess(home); errs.KindOf(err) != errs.RateLimited {
		t.Errorf("one guess more: %v", err)
	}
	if err := guess("192.0.2.99"); !errors.Is(err, oidc.ErrSignInRefused) {
		t.Errorf("from another network: %v", err)
	}
	w.clock.Advance(10 * time.Minute)
	w.login(t, p)
}

func TestTheSessionOfAnIdentityEndsByItself(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		p := w.doorman(t, map[string]any{"exp": start.Add(5 * time.Minute).Unix()}) // of the token, which is not that of the session
		_, text := w.login(t, p)
		there := w.another()
		for range 7 {
			w.clock.Advance(time.Hour)
			w.checkSession(t, "in use", text, nil)
		}
		w.clock.Advance(time.Hour - time.Second)
		there.checkSession(t, "in its last second", text, nil)
		w.clock.Advance(time.Second)
		w.checkSession(t, "at its end", text, auth.ErrSessionEnded)
		there.checkSession(t, "at its end, there", text, auth.ErrSessionEnded)
	})
}

func TestTheSessionsOfAProviderEndWithIt(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	p := w.doorman(t, nil)
	_, text := w.login(t, p)
	_, ofKey := w.open(t, w.newKey(t).Secret)
	kept, back := w.depart(t, p)
	for what, providers := range map[string]*auth.Providers{
		"no provider":                   nil,
		"nobody signs in with it":       {Verifier: w.providers.Verifier, TenantClaim: "org", RoleClaim: "roles"},
		"people sign in with other one": {Verifier: w.providers.Verifier, SignIn: []auth.Provider{{Issuer: "https://other.example"}}},
	} {
		later := w.another()
		later.auth = auth.NewAuthenticator(later.KeyStore, providers)
		later.checkSession(t, what, text, auth.ErrSessionEnded)
		later.checkSession(t, what+", with a key", ofKey, nil)
		if got := later.sessions(t, ""); len(got) != 1 {
			t.Errorf("%s: sessions %v, want that of the key", what, got)
		}
		if _, _, err := later.arrive(t, kept, back); !errors.Is(err, auth.ErrSignInExpired) {
			t.Errorf("%s: who was on the way gets %v", what, err)
		}
	}
	w.another().checkSession(t, "it is there", text, nil)
}

func TestIdentitiesHaveALimitOfSessions(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		p := w.doorman(t, map[string]any{"sub": "bob"})
		_, theirs := w.login(t, p)
		w.knows(p, nil)
		s, first := w.login(t, p)
		for range auth.MaxSessionsOfOne {
			w.clock.Advance(time.Second)
			w.login(t, p)
		}
		w.clock.Advance(4 * time.Second)
		w.checkSession(t, "the oldest", first, auth.ErrSessionEnded)
		w.checkSession(t, "another's", theirs, nil)
		if got := len(w.sessions(t, s.OwnerID)); got != auth.MaxSessionsOfOne {
			t.Errorf("%d sessions, want %d", got, auth.MaxSessionsOfOne)
		}
	})
}

// Between the token and the session the tenant may go.
func TestNoSessionIsOpenedInATenantThatIsGone(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		p := w.doorman(t, nil)
		_, before := w.login(t, p)
		kept, back := w.depart(t, p)
		pending, err := w.auth.Pending(t.Context(), kept, back.Get("state"))
		if err != nil {
			t.Fatal(err)
		}
		who, err := w.auth.Arrive(t.Context(), pending, oidc.Answer{Code: back.Get("code"), Issuer: p.Issuer}, home)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.tenants.Delete(t.Context(), w.tenant.Name, tenants.Condition{}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.auth.OpenIdentitySession(t.Context(), who, "browser", home); !errors.Is(err, auth.ErrSignInFailed) {
			t.Errorf("the tenant is gone: %v", err)
		}
		w.checkSession(t, "one of before", before, auth.ErrSessionEnded)
		if left := w.entries(t); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

func TestALostAnswerSignsInOnce(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *world) {
		p := w.doorman(t, nil)
		w.login(t, p)
		w.net.lose.Store(1)
		_, text := w.login(t, p)
		w.checkSession(t, "after a lost answer", text, nil)
		if got := w.sessions(t, ""); len(got) != 2 {
			t.Errorf("sessions %v, want two", got)
		}
	})
}

// What cannot be shown is no name, and a session needs none.
func TestAProviderCallsSomebodyAsItLikes(t *testing.T) {
	t.Parallel()
	w := newMemoryWorld(t)
	p := w.doorman(t, nil)
	for _, c := range []struct {
		claims map[string]any
		want   string
	}{
		{map[string]any{"name": nil, "preferred_username": "ana7", "email": "ana@example.com"}, "ana7"},
		{map[string]any{"name": nil, "email": "ana@example.com"}, "ana@example.com"},
		{map[string]any{"name": 7}, ""},
		{map[string]any{"name": "a\nb"}, ""},
		{map[string]any{"name": strings.Repeat("x", 129)}, ""},
		{map[string]any{"name": "<b>Ána</b>"}, "<b>Ána</b>"},
	} {
		w.knows(p, c.claims)
		if s, _ := w.login(t, p); s.OwnerName != c.want {
			t.Errorf("%v: called %q, want %q", c.claims, s.OwnerName, c.want)
		}
	}
}
