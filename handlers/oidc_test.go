package handlers_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/oidc"
	"github.com/sluicemq/sluice/internal/oidc/oidctest"
)

const (
	beginPath    = "/v1/session/oidc"
	callbackPath = "/v1/session/oidc/callback"
)

// doorman has the server let in whom a new identity provider knows: ana, a developer of the test's tenant, with other claims.
func (h *apiTest) doorman(t *testing.T, others map[string]any) *oidctest.Provider {
	p := oidctest.Start(t)
	h.api.Auth = auth.NewAuthenticator(h.keys, &auth.Providers{TenantClaim: auth.DefaultTenantClaim, RoleClaim: auth.DefaultRoleClaim,
		SignIn: []auth.Provider{{Issuer: p.Issuer, Name: "The company"}}, SessionLife: 12 * time.Hour,
		Verifier: oidc.New(oidc.Config{Issuers: []string{p.Issuer}, Audience: oidctest.Audience, Egress: p.Egress(t), Clock: h.clock, Scopes: "openid",
			Clients: []oidc.Client{{Issuer: p.Issuer, ID: oidctest.ClientID, Secret: oidctest.ClientSecret}}})})
	h.knows(p, others)
	return p
}

func (h *apiTest) knows(p *oidctest.Provider, others map[string]any) {
	p.LetIn(func() jwt.MapClaims {
		c := map[string]any{"sluice_tenant": h.tenant.Name, "sluice_role": "developer", "name": "Ana"}
		for name, v := range others {
			c[name] = v
		}
		return p.Claims(h.clock.Now(), c)
	})
}

// visit asks as a browser does that shows a cookie, or none.
func (h *apiTest) visit(target string, kept *http.Cookie, headers ...string) *answer {
	h.Helper()
	if kept != nil {
		headers = append(headers, "Cookie", kept.Name+"="+kept.Value)
	}
	return h.do("GET", target, "", append(headers, "Authorization", "")...)
}

// depart begins to sign in, and returns what the browser keeps and where the provider sends it.
func (h *apiTest) depart(t *testing.T, p *oidctest.Provider, to string, headers ...string) (kept *http.Cookie, back string) {
	h.Helper()
	a := h.visit(beginPath+"?"+url.Values{"issuer": {p.Issuer}, "to": {to}}.Encode(), nil, headers...).is(303)
	back = p.Visit(t, a.header.Get("Location"))
	return a.cookie(), back
}

// comeBack goes where the provider sends a browser.
func (h *apiTest) comeBack(kept *http.Cookie, back string, headers ...string) *answer {
	h.Helper()
	u, err := url.Parse(back)
	h.must(err)
	return h.visit(u.RequestURI(), kept, append(headers, "Sec-Fetch-Site", "cross-site")...).is(303)
}

// cookies are those that an answer sets, by name.
func (a *answer) cookies() map[string]*http.Cookie {
	out := map[string]*http.Cookie{}
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		out[c.Name] = c
	}
	return out
}

const (
	sessionName = "__Host-sluice-session"
	pendingName = "__Host-sluice-sign-in"
)

// refused fails unless an answer leads to an address with this code, without a session.
func (a *answer) refused(what, to, code string) {
	a.Helper()
	if got, want := a.is(303).header.Get("Location"), to+"#sign_in_failed="+code; got != want || a.cookies()[sessionName] != nil {
		a.Errorf("%s: leads to %s with %v, want %s and no session", what, got, a.cookies(), want)
	}
}

