package handlers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
)

// portalLink makes a portal link of the test's tenant.
func (h *apiTest) portalLink(body string, headers ...string) (l handlers.CreatedPortalLink) {
	h.Helper()
	h.json("POST", "/v1/portal_links", body, headers...).is(201).into(&l)
	return l
}

func portalBody(l handlers.CreatedPortalLink) string {
	return fmt.Sprintf(`{"portal_link":%q}`, l.PortalLink)
}

func TestAPortalLinkSignsInOnce(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	var l handlers.CreatedPortalLink
	h.asOperator("POST", "/v1/tenants/"+h.tenant.Name+"/portal_links", `{"role":"viewer","name":"ana@acme.example","expires_in":"10m"}`).is(201).into(&l)
	diff(t, "the link", handlers.CreatedPortalLink{PortalLink: l.PortalLink, Tenant: h.tenant.Name, PortalLinkDetails: handlers.PortalLinkDetails{ID: l.ID, Role: "viewer",
		Name: "ana@acme.example", CreatedAt: *instant(0), ExpiresAt: *instant(10 * time.Minute)}}, l)
	a := h.trySignIn(portalBody(l)).is(201)
	var s session
	a.into(&s.Session)
	s.cookie = a.cookie()
	diff(t, "the session", handlers.Session{ID: s.ID, Kind: "tenant", Tenant: &handlers.CallerTenant{Name: h.tenant.Name, ID: h.tenant.ID.String(), AccountNumber: h.tenant.AccountNumber},
		PortalLink: &handlers.SessionLink{ID: l.ID, Name: "ana@acme.example"}, Scopes: []string{"viewer"}, Allowed: s.Allowed,
		CreatedAt: *instant(0), ExpiresAt: *instant(auth.PortalSessionLife), IdleTimeout: 43200}, s.Session)
	h.trySignIn(portalBody(l)).problem(401, "portal_link_ended")
	h.do("GET", path, "", s.headers()...).is(200)
	h.do("DELETE", path, "", s.headers()...).problem(403, "permission_denied")
	h.json("POST", "/v1/portal_links", `{"role":"viewer"}`, s.headers()...).problem(403, "permission_denied")
	h.json("PUT", "/v1/session/password", `{"current":"0123456789","new":"9876543210"}`, s.headers()...).problem(404, "member_not_found")
	var got handlers.Session
	h.do("GET", "/v1/session", "", s.headers()...).is(200).into(&got)
	diff(t, "the session later", s.Session, got)
	var list handlers.Page[handlers.OpenSession]
	h.do("GET", "/v1/sessions", "", s.headers()...).is(200).into(&list)
	if len(list.Data) != 1 || list.Data[0].PortalLink == nil || list.Data[0].Key != nil || !list.Data[0].Current {
		t.Errorf("its sessions are %+v", list.Data)
	}
	var who handlers.Caller
	h.do("GET", "/v1/whoami", "", s.headers()...).is(200).into(&who)
	diff(t, "whoami", l.ID, who.Key.ID)

	var log []string
	var page handlers.Page[handlers.AuditEntry]
	h.do("GET", "/v1/audit", "").is(200).into(&page)
	for _, e := range page.Data {
		by := ""
		if e.Actor.PortalLinkID != nil {
			by = *e.Actor.PortalLinkID
		}
		target := ""
		if e.Target.Name != nil {
			target = *e.Target.Name
		}
		log = append(log, strings.NewReplacer(l.ID, "link", s.ID, "session", queueName(path), "queue").Replace(fmt.Sprint(e.Operation, " ", target, " by ", e.Actor.Kind, " ", by, " ", e.Outcome)))
	}
	for _, want := range []string{"createTenantPortalLink link by operator  done", "createSession session by tenant link done", "deleteQueue queue by tenant link refused",
		"createPortalLink  by tenant link refused"} {
		if !strings.Contains(strings.Join(log, "\n"), want) {
			t.Errorf("the audit log lacks %q:\n%s", want, strings.Join(log, "\n"))
		}
	}
	if log := h.log.String(); strings.Contains(log, l.PortalLink) || strings.Contains(log, s.cookie.Value) {
		t.Error("the log of the server holds a secret")
	}
	h.do("DELETE", "/v1/session", "", s.headers()...).is(204)
	h.do("GET", "/v1/session", "", s.headers()...).problem(401, "session_ended")
}

