package handlers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
)

const (
	password  = "correct horse battery staple"
	password2 = "a different battery staple"
)

// invite invites a member of the test's tenant, or with other headers one of another.
func (h *apiTest) invite(email, role string, headers ...string) (m handlers.InvitedMember) {
	h.Helper()
	h.json("POST", "/v1/members", fmt.Sprintf(`{"email":%q,"role":%q}`, email, role), headers...).is(201).into(&m)
	return m
}

// accept accepts an invitation.
func (h *apiTest) accept(m handlers.InvitedMember, password string) (s session) {
	h.Helper()
	a := h.json("POST", "/v1/invitations/accept", fmt.Sprintf(`{"token":%q,"password":%q}`, m.Invitation.Token, password), "Authorization", "").is(201)
	a.into(&s.Session)
	s.cookie = a.cookie()
	return s
}

func signInBody(email, password string) string {
	return fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)
}

// trySignIn signs in with a password.
func (h *apiTest) trySignIn(body string) *answer {
	h.Helper()
	return h.json("POST", "/v1/session", body, "Authorization", "")
}

// email returns an address that no other test uses.
func email(name string) string { return fmt.Sprintf("%s%d@example.com", name, names.Add(1)) }

func TestAMemberSignsInWithAPassword(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	ana := email("ana")
	m := h.invite(strings.ToUpper(ana), "viewer")
	want := handlers.Member{ID: m.ID, Email: ana, Role: "viewer", Invited: true, InvitationExpiresAt: instant(auth.DefaultInvitation), CreatedAt: *instant(0)}
	diff(t, "the invited", want, m.Member)
	h.trySignIn(signInBody(ana, password)).problem(401, "sign_in_failed")
	a := h.json("POST", "/v1/invitations/accept", fmt.Sprintf(`{"token":%q,"name":"Ana","password":%q}`, m.Invitation.Token, password), "Authorization", "").is(201)
	var first session
	a.into(&first.Session)
	first.cookie = a.cookie()
	me := &handlers.SessionMember{ID: m.ID, Email: ana, Name: "Ana", Role: "viewer"}
	diff(t, "the session", handlers.Session{ID: first.ID, Kind: "tenant", Tenant: &handlers.CallerTenant{Name: h.tenant.Name, ID: h.tenant.ID.String(), AccountNumber: h.tenant.AccountNumber},
		Member: me, Scopes: []string{"viewer"}, Allowed: first.Allowed, CreatedAt: *instant(0), ExpiresAt: *instant(auth.SessionLife), IdleTimeout: 43200}, first.Session)
	second := h.signInWith(signInBody(strings.ToUpper(ana), password))
	named := h.signInWith(fmt.Sprintf(`{"email":%q,"password":%q,"tenant":%q}`, ana, password, h.tenant.Name))
	for _, s := range []session{first, second, named} {
		h.do("GET", path, "", s.headers()...).is(200)
		h.do("DELETE", path, "", s.headers()...).problem(403, "permission_denied")
	}
	h.do("POST", "/v1/tokens", "{}", second.headers("Content-Type", "application/json")...).problem(403, "permission_denied")
	var got handlers.Member
	h.json("PATCH", "/v1/members/"+m.ID, `{"role":"developer"}`).is(200).into(&got)
	want.Name, want.Role, want.Invited, want.InvitationExpiresAt = "Ana", "developer", false, nil
	got.LastUsedAt = nil
	diff(t, "the member", want, got)
	h.do("POST", path+"/messages", "x", second.headers("Content-Type", "text/plain")...).is(201)
	h.do("GET", "/v1/members", "", second.headers()...).problem(403, "permission_denied")

	var who handlers.Caller
	h.do("GET", "/v1/whoami", "", second.headers()...).is(200).into(&who)
	diff(t, "whoami", m.ID, who.Key.ID)
	var page handlers.Page[handlers.AuditEntry]
	h.do("GET", "/v1/audit?actor="+m.ID, "").is(200).into(&page)
	if len(page.Data) == 0 || page.Data[0].Actor.MemberID == nil || page.Data[0].Actor.KeyID != "" {
		t.Errorf("the audit log has %+v", page.Data)
	}
	if log := h.log.String(); strings.Contains(log, password) || strings.Contains(log, m.Invitation.Token) {
		t.Error("the log of the server holds a secret")
	}

	h.do("DELETE", "/v1/members/"+m.ID, "").is(204)
	for _, s := range []session{first, second, named} {
		h.do("GET", path, "", s.headers()...).problem(401, "session_ended")
	}
	h.trySignIn(signInBody(ana, password)).problem(401, "sign_in_failed")
	h.do("DELETE", "/v1/members/"+m.ID, "").problem(404, "member_not_found")
	// Who comes back gets nothing of what was.
	h.accept(h.invite(ana, "viewer"), password)
	h.do("GET", path, "", first.headers()...).problem(401, "session_ended")
}

