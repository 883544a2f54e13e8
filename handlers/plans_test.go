package handlers_test

import (
	"strings"
	"testing"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/redistest"
)

func number(n int64) *int64 { return &n }

func TestPlansAndLimitsOfATenant(t *testing.T) {
	t.Parallel()
	h := newAPITest(t, onServer(redistest.Start(t, redistest.Options{NoAOF: true}))) // plans belong to the installation
	owner := "/v1/tenants/" + h.tenant.Name
	var p, got handlers.Plan
	a := h.asOperator("PUT", "/v1/plans/free", `{"limits":{"queues":2,"message_size":2048}}`, "If-None-Match", "*", "Content-Type", "application/json").is(201)
	a.into(&p)
	diff(t, "plan", handlers.Plan{Name: "free", Limits: handlers.TenantLimits{Queues: number(2), MessageSize: number(2048)},
		CreatedAt: *instant(0), UpdatedAt: *instant(0), ETag: p.ETag}, p)
	if a.header.Get("Location") != "/v1/plans/free" || a.header.Get("ETag") != `"`+p.ETag+`"` {
		t.Errorf("headers of the new plan: %v", a.header)
	}
	h.asOperator("GET", "/v1/plans/free", "").is(200).into(&got)
	diff(t, "plan, read again", p, got)
	h.asOperator("GET", "/v1/plans/free", "", "If-None-Match", `"`+p.ETag+`"`).is(304)
	var page handlers.Page[handlers.Plan]
	h.asOperator("GET", "/v1/plans", "").is(200).into(&page)
	diff(t, "plans", []handlers.Plan{p}, page.Data)

	var tn handlers.Tenant
	h.asOperator("PATCH", owner, `{"plan":"free","limits":{"message_size":4096}}`).is(200).into(&tn)
	if tn.Plan == nil || *tn.Plan != "free" {
		t.Errorf("the plan is %v", tn.Plan)
	}
	diff(t, "own limits", handlers.TenantLimits{MessageSize: number(4096)}, tn.Limits)
	diff(t, "what holds", handlers.TenantLimits{Queues: number(2), MessageSize: number(4096), Topics: number(10_000), TopicSubscriptions: number(1000),
		QueueSchedules: number(1000), Keys: number(1000)}, tn.EffectiveLimits)
	var who handlers.Caller
	h.do("GET", "/v1/whoami", "").is(200).into(&who)
	if who.Limits.MaxQueues != 2 || who.Limits.MaxMessageSize != 4096 {
		t.Errorf("the tenant sees %+v", who.Limits)
	}

	// Queues are counted, those that are made for dead letters too; other tenants are not concerned.
	path := h.queue("")
	h.json("PUT", path+"b", `{"redrive":{"dead_letter_queue":"dead","max_receives":1}}`).problem(403, "quota_exceeded")
	h.do("DELETE", "/v1/queues/dead", "").is(204)
	h.queue("")
	pr := h.do("PUT", path+"c", "").problem(403, "quota_exceeded")
	if pr.Quota != "queues" || pr.Limit != 2 || pr.Used != 2 || pr.Fix == "" {
		t.Errorf("the refusal: %+v", pr)
	}
	h.do("PUT", path, "").is(200)
	stranger := "Bearer " + h.newKey(h.newTenant().ID)
	for _, q := range []string{"a", "b", "c"} {
		h.do("PUT", "/v1/queues/"+q, "", "Authorization", stranger).is(201)
	}
	// So are bytes.
	h.sendText(path, strings.Repeat("x", 4096))
	h.do("POST", path+"/messages", strings.Repeat("x", 4097)).problem(413, "message_too_large")
	h.json("POST", path+"/messages/batch?atomic=true", `{"messages":[{"body":"a"},{"body":"`+strings.Repeat("x", 4097)+`"}]}`).problem(413, "message_too_large")
	h.wantCounts(path, [3]int64{1, 0, 0})
	h.do("POST", "/v1/queues/a/messages", strings.Repeat("x", 4097), "Authorization", stranger).is(201)

	// What is there already stays when a limit goes down, and a larger one holds at once.
	h.asOperator("PUT", "/v1/plans/free", `{"limits":{"queues":1}}`, "If-Match", `"`+p.ETag+`"`).is(200)
	h.do("PUT", path, "").is(200)
	h.do("PUT", path+"c", "").problem(403, "quota_exceeded")
	h.asOperator("PATCH", owner, `{"limits":{"queues":3,"message_size":null}}`).is(200).into(&tn)
	diff(t, "own limits after a patch", handlers.TenantLimits{Queues: number(3)}, tn.Limits)
	h.do("PUT", path+"c", "").is(201)

	h.asOperator("DELETE", "/v1/plans/free", "").problem(409, "plan_in_use")
	h.asOperator("PATCH", owner, `{"plan":null,"limits":null}`).is(200)
	h.asOperator("DELETE", "/v1/plans/free", "", "If-Match", `"x"`).problem(412, "precondition_failed")
	h.asOperator("DELETE", "/v1/plans/free", "").is(204)
	h.asOperator("DELETE", "/v1/plans/free", "").problem(404, "plan_not_found")
	h.asOperator("GET", "/v1/plans/free", "").problem(404, "plan_not_found")
}

func TestPlansAndLimitsThatAreRefused(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	owner := "/v1/tenants/" + h.tenant.Name
	before := h.asOperator("GET", owner, "").is(200).header.Get("ETag")
	for _, c := range []struct{ method, path, body, code, place string }{
		{"PUT", "/v1/plans/Free", "", "validation_failed", "/name"},
		{"PUT", "/v1/plans/x", `{"limits":{"queues":0}}`, "validation_failed", "/limits/queues"},
		{"PUT", "/v1/plans/x", `{"limits":{"queues":1.5}}`, "validation_failed", "/limits/queues"},
		{"PUT", "/v1/plans/x", `{"limits":{"message_size":"1k"}}`, "validation_failed", "/limits/message_size"},
		{"PUT", "/v1/plans/x", `{"limits":{"queue":1}}`, "unknown_field", "/limits/queue"},
		{"PUT", "/v1/plans/x", `{"limits":[]}`, "validation_failed", "/limits"},
		{"PUT", "/v1/plans/x", `{"queues":1}`, "unknown_field", "/queues"},
		{"PUT", "/v1/plans/x", `{"etag":"x"}`, "unknown_field", "/etag"},
		{"PATCH", owner, `{"limits":{"queues":100001}}`, "validation_failed", "/limits/queues"},
		{"PATCH", owner, `{"limits":7}`, "validation_failed", "/limits"},
		{"PATCH", owner, `{"plan":"nothing"}`, "validation_failed", "/plan"},
		{"PUT", owner, `{"plan":7}`, "validation_failed", "/plan"},
		{"PUT", owner, `{"effective_limits":{}}`, "unknown_field", "/effective_limits"},
	} {
		p := h.asOperator(c.method, c.path, c.body, "Content-Type", "application/json").problem(422, c.code)
		if firstPlace(p) != c.place {
			t.Errorf("%s %s %s: the fault is at %q, want %q", c.method, c.path, c.body, firstPlace(p), c.place)
		}
	}
	h.asOperator("GET", "/v1/plans/x", "").problem(404, "plan_not_found")
	if got := h.asOperator("GET", owner, "").is(200).header.Get("ETag"); got != before {
		t.Error("refused requests changed the tenant")
	}
}