func TestABrowserSignsInWithAnIdentityProvider(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	p := h.doorman(t, nil)
	var known handlers.SignInProviders
	h.visit("/v1/session/oidc/providers", nil).is(200).into(&known)
	diff(t, "the providers", []handlers.SignInProvider{{Issuer: p.Issuer, Name: "The company"}}, known.Data)

	to := "/console/t/" + h.tenant.Name + "/queues?q=a%20b&sort=-name"
	kept, back := h.depart(t, p, to, "Sec-Fetch-Site", "same-origin")
	diff(t, "what the browser keeps", &http.Cookie{Name: pendingName, Value: kept.Value, Path: "/", MaxAge: 600, Secure: true, HttpOnly: true,
		SameSite: http.SameSiteLaxMode, Raw: kept.Raw}, kept)
	a := h.comeBack(kept, back)
	diff(t, "where it goes", to, a.header.Get("Location"))
	cookie, pending := a.cookies()[sessionName], a.cookies()[pendingName]
	if cookie == nil || cookie.SameSite != http.SameSiteStrictMode || !cookie.HttpOnly || !cookie.Secure || cookie.MaxAge != 43200 {
		t.Fatalf("the session is %+v", cookie)
	}
	if pending == nil || pending.MaxAge >= 0 || pending.Value != "" {
		t.Errorf("the browser keeps %+v", pending)
	}
	s := session{cookie: cookie}
	h.do("GET", "/v1/session", "", s.headers()...).is(200).into(&s.Session)
	id := s.Identity
	if id == nil || id.Name != "Ana" || id.Issuer != p.Issuer || id.Subject != "ana" || !strings.HasPrefix(id.ID, "oid_") {
		t.Fatalf("the identity is %+v", id)
	}
	diff(t, "the session", handlers.Session{ID: s.ID, Kind: "tenant", Tenant: &handlers.CallerTenant{Name: h.tenant.Name, ID: h.tenant.ID.String(), AccountNumber: h.tenant.AccountNumber},
		Identity: id, Scopes: []string{"developer"}, Allowed: s.Allowed, CreatedAt: *instant(0), ExpiresAt: *instant(12 * time.Hour), IdleTimeout: 43200}, s.Session)

	h.json("PATCH", path, `{"delay":5}`, s.headers("Sec-Fetch-Site", "same-origin")...).is(200)
	h.json("PATCH", path, `{"delay":6}`, s.headers("Sec-Fetch-Site", "cross-site")...).problem(403, "cross_origin")
	h.do("GET", "/v1/tenants", "", s.headers()...).problem(403, "permission_denied")
	h.json("POST", "/v1/tokens", "{}", s.headers()...).problem(403, "permission_denied")
	h.json("PUT", "/v1/session/password", `{"current":"0123456789","new":"9876543210"}`, s.headers()...).problem(404, "member_not_found")
	var list handlers.Page[handlers.OpenSession]
	h.do("GET", "/v1/sessions", "", s.headers()...).is(200).into(&list)
	if len(list.Data) != 1 || list.Data[0].Identity == nil || *list.Data[0].Identity != *id || list.Data[0].Key != nil || list.Data[0].PortalLink != nil || !list.Data[0].Current {
		t.Errorf("its sessions are %+v", list.Data)
	}
	var who handlers.Caller
	h.do("GET", "/v1/whoami", "", s.headers()...).is(200).into(&who)
	if who.Key.ID != id.ID || who.Identity == nil || *who.Identity != id.CallerIdentity || who.Session == nil || who.Key.ExpiresAt != nil {
		t.Errorf("whoami %+v", who)
	}

	var log []string
	for _, e := range h.audit("") {
		by := "nobody"
		if e.Actor.Identity != nil {
			by = e.Actor.Identity.Subject
		}
		log = append(log, fmt.Sprint(e.Operation, " by ", by, " ", e.Outcome, " ", e.Target.Name != nil && *e.Target.Name == s.ID))
	}
	for _, want := range []string{"finishSignIn by ana done true", "updateQueue by ana done false"} {
		if !strings.Contains(strings.Join(log, "\n"), want) {
			t.Errorf("the audit log lacks %q:\n%s", want, strings.Join(log, "\n"))
		}
	}
	u, err := url.Parse(back)
	h.must(err)
	for what, secret := range map[string]string{"the session": cookie.Value, "what was kept": kept.Value, "the code": u.Query().Get("code"), "the state": u.Query().Get("state")} {
		if strings.Contains(h.log.String(), secret) || strings.Contains(fmt.Sprint(h.audit("")), secret) || strings.Contains(a.header.Get("Location"), secret) {
			t.Errorf("a log or an address holds %s", what)
		}
	}

	h.do("DELETE", "/v1/session", "", s.headers()...).is(204)
	h.do("GET", path, "", s.headers()...).problem(401, "session_ended")
	h.comeBack(kept, back).refused("the same way once more", to, "sign_in_refused") // the provider has seen the code
}

