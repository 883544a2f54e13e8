package server_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
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

// people are the settings of a server with which people sign in whom a provider knows.
func people(p *oidctest.Provider) func(*server.Config) {
	return func(c *server.Config) {
		c.OIDCIssuers, c.OIDCAudience = []string{p.Issuer}, oidctest.Audience
		c.OIDCClientIDs, c.OIDCClientSecrets, c.OIDCNames = []string{oidctest.ClientID}, server.SecretList{oidctest.ClientSecret}, []string{"The company"}
		c.OIDCAllow, c.EgressAllowHTTP = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, true
	}
}

// lead asks as a browser does that has cookies, and returns where it is led and the cookies that it gets.
func lead(tb testing.TB, address string, cookies map[string]string) (to string, got map[string]string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, address, nil)
	if err != nil {
		tb.Fatal(err)
	}
	for name, value := range cookies {
		req.Header.Add("Cookie", name+"="+value)
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	if res.StatusCode != http.StatusSeeOther {
		tb.Fatalf("%s: %d %s", address, res.StatusCode, text)
	}
	got = map[string]string{}
	for _, c := range res.Cookies() {
		got[c.Name] = c.Value
	}
	return res.Header.Get("Location"), got
}

// Behind a proxy that cuts a prefix off, each request meets another server; and between leaving and coming back all start anew.
func TestSomebodyLeavesFromOneServerAndComesBackToAnother(t *testing.T) {
	t.Parallel()
	redis, p := redistest.Start(t, redistest.Options{}), oidctest.StartPlain(t)
	var behind atomic.Pointer[url.URL]
	proxy := httptest.NewServer(http.StripPrefix("/mq", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(behind.Load()) }}))
	t.Cleanup(proxy.Close)
	start := func(options ...servertest.Option) *servertest.Server {
		return servertest.New(t, append(options, servertest.WithRedis(redis.URL()), quiet, people(p), func(c *server.Config) {
			c.PublicURL = mustURL(t, proxy.URL+"/mq")
		})...)
	}
	a := start()
	tenant, _ := newTenant(t, a, "acme")
	must(t, http.StatusCreated, nil, http.MethodPut, a.URL()+"/v1/queues/orders", tenant, "")
	p.LetIn(func() jwt.MapClaims { return identity(p, "acme", "viewer") })

	behind.Store(mustURL(t, a.URL()))
	at, kept := lead(t, proxy.URL+"/mq/v1/session/oidc?issuer="+url.QueryEscape(p.Issuer)+"&to=/console/t/acme/queues", nil)
	back := p.Visit(t, at)
	if !strings.HasPrefix(back, proxy.URL+"/mq/v1/session/oidc/callback?") {
		t.Fatalf("the provider leads to %s", back)
	}
	if err := a.Stop(); err != nil {
		t.Fatal(err)
	}
	b, c := start(), start()
	behind.Store(mustURL(t, b.URL()))
	if to, got := lead(t, back, nil); to != "/mq/console/#sign_in_failed=sign_in_expired" || len(got) > 0 {
		t.Errorf("another browser is led to %s with %v", to, got)
	}
	to, got := lead(t, back, kept)
	if to != "/mq/console/t/acme/queues" {
		t.Fatalf("led to %s", to)
	}
	session := got["__Host-sluice-session"]
	for _, s := range []*servertest.Server{b, c} {
		if status, _ := browse(t, http.MethodGet, s.URL()+"/v1/queues/orders", session, ""); status != http.StatusOK {
			t.Errorf("with the session: %d", status)
		}
		if status, _ := browse(t, http.MethodDelete, s.URL()+"/v1/queues/orders", session, ""); status != http.StatusForbidden {
			t.Errorf("a viewer who deletes: %d", status)
		}
	}
	without := servertest.New(t, servertest.WithRedis(redis.URL()), quiet) // where nobody signs in so any more
	if status, _ := browse(t, http.MethodGet, without.URL()+"/v1/session", session, ""); status != http.StatusUnauthorized {
		t.Errorf("without the provider: %d", status)
	}
	if status, _ := browse(t, http.MethodDelete, b.URL()+"/v1/session", session, ""); status != http.StatusNoContent {
		t.Errorf("sign out: %d", status)
	}
	within(t, 5*time.Second, "the session stops", func() bool {
		status, _ := browse(t, http.MethodGet, c.URL()+"/v1/session", session, "")
		return status == http.StatusUnauthorized
	})
}

// Who waits for a provider that never answers is told so in the end, and nobody else waits with him.
func TestAProviderThatHangsHoldsNobodyElseUp(t *testing.T) {
	t.Parallel()
	p := oidctest.StartPlain(t)
	s := servertest.New(t, people(p))
	p.LetIn(func() jwt.MapClaims { return identity(p, "default", "owner") })
	asked, gate := make(chan struct{}), make(chan struct{})
	p.Serve(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/token" {
			close(asked)
			<-gate
		}
		return false
	})
	at, kept := lead(t, s.URL()+"/v1/session/oidc?issuer="+url.QueryEscape(p.Issuer), nil)
	back := p.Visit(t, at)
	led := make(chan string, 1)
	go func() {
		to, _ := lead(t, back, kept)
		led <- to
	}()
	<-asked
	must(t, http.StatusOK, nil, http.MethodGet, s.URL()+"/v1/queues", s.Key, "")
	select {
	case to := <-led:
		if to != "/console/#sign_in_failed=issuer_unavailable" {
			t.Errorf("led to %s", to)
		}
	case <-time.After(20 * time.Second):
		t.Error("still waiting after 20 s")
	}
	close(gate)
	p.Serve(nil)
	at, kept = lead(t, s.URL()+"/v1/session/oidc?issuer="+url.QueryEscape(p.Issuer), nil)
	back = p.Visit(t, at)
	_, got := lead(t, back, kept)
	if got["__Host-sluice-session"] == "" {
		t.Error("nobody signs in afterwards")
	}
	if err := s.Stop(); err != nil { // so that all of the log is there
		t.Fatal(err)
	}
	u := mustURL(t, back)
	for _, secret := range []string{kept["__Host-sluice-sign-in"], got["__Host-sluice-session"], u.Query().Get("code"), u.Query().Get("state"), oidctest.ClientSecret, url.QueryEscape(oidctest.ClientSecret)} {
		if strings.Contains(s.Log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
	if !strings.Contains(s.Log.String(), "issuer_unavailable") || !strings.Contains(s.Log.String(), "/v1/session/oidc/callback") {
		t.Errorf("the log does not say what happened:\n%s", s.Log)
	}
}