func TestAPortalLinkIsRefusedWithAReason(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	for _, c := range []struct {
		body   string
		status int
		code   string
	}{
		{``, 422, "validation_failed"},
		{`{}`, 422, "validation_failed"},
		{`{"role":"emperor"}`, 422, "validation_failed"},
		{`{"role":"viewer","expires_in":59}`, 422, "validation_failed"},
		{`{"role":"viewer","expires_in":3601}`, 422, "validation_failed"},
		{`{"role":"viewer","name":"` + strings.Repeat("x", 129) + `"}`, 422, "validation_failed"},
		{`{"role":"viewer","queues":["a"]}`, 422, "unknown_field"},
	} {
		h.json("POST", "/v1/portal_links", c.body).problem(c.status, c.code)
	}
	limited := h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"viewer", "portal_links:write"}, Queues: []string{"a-*"}})
	h.json("POST", "/v1/portal_links", `{"role":"developer"}`, limited...).problem(403, "permission_denied")
	if l := h.portalLink(`{"role":"viewer"}`, limited...); len(l.Queues) != 1 || l.Queues[0] != "a-*" {
		t.Errorf("a link of a limited key reaches %v", l.Queues)
	}
	h.json("POST", "/v1/portal_links", `{"role":"viewer"}`, h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"developer"}})...).problem(403, "permission_denied")
	h.asOperator("POST", "/v1/tenants/nobody/portal_links", `{"role":"viewer"}`).problem(404, "tenant_not_found")
	h.json("POST", "/v1/tenants/"+h.tenant.Name+"/portal_links", `{"role":"viewer"}`).problem(403, "permission_denied")
	h.json("POST", "/v1/portal_links", `{"role":"viewer"}`, "Idempotency-Key", "x").problem(422, "idempotency_key_not_supported")

	l := h.portalLink(`{"role":"viewer"}`)
	for _, body := range []string{`{"portal_link":7}`, fmt.Sprintf(`{"portal_link":%q,"key":%q}`, l.PortalLink, h.key), fmt.Sprintf(`{"portal_link":%q,"tenant":"x"}`, l.PortalLink)} {
		h.trySignIn(body).problem(422, "validation_failed")
	}
	h.json("POST", "/v1/session", portalBody(l), "Authorization", "", "Sec-Fetch-Site", "cross-site").problem(403, "cross_origin")
	h.do("GET", "/v1/queues", "", as(l.PortalLink)...).problem(401, "unauthenticated")
	h.trySignIn(portalBody(l)).is(201) // none of this has used it up
	for _, text := range []string{"x", "slp_" + strings.Repeat("0", 36), h.key} {
		h.trySignIn(fmt.Sprintf(`{"portal_link":%q}`, text)).problem(401, "portal_link_ended")
	}
}

func TestPortalLinksEndWhenTheirTenantIsSuspended(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	suspend := "/v1/tenants/" + h.tenant.Name + "/suspend"
	kept, ended := h.portalLink(`{"role":"viewer"}`), h.portalLink(`{"role":"viewer"}`)
	h.asOperator("POST", suspend, `{"mode":"send"}`).is(200)
	h.trySignIn(portalBody(kept)).is(201)
	h.asOperator("POST", suspend, `{"mode":"all"}`).is(200)
	h.trySignIn(portalBody(ended)).problem(401, "portal_link_ended")
	h.asOperator("POST", "/v1/tenants/"+h.tenant.Name+"/portal_links", `{"role":"viewer"}`).problem(403, "tenant_suspended")
	h.asOperator("POST", "/v1/tenants/"+h.tenant.Name+"/resume", "").is(200)
	h.trySignIn(portalBody(ended)).problem(401, "portal_link_ended")
	h.trySignIn(portalBody(h.portalLink(`{"role":"viewer"}`))).is(201)
}