// Who signs in as an owner makes what lasts, as a member does, and nothing that is the operators'.
func TestAnOwnerOfAnIdentityProviderIsAnOwner(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	p := h.doorman(t, map[string]any{"sluice_role": []string{"owner"}})
	kept, back := h.depart(t, p, "/console/")
	s := session{cookie: h.comeBack(kept, back).cookies()[sessionName]}
	var made handlers.CreatedKey
	h.json("POST", "/v1/keys", `{"name":"ci","scopes":["viewer"]}`, s.headers()...).is(201).into(&made)
	if made.ExpiresAt != nil {
		t.Errorf("a key that was made with it ends at %s", made.ExpiresAt)
	}
	h.json("POST", "/v1/members", fmt.Sprintf(`{"email":"ana@%s.example","role":"viewer"}`, h.tenant.Name), s.headers()...).is(201)
	h.json("POST", "/v1/portal_links", `{"role":"viewer"}`, s.headers()...).is(201)
	for _, path := range []string{"/v1/tenants", "/v1/operators", "/v1/operator_keys", "/v1/system/stats"} {
		h.do("GET", path, "", s.headers()...).problem(403, "permission_denied")
	}
	h.do("GET", "/v1/queues", "", s.headers("Tenant", h.newTenant().Name)...).problem(404, "tenant_not_found")
	var list handlers.Page[handlers.OpenSession]
	other := h.signIn(h.key)
	h.do("GET", "/v1/sessions", "", s.headers()...).is(200).into(&list)
	if len(list.Data) != 2 {
		t.Errorf("an owner sees %d sessions, want two", len(list.Data))
	}
	h.do("DELETE", "/v1/sessions/"+other.ID, "", s.headers()...).is(204)
	h.do("GET", "/v1/session", "", other.headers()...).problem(401, "session_ended")
	h.do("DELETE", "/v1/sessions/"+list.Data[0].ID, "", as(h.key)...)
	h.do("DELETE", "/v1/sessions/"+list.Data[1].ID, "", as(h.key)...)
	h.do("GET", "/v1/session", "", s.headers()...).problem(401, "session_ended")
	h.do("GET", "/v1/queues", "", as(made.Key)...).is(200) // and what was made with it goes on
}

func TestABrowserThatHasNotBegunEndsNothing(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	p := h.doorman(t, nil)
	kept, back := h.depart(t, p, "/console/x")
	other, theirs := h.depart(t, p, "/console/y")
	for what, a := range map[string]*answer{
		"no cookie":              h.comeBack(nil, back),
		"a stranger's cookie":    h.comeBack(other, back),
		"a stranger's answer":    h.comeBack(kept, theirs),
		"a session's cookie":     h.comeBack(&http.Cookie{Name: pendingName, Value: h.signIn(h.key).cookie.Value}, back),
		"two cookies":            h.comeBack(&http.Cookie{Name: pendingName, Value: kept.Value + "; " + pendingName + "=" + other.Value}, back),
		"two codes":              h.comeBack(kept, back+"&code=x"),
		"two states":             h.comeBack(kept, back+"&state=x"),
		"nothing at all":         h.comeBack(nil, callbackPath),
		"no address":             h.comeBack(kept, callbackPath+"?state=%zz"),
		"a stranger's complaint": h.comeBack(kept, callbackPath+"?error=access_denied&state=x"),
	} {
		a.refused(what, "/console/", "sign_in_expired")
		if len(a.cookies()) > 0 {
			t.Errorf("%s: the browser is to keep %v", what, a.cookies())
		}
	}
	if a := h.comeBack(kept, back); a.cookies()[sessionName] == nil { // none of this has put anybody out
		t.Errorf("who has begun is led to %s", a.header.Get("Location"))
	}
	h.clock.Advance(10 * time.Minute)
	h.comeBack(other, theirs).refused("too late", "/console/", "sign_in_expired")
}

