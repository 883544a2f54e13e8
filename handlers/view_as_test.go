package handlers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
)

func TestAnOperatorViewsATenantAndChangesNothing(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	sent := h.sendText(path, "x")
	h.asOperator("POST", "/v1/tenants/"+h.tenant.Name+"/suspend", "").is(200) // of whom one may want to see what he has
	s := h.signIn(h.operator)
	view := "/v1/tenants/" + h.tenant.Name + "/view-as"
	var got handlers.Session
	h.do("POST", view, "", s.headers()...).is(200).into(&got)
	want := s.Session
	want.ReadOnly, want.ViewAs = true, &handlers.SessionView{Tenant: h.tenant.Name, ExpiresAt: *instant(auth.ViewLife)}
	want.Tenant = &handlers.CallerTenant{Name: h.tenant.Name, ID: h.tenant.ID.String(), AccountNumber: h.tenant.AccountNumber}
	want.Scopes, want.Allowed = []string{"viewer"}, got.Allowed
	diff(t, "the view", want, got)
	h.do("GET", "/v1/session", "", s.headers()...).is(200).into(&got)
	diff(t, "the view later", want, got)

	h.do("GET", path, "", s.headers()...).is(200)
	h.do("GET", path+"/messages/"+sent.ID+"/body", "", s.headers()...).is(200)
	h.do("GET", "/v1/queues", "", s.headers("Tenant", h.newTenant().Name)...).problem(404, "tenant_not_found")
	h.do("GET", "/v1/tenants", "", s.headers()...).problem(403, "permission_denied")
	reads := 0
	for _, r := range handlers.Routes() {
		switch {
		case r.Needs == "public" || r.Operation == "endView" || r.Operation == "endSession":
		case r.Method == "GET":
			reads++
		default:
			h.do(r.Method, at(r, queueName(path), h.tenant.Name), "", s.headers()...).problem(403, "read_only_session")
		}
	}
	if reads == 0 {
		t.Error("nothing is left to read")
	}
	h.wantCounts(path, [3]int64{1, 0, 0})

	h.do("DELETE", "/v1/session/view-as", "", s.headers()...).is(200).into(&got)
	diff(t, "the session after the view", s.Session, got)
	h.do("GET", "/v1/tenants/"+h.tenant.Name, "", s.headers()...).is(200)
	h.do("DELETE", "/v1/session/view-as", "", s.headers()...).problem(404, "view_not_found")

	var log []string
	var page handlers.Page[handlers.AuditEntry]
	for _, who := range [][]string{nil, as(h.operator)} {
		target := "/v1/audit?target=" + s.ID
		if who != nil {
			target = "/v1/operator_audit?target=" + s.ID
		} else {
			h.asOperator("POST", "/v1/tenants/"+h.tenant.Name+"/resume", "").is(200)
		}
		h.do("GET", target, "", who...).is(200).into(&page)
		for _, e := range page.Data {
			log = append(log, fmt.Sprint(e.Operation, " ", e.Actor.Kind, " ", *e.Actor.SessionID == s.ID, " ", *e.Tenant == h.tenant.Name, " ", e.Outcome))
			if e.Operation == "viewAsTenant" {
				break // before it the operator has signed in
			}
		}
	}
	diff(t, "the logs of both", []string{"endView operator true true done", "viewAsTenant operator true true done",
		"endView operator true true done", "viewAsTenant operator true true done"}, log)
}

func TestAViewEnds(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	view := "/v1/tenants/" + h.tenant.Name + "/view-as"
	s := h.signIn(h.operator)
	h.do("POST", view, "", s.headers()...).is(200)
	h.clock.Advance(auth.ViewLife - time.Second)
	h.do("GET", "/v1/queues", "", s.headers()...).is(200)
	h.clock.Advance(time.Second)
	h.do("GET", "/v1/queues", "", s.headers()...).problem(422, "tenant_required")
	var got handlers.Session
	h.do("GET", "/v1/session", "", s.headers()...).is(200).into(&got)
	diff(t, "the session after the view", s.Session, got)
	// Whoever signs out is out, also out of a view.
	h.do("POST", view, "", s.headers()...).is(200)
	h.do("DELETE", "/v1/session", "", s.headers()...).is(204)
	h.do("GET", "/v1/queues", "", s.headers()...).problem(401, "session_ended")
}

func TestAViewIsForOperatorsWithASession(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	view := "/v1/tenants/" + h.tenant.Name + "/view-as"
	h.asOperator("POST", view, "").problem(422, "session_required")
	h.do("POST", view, "", h.signIn(h.key).headers()...).problem(403, "permission_denied")
	h.do("POST", view, "").problem(403, "permission_denied")
	s := h.signIn(h.operator)
	h.do("POST", "/v1/tenants/nobody/view-as", "", s.headers()...).problem(404, "tenant_not_found")
	h.do("POST", view, "", s.headers("Sec-Fetch-Site", "cross-site")...).problem(403, "cross_origin")
	// A view shows no more than the operator may see.
	few := h.signIn(strings.TrimPrefix(h.operatorFor("tenants:read", "queues:read")[1], "Bearer "))
	h.do("POST", view, "", few.headers()...).is(200)
	h.do("GET", "/v1/queues", "", few.headers()...).is(200)
	h.do("GET", "/v1/keys", "", few.headers()...).problem(403, "permission_denied")
	h.do("GET", "/v1/queues/q/messages", "", few.headers()...).problem(403, "permission_denied")
}