func TestPortalLinksAreListedAndRevoked(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	list := func(headers ...string) (ids []string) {
		t.Helper()
		var page handlers.Page[handlers.PortalLinkDetails]
		h.do("GET", "/v1/portal_links", "", headers...).is(200).into(&page)
		for _, l := range page.Data {
			ids = append(ids, l.ID)
		}
		return ids
	}
	limited := h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"viewer", "portal_links:write"}, Queues: []string{"a-*"}})
	viewer := h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"viewer"}})
	first := h.portalLink(`{"role":"viewer","name":"ana"}`)
	h.clock.Advance(time.Second)
	second := h.portalLink(`{"role":"viewer"}`, limited...)
	a := h.do("GET", "/v1/portal_links", "", viewer...).is(200)
	if strings.Contains(string(a.body), "slp_") {
		t.Errorf("the list shows links: %s", a.body)
	}
	var page handlers.Page[handlers.PortalLinkDetails]
	a.into(&page)
	diff(t, "the list", []handlers.PortalLinkDetails{first.PortalLinkDetails, second.PortalLinkDetails}, page.Data)
	diff(t, "what a limited key sees", []string{second.ID}, list(limited...))
	own := h.keyFor(h.newTenant().ID, auth.NewKey{})
	diff(t, "what another tenant sees", []string(nil), list(own...))

	h.do("DELETE", "/v1/portal_links/"+first.ID, "", viewer...).problem(403, "permission_denied")
	h.do("DELETE", "/v1/portal_links/"+first.ID, "", limited...).problem(404, "portal_link_not_found")
	h.do("DELETE", "/v1/portal_links/"+first.ID, "", own...).problem(404, "portal_link_not_found")
	h.do("DELETE", "/v1/portal_links/"+first.ID+"?now=1", "").problem(422, "validation_failed")
	h.do("DELETE", "/v1/portal_links/"+first.ID, "").is(204)
	h.do("DELETE", "/v1/portal_links/"+first.ID, "").problem(404, "portal_link_not_found")
	h.trySignIn(portalBody(first)).problem(401, "portal_link_ended")
	h.trySignIn(portalBody(second)).is(201)
	h.do("DELETE", "/v1/portal_links/"+second.ID, "").problem(404, "portal_link_not_found") // it has been used

	of := "/v1/tenants/" + h.tenant.Name + "/portal_links"
	var third handlers.CreatedPortalLink
	h.asOperator("POST", of, `{"role":"viewer"}`).is(201).into(&third)
	h.asOperator("GET", of, "").is(200).into(&page)
	diff(t, "the operator's list", []handlers.PortalLinkDetails{third.PortalLinkDetails}, page.Data)
	h.asOperator("GET", "/v1/tenants/nobody/portal_links", "").problem(404, "tenant_not_found")
	h.asOperator("DELETE", "/v1/tenants/nobody/portal_links/"+third.ID, "").problem(404, "tenant_not_found")
	h.do("GET", of, "").problem(403, "permission_denied")
	h.do("DELETE", of+"/"+third.ID, "").problem(403, "permission_denied")
	h.asOperator("DELETE", of+"/"+third.ID, "").is(204)
	h.trySignIn(portalBody(third)).problem(401, "portal_link_ended")

	var log handlers.Page[handlers.AuditEntry]
	h.do("GET", "/v1/audit?target="+first.ID, "").is(200).into(&log)
	var got []string
	for _, e := range log.Data {
		got = append(got, fmt.Sprint(e.Operation, " ", e.Outcome, " ", len(e.Before) > 0))
	}
	want := "revokePortalLink done true"
	if !strings.Contains(strings.Join(got, "\n"), want) || !strings.Contains(strings.Join(got, "\n"), "revokePortalLink refused") {
		t.Errorf("the audit log has of the link:\n%s\nwant %q", strings.Join(got, "\n"), want)
	}
}
