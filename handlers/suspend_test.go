package handlers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
)

func TestASuspendedTenantMayNotSend(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path, owner := h.queue(""), "/v1/tenants/"+h.tenant.Name
	h.sendText(path, "before")
	var tn handlers.Tenant
	h.asOperator("POST", owner+"/suspend", `{"mode":"send","reason":"invoice 4711"}`).is(200).into(&tn)
	diff(t, "suspension", &handlers.TenantSuspension{Mode: "send", Reason: "invoice 4711", Since: *instant(0)}, tn.Suspended)
	if tn.State != "suspended" {
		t.Errorf("the state is %q", tn.State)
	}
	for _, c := range []struct{ path, body string }{{"/messages", "x"}, {"/messages/batch", `{"messages":[{"body":"x"}]}`}, {"/schedules/s/run", ""}} {
		p := h.do("POST", path+c.path, c.body).problem(403, "tenant_suspended")
		if !strings.Contains(p.Detail, "invoice 4711") || p.Fix == "" {
			t.Errorf("POST %s: %+v does not say why", c.path, p)
		}
	}
	// All else goes on.
	m := h.receive(path, 1)[0]
	h.do("DELETE", path+"/receipts/"+m.ReceiptHandle, "").is(204)
	h.json("PATCH", path, `{"delay":1}`).is(200)
	h.do("GET", "/v1/whoami", "").is(200)
	// And so do operators, and other tenants.
	h.asOperator("POST", path+"/messages", "x", "Tenant", h.tenant.Name).is(201)
	stranger := "Bearer " + h.newKey(h.newTenant().ID)
	h.do("PUT", path, "", "Authorization", stranger).is(201)
	h.do("POST", path+"/messages", "x", "Authorization", stranger).is(201)
	h.wantCounts(path, [3]int64{0, 0, 1})

	h.asOperator("POST", owner+"/resume", "").is(200).into(&tn)
	if tn.State != "active" || tn.Suspended != nil {
		t.Errorf("after the end: %+v", tn)
	}
	h.sendText(path, "after")
}

func TestASuspendedTenantMayDoNothing(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path, owner := h.queue(""), "/v1/tenants/"+h.tenant.Name
	h.sendText(path, "m")
	stream := h.stream("POST", path+"/consume")
	h.clock.Advance(time.Second)
	stream.next()
	waiting := h.later(func() *answer { return h.do("POST", path+"/receive?wait=20", "") })
	until(t, "a receive and a stream wait", func() bool { return h.api.Waiting() == 2 })

	h.asOperator("POST", owner+"/suspend", `{"reason":"abuse"}`).is(200)
	for _, r := range handlers.Routes() {
		if r.Needs == "operator" || r.Needs == "public" || r.Operation == "endSession" {
			continue
		}
		p := h.do(r.Method, at(r, queueName(path), h.tenant.Name), "").problem(403, "tenant_suspended")
		if !strings.Contains(p.Detail, "abuse") {
			t.Errorf("%s %s: %q does not say why", r.Method, r.Path, p.Detail)
		}
	}
	h.asOperator("GET", "/v1/whoami", "").is(200)
	// The stream ends, and what it held would go to the receive that still waits, who does not get it any more.
	h.clock.Advance(2 * time.Second)
	if why := stream.ends(); why != "tenant_suspended" {
		t.Errorf("the stream ended because of %q", why)
	}
	(<-waiting).problem(403, "tenant_suspended")
	until(t, "the message is back", func() bool { return h.counts(path) == [3]int64{1, 0, 0} })
	h.asOperator("GET", path, "", "Tenant", h.tenant.Name).is(200)
	h.asOperator("POST", owner+"/resume", "").is(200)
	if got := h.receive(path, 1); len(got) != 1 || got[0].Body != "m" {
		t.Errorf("after the end: %+v", got)
	}
}