// Whoever is sent to a page of another site just after he has signed in, gives that one what he would give us.
func TestNobodyIsLedOutOfTheConsole(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	p := h.doorman(t, nil)
	begin := func(to string) *answer {
		return h.visit(beginPath+"?issuer="+url.QueryEscape(p.Issuer)+"&to="+url.QueryEscape(to), nil)
	}
	for _, to := range []string{
		"", "/", "console/", "/console", "https://evil.example/console/", "//evil.example/console/", "/\\evil.example", "/console/\\..\\..", "/console/../v1/session/oidc",
		"/console/..", "/console/%2e%2e/v1/whoami", "/console/..%2f..%2fv1", "/console/%5c..", "javascript:alert(1)", "/console/\r\nSet-Cookie: x=y", "/console/ ", "/console/ü",
		"/console/#x", "/console/?a#", "/consolex/", "/console:@evil.example/", "/console/%zz", "/console/" + strings.Repeat("x", 1024),
	} {
		p := begin(to).problem(422, "validation_failed")
		if len(p.Errors) != 1 || p.Errors[0].Query != "to" {
			t.Errorf("%q: %+v", to, p)
		}
	}
	for _, to := range []string{"/console/", "/console/t/acme/queues", "/console/t/acme/queues/a%2Fb?q=//evil.example&x=..", "/console/a//b", "/console/?" + strings.Repeat(`"`, 512) + strings.Repeat("&", 502)} {
		kept, back := h.depart(t, p, to)
		if n := len(kept.Name) + len(kept.Value); n > 4096 {
			t.Errorf("%s: a cookie of %d bytes, which browsers do not keep", to, n)
		}
		diff(t, "where it goes", to, h.comeBack(kept, back).header.Get("Location"))
	}
	h.visit(beginPath, nil).problem(422, "validation_failed")
	h.visit(beginPath+"?issuer="+url.QueryEscape(p.Issuer)+"&redirect_uri=x", nil).problem(422, "validation_failed")
	h.visit(beginPath+"?issuer=https://evil.example", nil).problem(404, "identity_provider_not_found")
	h.visit(beginPath+"?issuer="+url.QueryEscape(p.Issuer), nil, "Sec-Fetch-Site", "cross-site").problem(403, "cross_origin")
	a := h.visit(beginPath+"?issuer="+url.QueryEscape(p.Issuer), nil).is(303)
	diff(t, "without an address", "/console/", h.comeBack(a.cookie(), p.Visit(t, a.header.Get("Location"))).header.Get("Location"))
}