func TestAnInvitationIsGoodOnce(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	ana := email("ana")
	accept := func(token, password string) *answer {
		return h.json("POST", "/v1/invitations/accept", fmt.Sprintf(`{"token":%q,"password":%q}`, token, password), "Authorization", "")
	}
	first := h.invite(ana, "viewer")
	h.json("POST", "/v1/members", fmt.Sprintf(`{"email":%q,"role":"owner"}`, ana)).problem(409, "member_exists")
	var second handlers.InvitedMember
	h.json("POST", "/v1/members/"+first.ID+"/invitation", `{"expires_in":"5m"}`).is(201).into(&second)
	accept(first.Invitation.Token, password).problem(404, "invitation_ended")
	for _, token := range []string{"", "x", h.key, second.Invitation.Token[:39] + "!", second.Invitation.Token + "x"} {
		accept(token, password).problem(404, "invitation_ended")
	}
	for _, short := range []string{"", "123456789", "ÄÖÜÄÖÜÄÖÜ", ana, strings.Repeat("x", 1025)} {
		if p := accept(second.Invitation.Token, short).problem(422, "validation_failed"); p.Errors[0].Pointer != "/password" {
			t.Errorf("%q: points at %+v", short, p.Errors)
		}
	}
	s := h.accept(second, password)
	accept(second.Invitation.Token, password2).problem(404, "invitation_ended")

	// A password that was forgotten: the old one holds until there is another.
	var third handlers.InvitedMember
	h.json("POST", "/v1/members/"+first.ID+"/invitation", "").is(201).into(&third)
	if third.Invited {
		t.Error("a member with a password counts as invited")
	}
	h.do("DELETE", "/v1/session", "", h.signInWith(signInBody(ana, password)).headers()...).is(204)
	h.do("GET", "/v1/session", "", s.headers()...).is(200)
	h.accept(third, password2)
	h.do("GET", "/v1/session", "", s.headers()...).problem(401, "session_ended")
	h.trySignIn(signInBody(ana, password)).problem(401, "sign_in_failed")
	h.trySignIn(signInBody(ana, password2)).is(201)

	late := h.invite(email("late"), "viewer")
	gone := h.invite(email("gone"), "viewer")
	h.do("DELETE", "/v1/members/"+gone.ID, "").is(204)
	accept(gone.Invitation.Token, password).problem(404, "invitation_ended")
	h.clock.Advance(auth.DefaultInvitation)
	accept(late.Invitation.Token, password).problem(404, "invitation_ended")
}