// Who is suspended gets no answer of whoami, which tells all others where to ask.
func TestWhoIsSuspendedReadsWhereToAsk(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	owner, path := "/v1/tenants/"+h.tenant.Name, h.queue("")
	ask := func(mode, method, path, want string) {
		t.Helper()
		h.asOperator("POST", owner+"/suspend", `{"mode":"`+mode+`"}`).is(200)
		if p := h.do(method, path, "").problem(403, "tenant_suspended"); p.Contact != want {
			t.Errorf("%s %s: the contact is %q, want %q", method, path, p.Contact, want)
		}
	}
	ask("all", "GET", "/v1/whoami", "")
	h.api.Contact = "mailto:ops@example.com"
	ask("all", "GET", "/v1/whoami", "mailto:ops@example.com")
	ask("send", "POST", path+"/messages", "mailto:ops@example.com")
	h.asOperator("POST", owner+"/resume", "").is(200)
	if p := h.do("GET", "/v1/queues/none", "").problem(404, "queue_not_found"); p.Contact != "" {
		t.Errorf("another problem has the contact %q", p.Contact)
	}
	if p := h.do("GET", "/v1/whoami", "", "Authorization", "Basic "+basic("slk_wrong", "")).problem(401, "unauthenticated"); p.Contact != "" {
		t.Errorf("whoever has no key reads the contact %q", p.Contact)
	}
}

func TestWhoIsSuspendedMaySignOut(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	owner := "/v1/tenants/" + h.tenant.Name
	ana := email("ana")
	h.accept(h.invite(ana, "viewer"), password)
	member, byKey, linked, other := h.signInWith(signInBody(ana, password)), h.signIn(h.key), h.signInWith(portalBody(h.portalLink(`{"role":"viewer"}`))), h.signIn(h.key)
	h.asOperator("POST", owner+"/suspend", "").is(200)
	for _, s := range []session{member, byKey, linked} {
		h.do("GET", "/v1/session", "", s.headers()...).problem(403, "tenant_suspended")
		h.do("DELETE", "/v1/sessions/"+s.ID, "", s.headers()...).problem(403, "tenant_suspended")
		h.do("DELETE", "/v1/session", "", s.headers("Sec-Fetch-Site", "cross-site")...).problem(403, "cross_origin")
		a := h.do("DELETE", "/v1/session", "", s.headers()...).is(204)
		if c := a.cookie(); c.Value != "" || c.MaxAge >= 0 {
			t.Errorf("the browser keeps the cookie: %v", c)
		}
		h.do("DELETE", "/v1/session", "", s.headers()...).problem(401, "session_ended")
	}
	h.do("DELETE", "/v1/session", "").problem(404, "session_not_found") // a key has none
	h.asOperator("POST", owner+"/resume", "").is(200)
	h.do("GET", "/v1/session", "", member.headers()...).problem(401, "session_ended")
	h.do("GET", "/v1/session", "", other.headers()...).is(200)
}