func TestWhoIsNotLetInIsToldWhyInWords(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	p := h.doorman(t, nil)
	const to = "/console/t/x"
	try := func(others map[string]any) *answer {
		h.Helper()
		h.knows(p, others)
		kept, back := h.depart(t, p, to)
		return h.comeBack(kept, back)
	}
	try(map[string]any{"sluice_role": "admin"}).refused("no role", to, "token_refused")
	try(map[string]any{"sluice_tenant": "nobody"}).refused("no tenant", to, "token_refused")
	try(map[string]any{"nonce": "x"}).refused("another nonce", to, "token_refused")
	try(map[string]any{"aud": "x"}).refused("another audience", to, "token_refused")
	try(map[string]any{"exp": h.clock.Now().Add(-time.Second).Unix()}).refused("an expired token", to, "sign_in_refused")
	p.Deny("access_denied")
	kept, back := h.depart(t, p, to)
	a := h.comeBack(kept, back)
	a.refused("who is denied", to, "sign_in_cancelled")
	if a.cookies()[pendingName] == nil {
		t.Error("the browser keeps what is over")
	}
	p.Deny(`"><script>alert(1)</script>`)
	kept, back = h.depart(t, p, to)
	h.comeBack(kept, back).refused("a provider of ill will", to, "sign_in_refused")

	h.asOperator("POST", "/v1/tenants/"+h.tenant.Name+"/suspend", `{"reason":"a bill"}`).is(200)
	try(nil).refused("a suspended tenant", to, "tenant_suspended")
	h.asOperator("POST", "/v1/tenants/"+h.tenant.Name+"/resume", "").is(200)
	s := session{cookie: try(nil).cookies()[sessionName]}
	h.do("GET", "/v1/session", "", s.headers()...).is(200)
	h.asOperator("POST", "/v1/tenants/"+h.tenant.Name+"/suspend", `{"reason":"a bill"}`).is(200)
	h.do("GET", "/v1/queues", "", s.headers()...).problem(403, "tenant_suspended")
	h.do("DELETE", "/v1/session", "", s.headers()...).is(204)
	h.asOperator("POST", "/v1/tenants/"+h.tenant.Name+"/resume", "").is(200)

	kept, back = h.depart(t, p, to)
	p.Down.Store(true)
	h.comeBack(kept, back).refused("a provider that is away", to, "issuer_unavailable")
	p.Down.Store(false)
	if !strings.Contains(h.log.String(), "sluice_role") || !strings.Contains(h.log.String(), "503") {
		t.Errorf("the log does not say why:\n%s", h.log)
	}
	away := h.doorman(t, nil)
	away.Down.Store(true)
	a = h.visit(beginPath+"?issuer="+url.QueryEscape(away.Issuer)+"&to="+url.QueryEscape(to), nil)
	a.refused("a provider that was never there", to, "issuer_unavailable")
	if len(a.cookies()) > 0 {
		t.Errorf("the browser is to keep %v", a.cookies())
	}
}

func TestWhereAProviderSendsPeopleBackTo(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	p := h.doorman(t, nil)
	begin := func(host string) string {
		h.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "GET", h.url+beginPath+"?issuer="+url.QueryEscape(p.Issuer), nil)
		h.must(err)
		if host != "" {
			req.Host = host
		}
		u, err := url.Parse(h.send(req, "", "Authorization", "").is(303).header.Get("Location"))
		h.must(err)
		return u.Query().Get("redirect_uri")
	}
	diff(t, "by the request", h.url+callbackPath, begin(""))
	if got := h.visit(beginPath+"?issuer="+url.QueryEscape(p.Issuer), nil); got.cookie().Name != pendingName {
		t.Errorf("the cookie is %s", got.cookie().Name)
	}
	public, err := url.Parse("https://queues.example/mq")
	h.must(err)
	h.api.PublicURL, h.api.BasePath, h.api.HTTPS = public, "/mq", func(*http.Request) bool { return true }
	diff(t, "by the public address", "https://queues.example/mq"+callbackPath, begin("evil.example"))

	// A proxy takes the prefix away from what comes, and nobody gives it back to where a browser is led.
	kept, back := h.depart(t, p, "/console/t/x")
	a := h.comeBack(kept, strings.Replace(back, "/mq/", "/", 1))
	diff(t, "below a prefix", "/mq/console/t/x", a.header.Get("Location"))
	h.comeBack(kept, strings.Replace(back, "/mq/", "/", 1)).refused("below a prefix", "/mq/console/t/x", "sign_in_refused")
}

func TestWithoutTLSNobodyIsLedToAProvider(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	p := h.doorman(t, nil)
	begin := func() *answer {
		req, err := http.NewRequestWithContext(t.Context(), "GET", h.url+beginPath+"?issuer="+url.QueryEscape(p.Issuer), nil)
		h.must(err)
		req.Host = "queues.example"
		return h.send(req, "", "Authorization", "")
	}
	a := begin()
	a.refused("over a connection that others hear", "/console/", "insecure_connection")
	if len(a.cookies()) > 0 {
		t.Errorf("the browser is to keep %v", a.cookies())
	}
	h.api.InsecureCookies = true
	a = begin().is(303)
	if c := a.cookie(); c.Name != "sluice-sign-in" || c.Secure {
		t.Errorf("the cookie is %+v", c)
	}
}