func TestAMemberChangesHisPassword(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	ana := email("ana")
	first := h.accept(h.invite(ana, "viewer"), password)
	second := h.signInWith(signInBody(ana, password))
	change := func(s session, was, next string) *answer {
		return h.json("PUT", "/v1/session/password", fmt.Sprintf(`{"current":%q,"new":%q}`, was, next), s.headers()...)
	}
	if p := change(first, password2, password2).problem(422, "validation_failed"); p.Errors[0].Pointer != "/current" {
		t.Errorf("points at %+v", p.Errors)
	}
	change(first, password, "short").problem(422, "validation_failed")
	h.do("GET", "/v1/session", "", second.headers()...).is(200)
	a := change(first, password, password2).is(200)
	for _, s := range []session{first, second} {
		h.do("GET", "/v1/session", "", s.headers()...).problem(401, "session_ended")
	}
	h.do("GET", "/v1/session", "", session{cookie: a.cookie()}.headers()...).is(200)
	h.trySignIn(signInBody(ana, password)).problem(401, "sign_in_failed")
	h.trySignIn(signInBody(ana, password2)).is(201)
	change(h.signIn(h.key), password, password2).problem(404, "member_not_found")
	h.json("PUT", "/v1/session/password", `{}`).problem(404, "member_not_found")
}

func TestWhoIsMemberOfSeveralTenantsChooses(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	ana := email("ana")
	other := h.newTenant()
	there := as(h.newKey(other.ID))
	h.accept(h.invite(ana, "owner"), password)
	h.accept(h.invite(ana, "viewer", there...), password)
	p := h.trySignIn(signInBody(ana, password)).problem(409, "several_tenants")
	got := map[string]bool{}
	for _, f := range p.Errors {
		got[f.Detail] = f.Pointer == "/tenant"
	}
	diff(t, "the choice", map[string]bool{h.tenant.Name: true, other.Name: true}, got)
	s := h.signInWith(fmt.Sprintf(`{"email":%q,"password":%q,"tenant":%q}`, ana, password, other.Name))
	if s.Tenant.Name != other.Name || s.Member.Role != "viewer" {
		t.Errorf("the session is %+v", s.Session)
	}
	h.do("GET", "/v1/queues", "", s.headers("Tenant", h.tenant.Name)...).problem(404, "tenant_not_found")
	for _, tenant := range []string{"nobody", "default", h.newTenant().Name} {
		h.trySignIn(fmt.Sprintf(`{"email":%q,"password":%q,"tenant":%q}`, ana, password, tenant)).problem(401, "sign_in_failed")
	}
	// What one tenant does with its member is no matter of the other.
	m := h.invite(email("bob"), "viewer", there...)
	for _, method := range []string{"PATCH", "DELETE"} {
		h.json(method, "/v1/members/"+m.ID, `{"role":"owner"}`).problem(404, "member_not_found")
	}
	h.json("PUT", "/v1/session/password", fmt.Sprintf(`{"current":%q,"new":%q}`, password, password2), s.headers()...).is(200)
	if s := h.signInWith(signInBody(ana, password)); s.Tenant.Name != h.tenant.Name {
		t.Errorf("the session is %+v", s.Session)
	}
}

func TestAnOperatorSignsInWithAPassword(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	op := email("op")
	var m handlers.InvitedMember
	h.asOperator("POST", "/v1/operators", fmt.Sprintf(`{"email":%q,"role":"viewer"}`, op)).is(201).into(&m)
	defer func() { h.asOperator("DELETE", "/v1/operators/"+m.ID, "").is(204) }()
	s := h.accept(m, password)
	if s.Kind != "operator" || s.Tenant != nil || s.Member == nil {
		t.Errorf("the session is %+v", s.Session)
	}
	h.do("GET", "/v1/tenants/"+h.tenant.Name, "", s.headers()...).is(200)
	h.do("GET", "/v1/queues", "", s.headers("Tenant", h.tenant.Name)...).is(200)
	h.do("DELETE", "/v1/tenants/"+h.tenant.Name, "", s.headers()...).problem(403, "permission_denied")
	h.json("PUT", "/v1/queues/q", "{}", s.headers("Tenant", h.tenant.Name)...).problem(403, "permission_denied")
	h.json("POST", "/v1/operators", fmt.Sprintf(`{"email":%q,"role":"owner"}`, email("x")), s.headers()...).problem(403, "permission_denied")
	h.do("GET", "/v1/operators", "", s.headers()...).is(200)
	h.do("GET", "/v1/operators", "").problem(403, "permission_denied")
	h.asOperator("PATCH", "/v1/operators/"+m.ID, `{"name":"Op"}`).is(200)
	h.asOperator("POST", "/v1/operators/"+m.ID+"/invitation", "").is(201)
	// Also where the address is that of a member of a tenant.
	h.accept(h.invite(op, "viewer"), password)
	if s := h.signInWith(signInBody(op, password)); s.Kind != "operator" {
		t.Errorf("the session is %+v", s.Session)
	}
	// An operator acts for a tenant there too.
	h.json("POST", "/v1/members", fmt.Sprintf(`{"email":%q,"role":"owner"}`, email("first")), append(as(h.operator), "Tenant", h.tenant.Name)...).is(201)
}

