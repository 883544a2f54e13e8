package handlers_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/redistest"
)

func TestEveryChangeIsInTheAuditLogOrDecidedNotToBe(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, r := range handlers.Routes() {
		has, hasNot := handlers.Audited(r.Operation)
		reads := r.Method == http.MethodGet && r.Operation != "finishSignIn" // which a browser is led to
		switch {
		case reads && (has || hasNot):
			t.Errorf("%s changes nothing, and audited.go names it", r.Operation)
		case !reads && has == hasNot:
			t.Errorf("%s changes something: it belongs into either changes or messaging in audited.go", r.Operation)
		}
		known[r.Operation] = true
	}
	for _, name := range handlers.AuditedOperations() {
		if !known[name] {
			t.Errorf("audited.go names %s, which is no operation", name)
		}
	}
}

// audit returns what the log shows of a query, latest first.
func (h *apiTest) audit(query string, headers ...string) []handlers.AuditEntry {
	h.Helper()
	var p handlers.Page[handlers.AuditEntry]
	h.do("GET", "/v1/audit"+query, "", headers...).is(200).into(&p)
	return p.Data
}

func toldOf(list []handlers.AuditEntry) string {
	var b strings.Builder
	for _, e := range list {
		name, code := "-", ""
		if e.Target.Name != nil {
			name = *e.Target.Name
		}
		if e.Code != nil {
			code = " " + *e.Code
		}
		fmt.Fprintf(&b, "%s %s %s %s%s\n", e.Operation, e.Target.Type, name, e.Outcome, code)
	}
	return b.String()
}

// member returns a member of a state.
func member(t *testing.T, state json.RawMessage, name string) string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(state, &m); err != nil {
		t.Fatalf("%s: %v", state, err)
	}
	return string(m[name])
}

func TestTheAuditLogTellsWhoChangedWhat(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	var who handlers.Caller
	h.do("GET", "/v1/whoami", "").is(200).into(&who)
	h.json("PUT", "/v1/queues/orders", `{"delay":1}`).is(201)
	h.clock.Advance(time.Second)
	answer := h.json("PATCH", "/v1/queues/orders", `{"delay":2}`).is(200)
	h.json("PATCH", "/v1/queues/orders", `{"delay":2}`).is(200)   // as it was
	h.json("PATCH", "/v1/queues/orders", `{"delay":-1}`).is(422)  // impossible
	h.do("DELETE", "/v1/queues/nowhere", "").is(404)              // not there
	h.sendText("/v1/queues/orders", "no change of what there is") // a message
	h.json("POST", "/v1/queues/orders/pause", `{"direction":"send","reason":"x"}`).is(200)
	h.json("PUT", "/v1/queues/orders/schedules/s", `{"every":3600,"message":{"body":"S3CRET"}}`).is(201)
	h.json("PUT", "/v1/queues/orders/schedules/s", `{"every":3600,"message":{"body":"S3CRET-2"}}`).is(200)
	var key, next handlers.CreatedKey
	h.json("POST", "/v1/keys", `{"name":"k","scopes":["viewer"],"aws":true}`).is(201).into(&key)
	var rotated handlers.RotatedKey
	h.json("POST", "/v1/keys/"+key.ID+"/rotate", `{}`).is(201).into(&rotated)
	next = rotated.CreatedKey
	h.do("DELETE", "/v1/keys/"+next.ID, "").is(204)
	h.json("POST", "/v1/queues/orders/purge", `{"confirm":"orders","older_than":1}`).is(202)
	h.do("DELETE", "/v1/queues/orders", "").is(204)
	list := h.audit("?limit=100")
	diff(t, "the log", strings.Join([]string{
		"deleteQueue queue orders done",
		"purgeQueue queue orders done",
		"revokeKey key " + next.ID + " done",
		"rotateKey key " + key.ID + " done",
		"createKey key " + key.ID + " done",
		"putSchedule schedule s done",
		"putSchedule schedule s done",
		"pauseQueue queue orders done",
		"updateQueue queue orders done",
		"putQueue queue orders done", ""}, "\n"), toldOf(list))
	update := list[8]
	name := "orders"
	diff(t, "the change", handlers.AuditEntry{ID: update.ID, Time: *instant(time.Second), Operation: "updateQueue", Outcome: "done",
		Actor: handlers.AuditActor{Kind: "tenant", KeyID: who.Key.ID}, Tenant: &h.tenant.Name, SourceIP: "127.0.0.1",
		RequestID: answer.header.Get("Request-Id"), Target: handlers.AuditTarget{Type: "queue", Name: &name},
		Before: update.Before, After: update.After}, update)
	diff(t, "delay before", "1", member(t, update.Before, "delay"))
	diff(t, "delay after", "2", member(t, update.After, "delay"))
	diff(t, "nothing before the creation", "null", string(list[9].Before))
	diff(t, "nothing after the deletion", "null", string(list[0].After))
	diff(t, "the key after its rotation", `"`+next.ID+`"`, member(t, list[3].After, "replaced_by"))
	raw := h.do("GET", "/v1/audit?limit=100", "").is(200)
	for _, secret := range []string{"S3CRET", key.Key, next.Key, key.AWS.SecretAccessKey, next.AWS.SecretAccessKey, h.key} {
		if strings.Contains(string(raw.body), secret) {
			t.Errorf("the log shows %s: %s", secret, raw.body)
		}
	}
	// The export has the same, and so have the pages.
	lines := strings.Split(strings.TrimSuffix(string(h.do("GET", "/v1/audit/export?operation=putSchedule", "").is(200).body), "\n"), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], list[5].ID) || !strings.Contains(lines[1], list[6].ID) {
		t.Errorf("the export has %d lines: %q", len(lines), lines)
	}
	var one, two handlers.Page[handlers.AuditEntry]
	h.do("GET", "/v1/audit?limit=9", "").is(200).into(&one)
	h.do("GET", "/v1/audit?limit=9&cursor="+*one.NextCursor, "").is(200).into(&two)
	diff(t, "two pages", toldOf(list), toldOf(append(one.Data, two.Data...)))
	h.do("GET", "/v1/audit?limit=9&target=orders&cursor="+*one.NextCursor, "").problem(422, "validation_failed")
	for query, want := range map[string]int{"actor=" + who.Key.ID: 10, "actor=key_x": 0, "target=orders": 5, "outcome=refused": 0, "operation=putQueue": 1,
		"to=2026-03-01T12:00:01Z": 1, "from=2026-03-01T12:00:01Z": 9} {
		if got := h.audit("?limit=100&" + query); len(got) != want {
			t.Errorf("%s: %d entries, want %d", query, len(got), want)
		}
	}
	for _, query := range []string{"from=yesterday", "to=1", "outcome=good", "limit=501", "who=x"} {
		h.do("GET", "/v1/audit?"+query, "").is(422)
	}
}

