package handlers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
)

// A tenant that has stored all it may is told so with 507, for each message of a batch, and everything else goes on.
func TestATenantThatHasStoredAllItMayIsTold(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path, other := h.queue(""), h.queue("")
	h.json("PUT", "/v1/topics/news", "").is(201)
	half := strings.Repeat("x", 500_000)

	h.asOperator("PUT", "/v1/plans/tiny", `{"limits":{"stored_bytes":1000}}`).problem(422, "validation_failed")
	h.limited(`{"stored_bytes":1048576}`)
	h.do("POST", path+"/messages", half).is(201)
	h.do("POST", other+"/messages", half).is(201)
	a := h.do("POST", path+"/messages", half)
	p := a.problem(507, "storage_full")
	if p.Quota != "stored_bytes" || p.Limit != 1<<20 || p.Used < 1_000_000 || p.Used > p.Limit || p.Fix == "" || a.header.Get("Retry-After") == "" {
		t.Errorf("%+v", p)
	}
	h.do("POST", "/v1/topics/news/messages", half[:200_000]).problem(507, "storage_full")
	var r handlers.Results
	h.json("POST", path+"/messages/batch", `{"messages":[{"body":"a"},{"body":"`+half+`"},{"body":"c"}]}`).is(207).into(&r)
	for i, want := range []int{201, 507, 201} {
		if r.Results[i].Status != want {
			t.Errorf("message %d of a batch: %+v", i, r.Results[i])
		}
	}
	h.json("POST", path+"/messages/batch?atomic=true", `{"messages":[{"body":"a"},{"body":"`+half+`"}]}`).problem(507, "storage_full")

	// What is used is shown.
	var who handlers.Caller
	h.do("GET", "/v1/whoami", "").is(200).into(&who)
	var tn handlers.Tenant
	h.asOperator("GET", "/v1/tenants/"+h.tenant.Name, "").is(200).into(&tn)
	for _, used := range []*int64{who.Limits.StoredBytesUsed, tn.StoredBytesUsed} {
		if used == nil || *used < 1_000_300 || *used > 1<<20 {
			t.Errorf("used: %v, want a little over 1,000,300", used)
		}
	}
	if l := who.Limits.StoredBytes; l == nil || *l != 1<<20 {
		t.Errorf("whoami says %v", l)
	}

	// Another tenant is not concerned; and it gets on as soon as there is room, by a higher limit or by fewer messages.
	me := h.tenant
	h.tenant = h.newTenant()
	key := h.newKey(h.tenant.ID)
	h.do("PUT", path, "", "Authorization", "Bearer "+key).is(201)
	h.do("POST", path+"/messages", half, "Authorization", "Bearer "+key).is(201)
	h.tenant = me
	h.limited(`{"stored_bytes":2097152}`)
	h.do("POST", path+"/messages", half).is(201)
	h.limited(`{"stored_bytes":1048576}`)
	h.do("POST", path+"/messages", "x").problem(507, "storage_full")
	for _, q := range []string{path, other} {
		for _, m := range h.receive(q, 10) {
			h.do("DELETE", m.AckURL, "").is(204)
		}
	}
	h.clock.Advance(time.Minute)
	h.do("POST", path+"/messages", half).is(201)
	h.limited(`{"stored_bytes":null}`)
	h.do("GET", "/v1/whoami", "").is(200).into(&who)
	if who.Limits.StoredBytes != nil || who.Limits.StoredBytesUsed != nil {
		t.Errorf("without a limit whoami says %+v", who.Limits)
	}
	h.do("POST", path+"/messages", strings.Repeat(half, 2)).is(201)
}