// Nobody gives more than he has, also not by a way around.
func TestNobodyManagesMembersWhoMayMore(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	owner, viewer := h.invite(email("owner"), "owner"), h.invite(email("viewer"), "viewer")
	for what, key := range map[string]auth.NewKey{
		"few scopes":  {Scopes: []string{"viewer", "members:*"}},
		"few queues":  {Queues: []string{"a*"}},
		"one address": {AllowedIPs: []string{"127.0.0.0/8"}},
		"an end":      {ExpiresAt: start.Add(time.Hour)},
	} {
		as := h.keyFor(h.tenant.ID, key)
		for _, c := range []struct{ method, path, body string }{
			{"POST", "/v1/members", fmt.Sprintf(`{"email":%q,"role":"owner"}`, email("x"))},
			{"POST", "/v1/members/" + owner.ID + "/invitation", ""},
			{"PATCH", "/v1/members/" + owner.ID, `{"role":"viewer"}`},
			{"PATCH", "/v1/members/" + viewer.ID, `{"role":"owner"}`},
			{"DELETE", "/v1/members/" + owner.ID, ""},
		} {
			if got := h.json(c.method, c.path, c.body, as...); got.status != 403 {
				t.Errorf("%s: %s %s: %d %s", what, c.method, c.path, got.status, got.body)
			}
		}
		if what == "few scopes" {
			h.json("PATCH", "/v1/members/"+viewer.ID, `{"role":"viewer_without_bodies"}`, as...).is(200)
			h.json("PATCH", "/v1/members/"+viewer.ID, `{"role":"viewer"}`, as...).is(200)
		}
	}
	h.json("POST", "/v1/members", fmt.Sprintf(`{"email":%q,"role":"owner"}`, email("x")), as(h.token(`{}`).AccessToken)...).problem(403, "permission_denied")
	var page handlers.Page[handlers.Member]
	h.do("GET", "/v1/members", "").is(200).into(&page)
	diff(t, "members", []handlers.Member{owner.Member, viewer.Member}, page.Data)
}