func TestPatchOfATenant(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	owner := "/v1/tenants/" + h.tenant.Name
	var tn handlers.Tenant
	h.asOperator("PUT", owner, `{"labels":{"a":"1","b":"2"},"notes":"first"}`).is(200)
	h.asOperator("PATCH", owner, `{"labels":{"b":null,"c":"3"}}`).is(200).into(&tn)
	diff(t, "labels", map[string]string{"a": "1", "c": "3"}, tn.Labels)
	if tn.Notes != "first" {
		t.Errorf("notes %q", tn.Notes)
	}
	h.asOperator("PATCH", owner, `{"notes":"second"}`, "If-Match", `"x"`).problem(412, "precondition_failed")
	h.asOperator("PATCH", owner, `{"notes":"second"}`, "If-Match", `"`+tn.ETag+`"`).is(200).into(&tn)
	h.asOperator("PATCH", owner, `{"notes":null,"labels":null}`).is(200).into(&tn)
	if tn.Notes != "" || len(tn.Labels) != 0 {
		t.Errorf("after null: %+v", tn)
	}
	h.asOperator("PATCH", owner, `{"account_number":"`+tn.AccountNumber+`"}`).is(200)
	before := tn.ETag
	h.asOperator("PATCH", owner, `{"account_number":"123456789012"}`).problem(409, "account_fixed")
	h.asOperator("PATCH", "/v1/tenants/nobody", `{}`).problem(404, "tenant_not_found")
	for _, c := range []struct{ path, body, code, place string }{
		{"", `{"notes":7}`, "validation_failed", "/notes"},
		{"", `{"notes":"` + strings.Repeat("x", 4097) + `"}`, "validation_failed", "/notes"},
		{"", `{"suspended":null}`, "unknown_field", "/suspended"},
		{"", `{"state":"active"}`, "unknown_field", "/state"},
		{"/suspend", `{"mode":"sends"}`, "validation_failed", "/mode"},
		{"/suspend", `{"reason":7}`, "validation_failed", "/reason"},
		{"/suspend", `{"reason":"` + strings.Repeat("x", 256) + `"}`, "validation_failed", "/reason"},
		{"/suspend", `{"why":"x"}`, "unknown_field", "/why"},
		{"/resume", `{"mode":"all"}`, "unknown_field", "/mode"},
	} {
		method := "POST"
		if c.path == "" {
			method = "PATCH"
		}
		if p := h.asOperator(method, owner+c.path, c.body, "Content-Type", "application/json").problem(422, c.code); firstPlace(p) != c.place {
			t.Errorf("%s %s: the fault is at %q", c.path, c.body, firstPlace(p))
		}
	}
	h.asOperator("GET", owner, "").is(200).into(&tn)
	if tn.ETag != before || tn.Suspended != nil {
		t.Errorf("refused requests changed the tenant: %+v", tn)
	}
}

func TestASuspensionEndsAtItsDate(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path, owner := h.queue(""), "/v1/tenants/"+h.tenant.Name
	h.sendText(path, "m")
	end := start.Add(time.Hour).Format(time.RFC3339)
	var tn handlers.Tenant
	h.asOperator("POST", owner+"/suspend", `{"reason":"abuse","until":"`+end+`"}`).is(200).into(&tn)
	diff(t, "suspension", &handlers.TenantSuspension{Mode: "all", Reason: "abuse", Since: *instant(0), Until: instant(time.Hour)}, tn.Suspended)
	if p := h.do("POST", path+"/receive", "").problem(403, "tenant_suspended"); !strings.Contains(p.Detail, end) || !strings.Contains(p.Detail, "abuse") {
		t.Errorf("%q does not say until when, and why", p.Detail)
	}
	if text := string(h.asOperator("GET", "/v1/operator_audit?target="+h.tenant.Name+"&limit=1", "").body); !strings.Contains(text, `"until":"`+start.Add(time.Hour).Format("2006-01-02T15:04:05.000Z")) {
		t.Errorf("the audit log does not say until when: %s", text)
	}
	h.clock.Advance(time.Hour - time.Second)
	h.do("POST", path+"/receive?wait=20", "").problem(403, "tenant_suspended")
	h.clock.Advance(time.Second)
	if got := h.receive(path, 1); len(got) != 1 || got[0].Body != "m" {
		t.Errorf("at the end: %+v", got)
	}
	h.sendText(path, "after")
	var now handlers.Tenant
	h.asOperator("GET", owner, "").is(200).into(&now)
	if now.State != "active" || now.Suspended != nil || now.ETag != tn.ETag {
		t.Errorf("at the end: %+v", now)
	}
	for _, until := range []string{`"` + end + `"`, `"2020-01-01T00:00:00Z"`, `"tomorrow"`, `7`} {
		if p := h.asOperator("POST", owner+"/suspend", `{"until":`+until+`}`, "Content-Type", "application/json").problem(422, "validation_failed"); firstPlace(p) != "/until" {
			t.Errorf("until %s: the fault is at %q", until, firstPlace(p))
		}
	}
	h.asOperator("POST", owner+"/suspend", `{"until":null}`, "Content-Type", "application/json").is(200).into(&tn)
	if tn.Suspended == nil || tn.Suspended.Until != nil {
		t.Errorf("without an end: %+v", tn.Suspended)
	}
}