func TestTheAuditLogTellsWhoWasRefused(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	queue := queueName(path)
	viewer := h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"viewer", "keys:write"}, Queues: []string{queue}})
	token := h.token(`{}`, viewer...)
	h.do("DELETE", path, "", viewer...).problem(403, "permission_denied")
	h.json("POST", "/v1/keys", `{"scopes":["*"]}`, as(token.AccessToken)...).problem(403, "permission_denied")
	h.do("DELETE", path, "", "Authorization", "").problem(401, "unauthenticated")
	h.do("POST", path+"/messages", "x", viewer...).problem(403, "permission_denied") // no change of what there is
	list := h.audit("")
	diff(t, "the log", "createKey key - refused permission_denied\ndeleteQueue queue "+queue+" refused permission_denied\nputQueue queue "+queue+" done\n", toldOf(list))
	diff(t, "the token", &token.ID, list[0].Actor.TokenID)
	diff(t, "the token's key", token.KeyID, list[0].Actor.KeyID)
	// A key that is limited to some queues sees what was done to those.
	h.queue("")
	diff(t, "seen by the limited key", toldOf(list[1:]), toldOf(h.audit("", viewer...)))
	if all := h.audit(""); len(all) != 4 {
		t.Errorf("%d entries, want 4", len(all))
	}
}

func TestAKeyThatWasInAURLIsInTheAuditLog(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	other := h.newTenant()
	var key handlers.CreatedKey
	h.json("POST", "/v1/keys", `{"scopes":["viewer"]}`).is(201).into(&key)
	operator := as(h.operator)
	var who handlers.Caller
	h.do("GET", "/v1/whoami", "", operator...).is(200).into(&who)
	made := toldOf(h.audit(""))
	for path, credential := range map[string]string{
		"/v1/queues?key=": "slk_x", "/v1/queues/q/messages?limit=1&api_key=": key.Key[:len(key.Key)-1] + "x", "/v1/topics?token=": "",
	} {
		h.do("GET", path+credential, "", "Authorization", "").problem(400, "credentials_in_url")
	}
	diff(t, "the log after what is no key", made, toldOf(h.audit("")))
	answer := h.do("GET", "/v1/queues/q/messages?Access_Token="+url.QueryEscape(key.Key), "", "Authorization", "").is(400)
	h.do("DELETE", "/v1/queues/q?api-key="+h.operator, "").problem(400, "credentials_in_url")
	list := h.audit("")
	diff(t, "the log", "peekMessages key "+key.ID+" refused credentials_in_url\n"+made, toldOf(list))
	diff(t, "its actor", handlers.AuditActor{Kind: "tenant", KeyID: key.ID}, list[0].Actor)
	diff(t, "its request", answer.header.Get("Request-Id"), list[0].RequestID)
	diff(t, "another tenant's log", "", toldOf(h.audit("", h.keyFor(other.ID, auth.NewKey{})...)))
	var p handlers.Page[handlers.AuditEntry]
	h.asOperator("GET", "/v1/operator_audit?outcome=refused&actor="+who.Key.ID, "").is(200).into(&p)
	diff(t, "the operators' log", "deleteQueue operator_key "+who.Key.ID+" refused credentials_in_url\n", toldOf(p.Data))
	for _, log := range []string{"/v1/audit", "/v1/operator_audit"} {
		if raw := h.asOperator("GET", log, "", "Tenant", h.tenant.Name).is(200); strings.Contains(string(raw.body), key.Key) || strings.Contains(string(raw.body), h.operator) {
			t.Errorf("%s shows a key", log)
		}
	}
}

