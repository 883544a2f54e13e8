package handlers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/oidc"
	"github.com/sluicemq/sluice/internal/oidc/oidctest"
)

// trust has the server believe a new identity provider, and returns it with what signs somebody in to a tenant.
func (h *apiTest) trust(t *testing.T) (*oidctest.Provider, func(tenant, role string) []string) {
	p := oidctest.Start(t)
	h.api.Auth = auth.NewAuthenticator(h.keys, &auth.Providers{TenantClaim: auth.DefaultTenantClaim, RoleClaim: auth.DefaultRoleClaim,
		Verifier: oidc.New(oidc.Config{Issuers: []string{p.Issuer}, Audience: oidctest.Audience, Egress: p.Egress(t), Clock: h.clock})})
	return p, func(tenant, role string) []string {
		return as(p.Token(t, p.Claims(h.clock.Now(), map[string]any{"sluice_tenant": tenant, "sluice_role": role})))
	}
}

func TestATokenOfAnIdentityProviderIsACredential(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	p, token := h.trust(t)
	developer, viewer := token(h.tenant.Name, "developer"), token(h.tenant.Name, "viewer")
	var who handlers.Caller
	h.do("GET", "/v1/whoami", "", developer...).is(200).into(&who)
	diff(t, "whoami", &handlers.CallerIdentity{ID: who.Key.ID, Issuer: p.Issuer, Subject: "ana"}, who.Identity)
	if who.Tenant == nil || who.Tenant.Name != h.tenant.Name || who.Token != nil || who.Key.ExpiresAt == nil {
		t.Errorf("whoami %+v", who)
	}
	h.json("PATCH", path, `{"trace_retention":"4d"}`, developer...).is(200)
	var sent handlers.SentMessage
	h.json("POST", path+"/messages", `{"body":"x"}`, developer...).is(201).into(&sent)
	var line handlers.Timeline
	h.do("GET", path+"/messages/"+sent.ID+"/timeline", "", developer...).is(200).into(&line)
	diff(t, "who sent it", &handlers.TimelineActor{Kind: "tenant", IdentityID: who.Identity.ID, SourceIP: "127.0.0.1"}, line.Events[0].Actor)
	h.json("PATCH", path, `{"delay":5}`, developer...).is(200)
	h.json("PATCH", path, `{"delay":6}`, viewer...).problem(403, "permission_denied")
	h.do("GET", path, "", token(h.newTenant().Name, "owner")...).problem(404, "queue_not_found")
	h.do("GET", path, "", append(developer, "Tenant", h.newTenant().Name)...).problem(404, "tenant_not_found")
	h.do("GET", "/v1/tenants", "", token(h.tenant.Name, "owner")...).problem(403, "permission_denied")
	h.do("GET", "/v1/session", "", developer...).problem(404, "session_not_found")
	h.json("POST", "/v1/tokens", "{}", developer...).problem(403, "permission_denied")
	h.json("POST", "/v1/members", `{"email":"x@example.com","role":"viewer"}`, token(h.tenant.Name, "owner")...).problem(403, "permission_denied")
	if r := h.do("GET", path, "", token(h.tenant.Name, "admin")...).problem(401, "token_refused"); !strings.Contains(r.Detail, "sluice_role") || r.Fix == "" {
		t.Errorf("the refusal does not say why: %+v", r)
	}
	h.do("GET", path, "", token("nobody", "owner")...).problem(401, "token_refused")
	long := p.Claims(h.clock.Now(), map[string]any{"sluice_tenant": h.tenant.Name, "sluice_role": "owner", "exp": h.clock.Now().Add(25 * time.Hour).Unix()})
	h.do("GET", path, "", as(p.Token(t, long))...).problem(401, "token_too_long")
	h.do("GET", path, "", as(oidctest.Start(t).Token(t, p.Claims(h.clock.Now(), nil)))...).problem(401, "unauthenticated")

	var log handlers.Page[handlers.AuditEntry]
	h.do("GET", "/v1/audit?actor="+who.Key.ID, "").is(200).into(&log)
	done := map[string]bool{}
	for _, e := range log.Data {
		done[e.Operation+" "+e.Outcome] = true
		diff(t, "the actor", who.Identity, e.Actor.Identity)
	}
	if !done["updateQueue done"] || !done["updateQueue refused"] || !done["inviteMember refused"] {
		t.Errorf("the audit log has %v", done)
	}
	if strings.Contains(h.log.String(), developer[1][20:]) {
		t.Error("the log of the server holds a token")
	}

	h.asOperator("POST", "/v1/tenants/"+h.tenant.Name+"/suspend", `{"reason":"a bill"}`).is(200)
	if r := h.do("GET", path, "", developer...).problem(403, "tenant_suspended"); !strings.Contains(r.Detail, "a bill") {
		t.Errorf("the refusal does not say why: %+v", r)
	}
	h.asOperator("POST", "/v1/tenants/"+h.tenant.Name+"/resume", "").is(200)
	stream := h.stream("POST", path+"/consume", developer...)
	until(t, "the stream waits", func() bool { return h.queues.Waiting() == 1 })
	reason := make(chan string, 1)
	go func() { reason <- stream.ends() }()
	h.clock.Advance(time.Hour)
	h.do("GET", path, "", developer...).problem(401, "token_expired")
	until(t, "the stream ends", func() bool {
		h.clock.Advance(time.Second)
		return len(reason) > 0
	})
	diff(t, "the reason", "token_expired", <-reason)
}

func TestAnIdentityProviderThatIsAwayIsNobodysFault(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	p, token := h.trust(t)
	p.Down.Store(true)
	a := h.do("GET", "/v1/whoami", "", token(h.tenant.Name, "viewer")...)
	a.problem(503, "issuer_unavailable")
	if a.header.Get("Retry-After") == "" {
		t.Error("the answer does not say when to try again")
	}
	h.do("GET", "/v1/whoami", "").is(200) // with a key
}