func TestAMemberIsRefusedWithAReason(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	m := h.invite(email("ana"), "viewer")
	long := strings.Repeat("x", 129)
	for _, c := range []struct{ method, path, body, code, pointer string }{
		{"POST", "", `{}`, "validation_failed", "/email"},
		{"POST", "", `{"email":"ana","role":"viewer"}`, "validation_failed", "/email"},
		{"POST", "", `{"email":"ana@","role":"viewer"}`, "validation_failed", "/email"},
		{"POST", "", `{"email":"a b@c","role":"viewer"}`, "validation_failed", "/email"},
		{"POST", "", `{"email":"a@b@c","role":"viewer"}`, "validation_failed", "/email"},
		{"POST", "", `{"email":"Ana <a@b>","role":"viewer"}`, "validation_failed", "/email"},
		{"POST", "", `{"email":"a@` + strings.Repeat("x", 254) + `","role":"viewer"}`, "validation_failed", "/email"},
		{"POST", "", `{"email":"a@b"}`, "validation_failed", "/role"},
		{"POST", "", `{"email":"a@b","role":"*"}`, "validation_failed", "/role"},
		{"POST", "", `{"email":"a@b","role":"viewer","name":"` + long + `"}`, "validation_failed", "/name"},
		{"POST", "", `{"email":"a@b","role":"viewer","expires_in":59}`, "validation_failed", "/expires_in"},
		{"POST", "", `{"email":"a@b","role":"viewer","expires_in":"31d"}`, "validation_failed", "/expires_in"},
		{"POST", "", `{"email":"a@b","role":"viewer","password":"x"}`, "unknown_field", "/password"},
		{"PATCH", "/" + m.ID, `{"role":"admin"}`, "validation_failed", "/role"},
		{"PATCH", "/" + m.ID, `{"name":"` + long + `"}`, "validation_failed", "/name"},
		{"PATCH", "/" + m.ID, `{"email":"a@b"}`, "unknown_field", "/email"},
		{"POST", "/" + m.ID + "/invitation", `{"expires_in":1}`, "validation_failed", "/expires_in"},
	} {
		p := h.json(c.method, "/v1/members"+c.path, c.body).problem(422, c.code)
		if len(p.Errors) == 0 || p.Errors[0].Pointer != c.pointer {
			t.Errorf("%s %s: points at %+v, want %s", c.method, c.body, p.Errors, c.pointer)
		}
	}
	for _, body := range []string{`{"key":"x","email":"a@b"}`, `{"email":"a@b"}`, `{"password":"x"}`, `{"tenant":"x"}`,
		`{"email":"a@b","password":"` + strings.Repeat("x", 10_000) + `"}`} {
		h.trySignIn(body).problem(422, "validation_failed")
	}
	var page handlers.Page[handlers.Member]
	h.do("GET", "/v1/members", "").is(200).into(&page)
	diff(t, "members", []handlers.Member{m.Member}, page.Data)
}

// Who is wrong too often waits; nobody else does, and that there is no such account makes no difference.
func TestGuessesAreSlowedDown(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	h.echo.IPExtractor = echo.ExtractIPFromXFFHeader() // which trusts this machine
	ana := email("ana")
	h.accept(h.invite(ana, "viewer"), password)
	proxied := func(from, body string) *answer {
		return h.json("POST", "/v1/session", body, "Authorization", "", "X-Forwarded-For", from)
	}
	for _, address := range []string{ana, email("nobody")} {
		var told []string
		for range 10 {
			a := proxied("192.0.2.1", signInBody(address, password2))
			a.problem(401, "sign_in_failed")
			told = append(told, same(a))
		}
		for _, s := range told {
			diff(t, "the answer", told[0], s)
		}
		for range 3 {
			a := proxied("192.0.2.1", signInBody(address, password))
			a.problem(429, "too_many_attempts")
			diff(t, "Retry-After", "600", a.header.Get("Retry-After"))
		}
	}
	proxied("192.0.2.2", signInBody(ana, password)).is(201) // from elsewhere
	h.json("POST", "/v1/session", fmt.Sprintf(`{"key":%q}`, h.key), "Authorization", "", "X-Forwarded-For", "192.0.2.1").is(201)
	h.clock.Advance(10 * time.Minute)
	proxied("192.0.2.1", signInBody(ana, password)).is(201)
}

func TestATenantKeepsItsLastOwner(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	m := h.invite(email("ana"), "owner")
	s := h.accept(m, password)
	path := "/v1/members/" + m.ID
	for _, me := range [][]string{s.headers(), as(h.key)} {
		for _, method := range []string{"PATCH", "DELETE"} {
			if p := h.json(method, path, map[string]string{"PATCH": `{"role":"viewer"}`}[method], me...).problem(409, "last_owner"); p.Fix == "" {
				t.Errorf("%s has no fix", method)
			}
		}
		h.json("PATCH", path, `{"name":"Ana"}`, me...).is(200)
		h.json("PATCH", path, `{"role":"owner"}`, me...).is(200)
	}
	h.json("PATCH", path, `{"role":"viewer"}`, append(as(h.operator), "Tenant", h.tenant.Name)...).is(200)
	h.do("DELETE", path, "", as(h.key)...).is(204) // an owner no more
}
