package handlers_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/redistest"
)

// wantMisses waits until a log has what is wanted of sign-ins that failed: sorted, for each entry its target and how many attempts.
func (h *apiTest) wantMisses(what string, read func() []handlers.AuditEntry, want ...string) (list []handlers.AuditEntry) {
	h.Helper()
	var got []string
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		got = nil
		list = read()
		for _, e := range list {
			name := e.Target.Type
			if e.Target.Name != nil {
				name += " " + *e.Target.Name
			}
			got = append(got, name+" "+string(e.After))
		}
		slices.Sort(got)
		if slices.Equal(got, want) {
			return list
		}
		if time.Now().After(deadline) {
			h.Fatalf("%s: got %q, want %q", what, got, want)
		}
	}
}

func TestSignInsThatFailAreInTheAuditLog(t *testing.T) {
	t.Parallel()
	h := newAPITest(t, onServer(redistest.Start(t, redistest.Options{})))
	ana, strangers := email("ana"), "nobody@example.com"
	m := h.invite(ana, "viewer")
	h.accept(m, password)
	mine := func() []handlers.AuditEntry { return h.audit("?outcome=refused") }
	all := func() []handlers.AuditEntry {
		var p handlers.Page[handlers.AuditEntry]
		h.asOperator("GET", "/v1/operator_audit?outcome=refused", "").is(200).into(&p)
		return p.Data
	}
	for range 3 {
		h.trySignIn(signInBody(ana, "not the password")).problem(401, "sign_in_failed")
	}
	list := h.wantMisses("a member's", mine, `member `+m.ID+` {"attempts":3}`)
	if e := list[0]; e.Operation != "createSession" || *e.Code != "sign_in_failed" || e.Actor.Kind != "stranger" || e.SourceIP == "" || e.Tenant == nil || !e.Time.Equal(h.clock.Now()) {
		t.Errorf("the entry is %+v", e)
	}
	if got := all(); len(got) != 0 {
		t.Errorf("the operators' log has %+v", got)
	}
	h.trySignIn(signInBody(strangers, "not the password")).problem(401, "sign_in_failed")
	h.trySignIn(signInBody("not an address", "not the password")).problem(401, "sign_in_failed")
	h.trySignIn(`{"key":"slk_not_a_key"}`).problem(401, "sign_in_failed")
	h.trySignIn(`{"portal_link":"slp_not_a_link"}`).problem(401, "portal_link_ended")
	h.wantMisses("nobody's", all, `session {"attempts":4}`)
	h.trySignIn(signInBody(ana, password)).is(201)
	h.clock.Advance(10 * time.Minute)
	h.trySignIn(signInBody(ana, "not the password")).problem(401, "sign_in_failed")
	h.wantMisses("a member's, later", mine, `member `+m.ID+` {"attempts":1}`, `member `+m.ID+` {"attempts":3}`)
	for _, log := range [][]byte{h.do("GET", "/v1/audit/export", "").body, h.asOperator("GET", "/v1/operator_audit/export", "").body} {
		for _, typed := range []string{"not the password", strangers, "not an address", "slk_not", "slp_not"} {
			if bytes.Contains(log, []byte(typed)) {
				t.Errorf("a log has %q, which was typed", typed)
			}
		}
	}
}

// Who tries out many accounts fills no log.
func TestSignInsThatFailFloodNoLog(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	var want []string
	for i := range 12 {
		address := email("x")
		m := h.invite(address, "viewer")
		h.trySignIn(signInBody(address, password)).problem(401, "sign_in_failed") // which it has not yet
		if i < 10 {
			want = append(want, `member `+m.ID+` {"attempts":1}`)
		}
	}
	slices.Sort(want)
	list := h.wantMisses("of twelve", func() []handlers.AuditEntry { return h.audit("?outcome=refused") }, append(want, `member {"attempts":2}`)...)
	if i := slices.IndexFunc(list, func(e handlers.AuditEntry) bool { return e.Target.Name == nil }); list[i].SourceIP != "" {
		t.Errorf("the one of many says %+v", list[i])
	}
}
