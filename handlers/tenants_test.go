package handlers_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/monitor"
	"github.com/sluicemq/sluice/tenants"
)

func basic(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

// asOperator is do with the operator's key.
func (h *apiTest) asOperator(method, path, body string, headers ...string) *answer {
	h.Helper()
	return h.do(method, path, body, append([]string{"Authorization", "Bearer " + h.operator}, headers...)...)
}

func TestATenantIsMadeChangedAndDeleted(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	name := fmt.Sprintf("acme%d-%d", os.Getpid(), names.Add(1))
	path := "/v1/tenants/" + name
	account := fmt.Sprintf("%012d", 700_000_000_000+int64(os.Getpid())*1000+names.Add(1))
	var tn, got handlers.Tenant
	a := h.asOperator("PUT", path, `{"account_number":"`+account+`","labels":{"plan":"big"}}`).is(201)
	a.into(&tn)
	diff(t, "tenant", handlers.Tenant{Name: name, ID: tn.ID, AccountNumber: account, State: "active",
		Labels: map[string]string{"plan": "big"}, EffectiveLimits: tn.EffectiveLimits, CreatedAt: *instant(0), UpdatedAt: *instant(0), ETag: tn.ETag}, tn)
	if a.header.Get("Location") != path || a.header.Get("ETag") != `"`+tn.ETag+`"` {
		t.Errorf("headers of the new tenant: %v", a.header)
	}
	h.asOperator("GET", path, "").is(200).into(&got)
	tn.Activity = &handlers.TenantActivity{}
	diff(t, "tenant, read again", tn, got)
	h.asOperator("GET", path, "", "If-None-Match", `"`+tn.ETag+`"`).is(304)
	h.asOperator("PUT", path, "{}", "If-Match", `"x"`).problem(412, "precondition_failed")
	h.asOperator("PUT", path, "{}", "If-Match", `"x", "`+tn.ETag+`"`).is(200).into(&got)
	diff(t, "labels after a PUT without", map[string]string{}, got.Labels)
	h.asOperator("PUT", path, `{"account_number":"123456789012"}`).problem(409, "account_fixed")
	h.asOperator("PUT", path+"2", `{"account_number":"`+account+`"}`).problem(409, "account_taken")

	var page handlers.Page[handlers.Tenant]
	h.asOperator("GET", "/v1/tenants?prefix="+name, "").is(200).into(&page)
	got.Activity = &handlers.TenantActivity{}
	diff(t, "list", []handlers.Tenant{got}, page.Data)

	var made handlers.CreatedKey
	h.asOperator("POST", path+"/keys", `{"name":"ci","scopes":["messages:send","queues:*"],"expires_at":"2026-03-01T13:00:00Z"}`).is(201).into(&made)
	expires := instant(time.Hour)
	details := handlers.KeyDetails{ID: made.ID, Name: "ci", Kind: "tenant", Scopes: []string{"messages:send", "queues:*"}, CreatedAt: *instant(0), ExpiresAt: expires}
	diff(t, "key", handlers.CreatedKey{Key: made.Key, KeyDetails: details}, made)
	var keys handlers.Page[handlers.Key]
	list := h.asOperator("GET", path+"/keys", "").is(200)
	list.into(&keys)
	diff(t, "keys", []handlers.Key{{KeyDetails: details, Calls24h: new(int64)}}, keys.Data)
	if strings.Contains(string(list.body), made.Key) {
		t.Error("the list shows the key")
	}

	asTenant := []string{"Authorization", "Bearer " + made.Key}
	h.do("PUT", "/v1/queues/q", "", asTenant...).is(201)
	h.asOperator("GET", "/v1/queues/q", "", "Tenant", name).is(200)
	h.asOperator("DELETE", path, "").problem(409, "tenant_not_empty")
	h.do("DELETE", "/v1/queues/q", "", asTenant...).is(204)

	h.asOperator("DELETE", path+"/keys/key_x", "").problem(404, "key_not_found")
	h.asOperator("DELETE", path+"/keys/"+made.ID, "").is(204)
	h.asOperator("DELETE", path+"/keys/"+made.ID, "").problem(404, "key_not_found")
	h.do("GET", "/v1/whoami", "", asTenant...).problem(401, "unauthenticated")

	h.asOperator("POST", path+"/keys", "").is(201).into(&made)
	asTenant[1] = "Bearer " + made.Key
	h.do("GET", "/v1/whoami", "", asTenant...).is(200)
	h.asOperator("DELETE", path, "", "If-Match", `"x"`).problem(412, "precondition_failed")
	h.asOperator("DELETE", path, "").is(204)
	h.asOperator("DELETE", path, "").problem(404, "tenant_not_found")
	h.asOperator("GET", path, "").problem(404, "tenant_not_found")
	h.asOperator("GET", path+"/keys", "").problem(404, "tenant_not_found")
	h.asOperator("POST", path+"/keys", "").problem(404, "tenant_not_found")
	h.do("GET", "/v1/whoami", "", asTenant...).problem(401, "unauthenticated")
}

// An operator sees which tenants are the busiest and hold most, and a tenant does not see the others.
func TestTenantsAreSortedByWhatTheyHoldAndDo(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	prefix := fmt.Sprintf("sorted%d-%d-", os.Getpid(), names.Add(1))
	send := func(tenant string, n int) {
		for range n {
			h.asOperator("POST", "/v1/queues/q/messages", "hello", "Tenant", prefix+tenant, "Content-Type", "text/plain").is(201)
		}
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		h.asOperator("PUT", "/v1/tenants/"+prefix+name, "").is(201)
		h.asOperator("PUT", "/v1/queues/q", "", "Tenant", prefix+name).is(201)
	}
	send("b", 5)
	send("c", 2)
	h.span()
	send("c", 2)
	send("d", 1)
	h.asOperator("POST", "/v1/queues/q/receive?max=2", "", "Tenant", prefix+"b").is(200)
	h.span()

	wantNames := func(query string, want ...string) {
		t.Helper()
		var got []string
		for cursor := ""; ; {
			var page handlers.Page[handlers.Tenant]
			h.asOperator("GET", "/v1/tenants?prefix="+prefix+query+"&limit=3"+cursor, "").is(200).into(&page)
			for _, tn := range page.Data {
				got = append(got, strings.TrimPrefix(tn.Name, prefix))
			}
			if page.NextCursor == nil {
				break
			}
			cursor = "&cursor=" + *page.NextCursor
		}
		diff(t, query, want, got)
	}
	wantNames("", "a", "b", "c", "d")
	wantNames("&sort=-name", "d", "c", "b", "a")
	wantNames("&sort=-available", "c", "b", "d", "a")
	wantNames("&sort=available", "a", "d", "b", "c")
	wantNames("&sort=-in_flight", "b", "a", "c", "d")
	wantNames("&sort=-sent_rate", "c", "d", "a", "b")
	wantNames("&sort=-received_rate", "b", "a", "c", "d")
	for name, n := range map[string]int64{"b": 7, "d": 9} {
		tn, err := h.tenants.Get(t.Context(), prefix+name)
		h.must(err)
		h.api.Meter.Add(tn.ID, tenants.KindTenant, "", tenants.MetricThrottled, n)
		h.api.Meter.Add(tn.ID, tenants.KindTenant, "", tenants.MetricUndelivered, 10-n)
	}
	h.api.Meter.Flush(t.Context())
	wantNames("&sort=-throttled", "d", "b", "a", "c")
	wantNames("&sort=-undelivered", "b", "d", "a", "c")

	var b, a handlers.Tenant
	h.asOperator("GET", "/v1/tenants/"+prefix+"b", "").is(200).into(&b)
	diff(t, "what b holds and does", &handlers.TenantActivity{Available: 3, InFlight: 2, Bytes: b.Activity.Bytes, Rates: handlers.Rates{Received: 0.2}, Throttled: 7, Undelivered: 3, LastActiveAt: instant(2 * monitor.Step)}, b.Activity)
	if b.Activity.Bytes < 25 {
		t.Errorf("b holds %d bytes", b.Activity.Bytes)
	}
	h.asOperator("DELETE", "/v1/queues/q", "", "Tenant", prefix+"b").is(204)
	h.asOperator("DELETE", "/v1/tenants/"+prefix+"b", "").is(204)
	wantNames("&sort=-in_flight", "a", "c", "d")
	h.asOperator("PUT", "/v1/tenants/"+prefix+"a", "{}").is(200).into(&a)
	if a.Activity != nil {
		t.Errorf("after a change: %+v", a.Activity)
	}

	var page handlers.Page[handlers.Tenant]
	h.asOperator("GET", "/v1/tenants?sort=-available&limit=1", "").is(200).into(&page)
	for _, query := range []string{"?sort=-bytes&cursor=" + *page.NextCursor, "?cursor=" + *page.NextCursor, "?sort=oldest_age", "?sort="} {
		h.asOperator("GET", "/v1/tenants"+query, "").problem(422, "validation_failed")
	}
	h.do("GET", "/v1/tenants?sort=-available", "").problem(403, "permission_denied")
}

func TestTenantsAndKeysRefuseBadInput(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := "/v1/tenants/" + h.tenant.Name
	before := h.asOperator("GET", path, "").is(200).header.Get("ETag")
	for _, c := range []struct {
		method, path, body string
		status             int
		code, place        string
	}{
		{"PUT", path, `{"account_number":1}`, 422, "validation_failed", "/account_number"},
		{"PUT", path, `{"account_number":"1"}`, 422, "validation_failed", "/account_number"},
		{"PUT", path, `{"labels":["a"]}`, 422, "validation_failed", "/labels"},
		{"PUT", path, `{"labels":{"a/b":7}}`, 422, "validation_failed", "/labels/a~1b"},
		{"PUT", path, `{"labels":{"":"x"}}`, 422, "validation_failed", "/labels"},
		{"PUT", path, `{"id":"x"}`, 422, "unknown_field", "/id"},
		{"PUT", path, `{"tenant_id":"x","owner":"y"}`, 422, "unknown_field", "/tenant_id"},
		{"PUT", path, `{"quota":1,"labels":7}`, 422, "validation_failed", "/quota"},
		{"PUT", path, `{"role":"operator"}`, 422, "unknown_field", "/role"},
		{"PUT", "/v1/tenants/A%7Bx%7D", "", 422, "validation_failed", "/name"},
		{"PUT", "/v1/tenants/a%0Ab", "", 422, "validation_failed", "/name"},
		{"PUT", "/v1/tenants/a:b", "", 422, "validation_failed", "/name"},
		{"PUT", "/v1/tenants/a%2Fb", "", 422, "validation_failed", "/name"},
		{"GET", "/v1/tenants/a%2Fb", "", 404, "tenant_not_found", ""},
		{"GET", "/v1/tenants/a%00b", "", 404, "tenant_not_found", ""},
		{"DELETE", "/v1/tenants/%FF", "", 404, "tenant_not_found", ""},
		{"GET", "/v1/tenants?limit=0", "", 422, "validation_failed", "limit"},
		{"GET", "/v1/tenants?limit=501", "", 422, "validation_failed", "limit"},
		{"GET", "/v1/tenants?cursor=x", "", 422, "validation_failed", "cursor"},
		{"GET", "/v1/tenants?sort=-oldest_age", "", 422, "validation_failed", "sort"},
		{"POST", path + "/keys", `{"name":7}`, 422, "validation_failed", "/name"},
		{"POST", path + "/keys", `{"name":"a\u0000"}`, 422, "validation_failed", "/name"},
		{"POST", path + "/keys", `{"scopes":"*"}`, 422, "validation_failed", "/scopes"},
		{"POST", path + "/keys", `{"scopes":["a b"]}`, 422, "validation_failed", "/scopes/0"},
		{"POST", path + "/keys", `{"scopes":[` + strings.Repeat(`"a",`, 50) + `"a"]}`, 422, "validation_failed", "/scopes"},
		{"POST", path + "/keys", `{"scopes":["queues:everything"]}`, 422, "validation_failed", "/scopes/0"},
		{"POST", path + "/keys", `{"scopes":["tenants:read"]}`, 422, "validation_failed", "/scopes/0"},
		{"POST", path + "/keys", `{"scopes":[]}`, 422, "validation_failed", "/scopes"},
		{"POST", path + "/keys", `{"queues":[]}`, 422, "validation_failed", "/queues"},
		{"POST", path + "/keys", `{"queues":["a/b"]}`, 422, "validation_failed", "/queues/0"},
		{"POST", path + "/keys", `{"allowed_ips":[]}`, 422, "validation_failed", "/allowed_ips"},
		{"POST", path + "/keys", `{"allowed_ips":["10.0.0.0/8","localhost"]}`, 422, "validation_failed", "/allowed_ips/1"},
		{"POST", path + "/keys", `{"expires_at":"tomorrow"}`, 422, "validation_failed", "/expires_at"},
		{"POST", path + "/keys", `{"expires_at":"2020-01-01T00:00:00Z"}`, 422, "validation_failed", "/expires_at"},
		{"POST", path + "/keys", `{"expires_at":7}`, 422, "validation_failed", "/expires_at"},
		{"POST", path + "/keys", `{"kind":"operator"}`, 422, "unknown_field", "/kind"},
		{"POST", path + "/keys", `[]`, 422, "validation_failed", ""},
		{"POST", path + "/keys", `{"name":"x"`, 400, "malformed_request", ""},
	} {
		p := h.asOperator(c.method, c.path, c.body, "Content-Type", "application/json").problem(c.status, c.code)
		if place := firstPlace(p); place != c.place {
			t.Errorf("%s %s %s: the fault is at %q, want %q", c.method, c.path, c.body, place, c.place)
		}
	}
	h.asOperator("POST", path+"/keys", "", "Idempotency-Key", "k").problem(422, "idempotency_key_not_supported")
	var keys handlers.Page[handlers.Key]
	h.asOperator("GET", path+"/keys", "").is(200).into(&keys)
	if len(keys.Data) != 1 {
		t.Errorf("refused requests left %d keys, want the first one only", len(keys.Data))
	}
	if got := h.asOperator("GET", path, "").is(200).header.Get("ETag"); got != before {
		t.Errorf("refused requests changed the tenant: ETag %s, want %s", got, before)
	}
}

// firstPlace returns where the first fault of a problem is.
func firstPlace(p handlers.Problem) string {
	if len(p.Errors) == 0 {
		return ""
	}
	return p.Errors[0].Pointer + p.Errors[0].Header + p.Errors[0].Query
}

func TestWhatOneTenantHasNobodyElseSees(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	name := queueName(path)
	sent := h.sendText(path, "secret")
	held := h.receive(path, 1)[0]
	var task handlers.Task
	other := h.queue("")
	h.json("POST", other+"/purge", `{"confirm":"`+queueName(other)+`"}`).is(202).into(&task)
	var peeked handlers.Page[handlers.Queue]
	h.do("GET", "/v1/queues?limit=1", "").is(200).into(&peeked)

	stranger := "Bearer " + h.newKey(h.newTenant().ID)
	as := func(method, path, body string) *answer {
		return h.json(method, path, body, "Authorization", stranger)
	}
	// Everything of the other tenant is as if it were not there.
	for _, c := range []struct{ method, path, body, code string }{
		{"GET", path, "", "queue_not_found"},
		{"PATCH", path, `{"delay":1}`, "queue_not_found"},
		{"DELETE", path, "", "queue_not_found"},
		{"POST", path + "/purge", `{"confirm":"` + name + `"}`, "queue_not_found"},
		{"POST", path + "/messages", "x", "queue_not_found"},
		{"POST", path + "/messages/batch", `{"messages":[{"body":"x"}]}`, "queue_not_found"},
		{"GET", path + "/messages", "", "queue_not_found"},
		{"GET", path + "/messages/" + sent.ID, "", "queue_not_found"},
		{"GET", path + "/messages/" + sent.ID + "/body", "", "queue_not_found"},
		{"DELETE", path + "/messages/" + sent.ID, "", "queue_not_found"},
		{"POST", path + "/receive", "", "queue_not_found"},
		{"POST", path + "/receive", `{"ack":["` + held.ReceiptHandle + `"]}`, "queue_not_found"},
		{"DELETE", path + "/receipts/" + held.ReceiptHandle, "", "queue_not_found"},
		{"PATCH", path + "/receipts/" + held.ReceiptHandle, `{"delay":0}`, "queue_not_found"},
		{"POST", path + "/ack", `{"ack":["` + held.ReceiptHandle + `"]}`, "queue_not_found"},
		{"GET", "/v1/tasks/" + task.ID, "", "task_not_found"},
	} {
		as(c.method, c.path, c.body).problem(404, c.code)
	}
	var list handlers.Page[handlers.Queue]
	as("GET", "/v1/queues", "").is(200).into(&list)
	var tasks handlers.Page[handlers.Task]
	as("GET", "/v1/tasks", "").is(200).into(&tasks)
	if len(list.Data)+len(tasks.Data) != 0 {
		t.Errorf("the stranger sees %v and %v", list.Data, tasks.Data)
	}
	as("GET", "/v1/queues?limit=1&cursor="+*peeked.NextCursor, "").is(200).into(&list)
	if len(list.Data) != 0 {
		t.Errorf("by another's cursor the stranger sees %v", list.Data)
	}
	// A queue of the same name is another queue, and takes neither receipts nor ids of the first.
	as("PUT", path, "").is(201)
	as("DELETE", path+"/receipts/"+held.ReceiptHandle, "").problem(404, "receipt_handle_invalid")
	as("PATCH", path+"/receipts/"+held.ReceiptHandle, `{"delay":0}`).problem(404, "receipt_handle_invalid")
	as("GET", path+"/messages/"+sent.ID, "").problem(404, "message_not_found")
	as("DELETE", path+"/messages/"+sent.ID, "").problem(404, "message_not_found")
	var done handlers.Results
	as("POST", path+"/ack", `{"ack":["`+held.ReceiptHandle+`"]}`).is(207).into(&done)
	if done.Results[0].Status != 404 || done.Results[0].Error.Code != "receipt_handle_invalid" {
		t.Errorf("ack by a stranger: got %+v", done.Results[0])
	}
	for _, key := range []string{"k", "k"} { // the same idempotency key means nothing across tenants
		h.do("POST", path+"/messages", "mine", "Idempotency-Key", key).is(201)
		h.do("POST", path+"/messages", "theirs", "Idempotency-Key", key, "Authorization", stranger).is(201)
	}
	h.wantCounts(path, [3]int64{1, 1, 0})
	h.do("DELETE", path+"/receipts/"+held.ReceiptHandle, "").is(204)
}