func TestWhatOperatorsDoIsInTheirLogAndInTheTenants(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	other := h.newTenant()
	me := append(as(h.operator), "Tenant", h.tenant.Name)
	h.json("PUT", "/v1/queues/theirs", "", me...).is(201)
	var key handlers.CreatedKey
	h.asOperator("POST", "/v1/tenants/"+h.tenant.Name+"/keys", `{}`).is(201).into(&key)
	name := "made" + h.tenant.Name
	h.asOperator("PUT", "/v1/tenants/"+name, `{"labels":{"a":"b"}}`).is(201)
	h.asOperator("DELETE", "/v1/tenants/"+name, "").is(204)
	limited := h.operatorFor("tenants:read")
	h.do("DELETE", "/v1/tenants/"+h.tenant.Name, "", limited...).problem(403, "permission_denied")
	h.do("DELETE", "/v1/tenants/"+h.tenant.Name, "").problem(403, "permission_denied") // with the tenant's own key
	tenants := "createTenantKey key " + key.ID + " done\nputQueue queue theirs done\n"
	diff(t, "the tenant's log", "deleteTenant tenant "+h.tenant.Name+" refused permission_denied\n"+tenants, toldOf(h.audit("")))
	diff(t, "another tenant's log", "", toldOf(h.audit("", h.keyFor(other.ID, auth.NewKey{})...)))
	of := func(key []string) string {
		var who handlers.Caller
		h.do("GET", "/v1/whoami", "", key...).is(200).into(&who)
		var p handlers.Page[handlers.AuditEntry]
		h.asOperator("GET", "/v1/operator_audit?actor="+who.Key.ID, "").is(200).into(&p)
		for _, e := range p.Data {
			if e.Tenant == nil || *e.Tenant != h.tenant.Name && *e.Tenant != name {
				t.Errorf("%s has the tenant %v", e.Operation, e.Tenant)
			}
		}
		export := h.asOperator("GET", "/v1/operator_audit/export?actor="+who.Key.ID, "").is(200)
		diff(t, "lines of the export", len(p.Data), strings.Count(string(export.body), "\n"))
		return toldOf(p.Data)
	}
	diff(t, "the operators' log", "deleteTenant tenant "+name+" done\nputTenant tenant "+name+" done\n"+tenants, of(as(h.operator)))
	diff(t, "the operators' log of another one", "deleteTenant tenant "+h.tenant.Name+" refused permission_denied\n", of(limited))
	h.do("GET", "/v1/operator_audit", "").problem(403, "permission_denied")
	// With the tenant goes its log.
	h.do("DELETE", "/v1/queues/theirs", "", me...).is(204)
	h.asOperator("DELETE", "/v1/tenants/"+h.tenant.Name, "").is(204)
	h.clock.Advance(4 * time.Second) // for which a server believes a name
	h.json("PUT", "/v1/queues/late", "", me...).problem(404, "tenant_not_found")
}

func TestNothingIsChangedThatTheAuditLogCannotTell(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, redistest.Options{})
	h := newAPITest(t, onServer(redis), hurried)
	h.json("PUT", "/v1/queues/orders", `{"delay":1}`).is(201)
	h.do("GET", "/v1/queues/orders", "").is(200)
	redis.Pause()
	p := h.json("PATCH", "/v1/queues/orders", `{"delay":2}`).problem(503, "not_ready")
	if !strings.Contains(p.Detail, "Nothing was changed") {
		t.Errorf("detail %q", p.Detail)
	}
	redis.Cont()
	until(t, "Redis answers", func() bool { return h.do("GET", "/v1/queues/orders", "").status == 200 })
	var q handlers.Queue
	h.do("GET", "/v1/queues/orders", "").is(200).into(&q)
	diff(t, "delay", 1, q.Delay)
}

func TestARedriveThatOnlyCountsIsNotInTheAuditLog(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	_, dead := h.deadLetters("one", "two")
	h.json("POST", dead+"/redrive?dry_run=true", `{"limit":1}`).is(200)
	if list := h.audit("?operation=redriveQueue"); len(list) != 0 {
		t.Errorf("the log says of a dry run: %s", toldOf(list))
	}
	h.json("POST", dead+"/redrive", `{}`).is(202)
	if list := h.audit("?operation=redriveQueue"); len(list) != 1 || list[0].Outcome != "done" {
		t.Errorf("the log says of a redrive: %s", toldOf(list))
	}
}
