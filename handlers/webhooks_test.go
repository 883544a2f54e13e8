package handlers_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/internal/tasks"
	"github.com/sluicemq/sluice/topics"
)

// endpoint is a receiver of webhooks.
type endpoint struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	heads  []http.Header
	status int
}

func newEndpoint(tb testing.TB, status int) *endpoint {
	tb.Helper()
	e := &endpoint{status: status}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.bodies, e.heads = append(e.bodies, string(body)), append(e.heads, r.Header)
		w.WriteHeader(e.status)
		fmt.Fprint(w, "<b>seen</b>")
	}))
	tb.Cleanup(e.Close)
	return e
}

func (e *endpoint) got() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string{}, e.bodies...)
}

func (e *endpoint) answers(status int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.status = status
}

// newHookTest starts a server that sends webhooks. It has a Redis of its own, because its shards are the installation's.
func newHookTest(tb testing.TB) *apiTest {
	tb.Helper()
	h := newAPITest(tb, onServer(redistest.Start(tb, redistest.Options{})))
	h.run(h.topics.Run)
	h.run(h.api.Webhooks.Run)
	until(h, "the server sends", func() bool { return h.api.Webhooks.Outcomes().Shards == 64 })
	return h
}

func TestAWebhookIsCreatedShownChangedAndDeleted(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	tp, e := h.topic("", `{"message_retention":3600}`), newEndpoint(t, 200)
	one := tp + "/subscriptions/customer"
	var s handlers.Subscription
	a := h.json("PUT", one, `{"protocol":"webhook","endpoint":"`+e.URL+`/hooks?k=1"}`).is(201)
	a.into(&s)
	if !strings.HasPrefix(s.Secret, "whsec_") || a.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("the new webhook: %s", a.body)
	}
	secret := s.Secret
	s.Secret, s.Delivery = "", nil
	want := handlers.Subscription{Name: "customer", Topic: queueName(tp), Protocol: "webhook", Endpoint: e.URL + "/hooks?k=1", Timeout: 15, MaxInFlight: 16,
		RetrySchedule: []int{5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400}, TerminalStatuses: []int{410, 413}, Overflow: "dlq", Format: "raw", FilterScope: "attributes", State: "active", Verification: "none",
		CreatedAt: *instant(0), UpdatedAt: *instant(0), ETag: s.ETag}
	diff(t, "the new webhook", want, s)
	// The secret is shown once, and where it is asked for.
	for _, path := range []string{one, tp + "/subscriptions"} {
		if a := h.do("GET", path, "").is(200); strings.Contains(string(a.body), "whsec_") || !strings.Contains(string(a.body), `"gate":"open"`) {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	if a := h.json("PUT", one, `{"endpoint":"`+e.URL+`/hooks?k=1"}`).is(200); strings.Contains(string(a.body), "whsec_") {
		t.Errorf("a replacement shows %s", a.body)
	}
	var secrets handlers.WebhookSecrets
	h.do("GET", one+"/secret", "").is(200).into(&secrets)
	if len(secrets.Secrets) != 1 || secrets.Secrets[0].Secret != secret {
		t.Errorf("the secrets: %+v", secrets)
	}
	mine := "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDszrx2cZ8dPs="
	h.json("POST", one+"/rotate_secret", `{"secret":"`+mine+`","grace_period":3600}`).is(201).into(&secrets)
	if len(secrets.Secrets) != 2 || secrets.Secrets[0].Secret != mine || secrets.Secrets[1].ExpiresAt == nil || secrets.Secrets[1].ExpiresAt.Time != start.Add(time.Hour) {
		t.Errorf("after a rotation: %+v", secrets)
	}
	h.json("PATCH", one, `{"timeout":5,"max_in_flight":1,"max_rate":20,"retry_schedule":[10,60],"format":"envelope"}`).is(200).into(&s)
	if s.Timeout != 5 || s.MaxInFlight != 1 || s.MaxRate != 20 || fmt.Sprint(s.RetrySchedule) != "[10 60]" || s.Format != "envelope" || s.Endpoint != want.Endpoint {
		t.Errorf("after the change: %+v", s)
	}
	h.do("POST", tp+"/messages", "one").is(201)
	until(h, "it came", func() bool { return len(e.got()) == 1 })
	if got := e.got()[0]; !strings.Contains(got, `"body":"one"`) || !strings.Contains(got, `"subscription":"customer"`) {
		t.Errorf("what came: %s", got)
	}
	if signatures := strings.Fields(e.heads[0].Get("Webhook-Signature")); len(signatures) != 2 {
		t.Errorf("signatures %v, want one by each secret", signatures)
	}
	h.json("PATCH", one, `{"terminal_statuses":[422,410]}`).is(200).into(&s)
	diff(t, "terminal statuses", []int{422, 410}, s.TerminalStatuses)
	h.json("PATCH", one, `{"terminal_statuses":[]}`).is(200).into(&s)
	diff(t, "no terminal statuses", []int{}, s.TerminalStatuses)
	for _, overflow := range []string{"drop_oldest", "reject_publish"} {
		tag := s.ETag
		if h.json("PATCH", one, `{"overflow":"`+overflow+`"}`).is(200).into(&s); s.Overflow != overflow || s.ETag == tag {
			t.Errorf("with overflow %s: %s, %s after %s", overflow, s.Overflow, s.ETag, tag)
		}
	}
	h.json("PATCH", one, `{"timeout":null,"retry_schedule":null,"max_in_flight":null,"max_rate":null,"terminal_statuses":null,"overflow":null}`).is(200).into(&s)
	diff(t, "terminal statuses by default", []int{410, 413}, s.TerminalStatuses)
	if s.Timeout != 15 || s.MaxInFlight != 16 || s.MaxRate != 0 || len(s.RetrySchedule) != 9 || s.Overflow != "dlq" {
		t.Errorf("back at the defaults: %+v", s)
	}
	h.do("DELETE", one, "").is(204)
	h.do("GET", one+"/secret", "").problem(404, "subscription_not_found")
	h.do("POST", tp+"/messages", "two").is(201)
	h.clock.Advance(time.Minute)
	if len(e.got()) != 1 {
		t.Errorf("after the deletion came %q", e.got())
	}
}

// A list of attempts has the beginning of each answer; that of one message has what is kept.
func TestAnAnswerIsShownWholeWithItsMessage(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	whole := "x" + strings.Repeat("é", 2000)
	e := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, whole) }))
	t.Cleanup(e.Close)
	tp := h.topic("", `{}`)
	h.json("PUT", tp+"/subscriptions/hook", `{"endpoint":"`+e.URL+`"}`).is(201)
	var sent handlers.PublishedMessage
	h.do("POST", tp+"/messages", "one").is(201).into(&sent)
	shown := func(query string) handlers.Delivery {
		t.Helper()
		var list handlers.Page[handlers.Delivery]
		until(h, "it is delivered", func() bool {
			h.do("GET", tp+"/subscriptions/hook/deliveries"+query, "").is(200).into(&list)
			return len(list.Data) == 1
		})
		return list.Data[0]
	}
	if d := shown(""); !d.ResponseTruncated || len(d.Response) != 1023 || !strings.HasPrefix(whole, d.Response) {
		t.Errorf("in the list: %d bytes, %q", len(d.Response), d.Response[len(d.Response)-8:])
	}
	if d := shown("?message_id=" + sent.ID); d.ResponseTruncated || d.Response != whole {
		t.Errorf("with its message: %d bytes", len(d.Response))
	}
}

func TestWebhooksRefuse(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	tp, q := h.topic("", `{}`), queueName(h.queue(`{}`))
	h.json("PUT", tp+"/subscriptions/hook", `{"endpoint":"https://example.com/"}`).is(201)
	h.json("PUT", tp+"/subscriptions/queue", `{"queue":"`+q+`"}`).is(201)
	for _, c := range []struct{ body, code string }{
		{`{"protocol":"webhook"}`, "validation_failed"},
		{`{"protocol":"queue","endpoint":"https://example.com/"}`, "validation_failed"},
		{`{"protocol":"smtp","endpoint":"https://example.com/"}`, "validation_failed"},
		{`{"queue":"` + q + `","endpoint":"https://example.com/"}`, "validation_failed"},
		{`{"endpoint":"ftp://example.com/"}`, "validation_failed"},
		{`{"endpoint":"https://user:pw@example.com/"}`, "validation_failed"},
		{`{"endpoint":"https://0x7f.1/"}`, "validation_failed"},
		{`{"endpoint":"https://10.0.0.1/"}`, "endpoint_not_allowed"},
		{`{"endpoint":"https://169.254.169.254/latest"}`, "endpoint_not_allowed"},
		{`{"endpoint":"https://[::ffff:10.0.0.1]/"}`, "endpoint_not_allowed"},
		{`{"endpoint":"https://example.com/","timeout":31}`, "validation_failed"},
		{`{"endpoint":"https://example.com/","max_in_flight":65}`, "validation_failed"},
		{`{"endpoint":"https://example.com/","max_rate":0}`, "validation_failed"},
		{`{"endpoint":"https://example.com/","max_rate":1001}`, "validation_failed"},
		{`{"endpoint":"https://example.com/","max_rate":"5"}`, "validation_failed"},
		{`{"endpoint":"https://example.com/","retry_schedule":[0]}`, "validation_failed"},
		{`{"endpoint":"https://example.com/","retry_schedule":[90000]}`, "validation_failed"},
		{`{"endpoint":"https://example.com/","retry_schedule":[` + strings.TrimSuffix(strings.Repeat("1,", 31), ",") + `]}`, "validation_failed"},
		{`{"endpoint":"https://example.com/","on_exhausted":"drop"}`, "validation_failed"},
		{`{"endpoint":"https://example.com/","overflow":"drop"}`, "validation_failed"},
		{`{"endpoint":"https://example.com/","overflow":7}`, "validation_failed"},
		{`{"queue":"` + q + `","overflow":"drop_oldest"}`, "validation_failed"},
		{`{"endpoint":"https://example.com/","overflow":"drop_oldest","dead_letter_queue":"` + q + `"}`, "validation_failed"},
		{`{"endpoint":"https://example.com/","terminal_statuses":[200]}`, "validation_failed"},
		{`{"endpoint":"https://example.com/","terminal_statuses":["422"]}`, "validation_failed"},
		{`{"endpoint":"https://example.com/","terminal_statuses":[` + strings.TrimSuffix(strings.Repeat("422,", 21), ",") + `]}`, "validation_failed"},
		{`{"endpoint":"https://example.com/","format":"cloudevents"}`, "validation_failed"},
		{`{"queue":"` + q + `","format":"cloudevents_binary"}`, "validation_failed"},
		{`{"endpoint":"https://example.com/","secret":"whsec_c2hvcnQ="}`, "validation_failed"},
		{`{"endpoint":"https://example.com/","delivery":{}}`, "unknown_field"},
		{`{"timeout":5}`, "validation_failed"},
	} {
		h.json("PUT", tp+"/subscriptions/x", c.body).problem(422, c.code)
	}
	h.do("GET", tp+"/subscriptions/x", "").problem(404, "subscription_not_found")
	h.json("PATCH", tp+"/subscriptions/hook", `{"endpoint":null,"queue":"`+q+`"}`).problem(422, "validation_failed")
	h.json("PATCH", tp+"/subscriptions/hook", `{"secret":"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDszrx2cZ8dPs="}`).problem(422, "validation_failed")
	h.json("PATCH", tp+"/subscriptions/queue", `{"timeout":5}`).problem(422, "validation_failed")
	h.json("PATCH", tp+"/subscriptions/queue", `{"overflow":"reject_publish"}`).problem(422, "validation_failed")
	h.json("PATCH", tp+"/subscriptions/hook", `{"overflow":"drop_oldest"}`).is(200)
	for body, detail := range map[string]string{`{"dead_letter_queue":"` + q + `"}`: "nothing is dropped", `{"overflow":"drop"}`: "must be dlq, drop_oldest or reject_publish"} {
		if p := h.json("PATCH", tp+"/subscriptions/hook", body).problem(422, "validation_failed"); len(p.Errors) != 1 || p.Errors[0].Pointer != "/overflow" || !strings.Contains(p.Errors[0].Detail, detail) {
			t.Errorf("%s: %+v", body, p)
		}
	}
	fifo := h.topic(".fifo", `{}`)
	if p := h.json("PUT", fifo+"/subscriptions/hook", `{"endpoint":"https://example.com/","overflow":"drop_oldest"}`).problem(422, "validation_failed"); len(p.Errors) != 1 || p.Errors[0].Pointer != "/overflow" {
		t.Errorf("of a FIFO topic: %+v", p)
	}
	h.json("PUT", fifo+"/subscriptions/hook", `{"endpoint":"https://example.com/","overflow":"reject_publish"}`).is(201)
	h.json("POST", tp+"/subscriptions/hook/rotate_secret", `{"grace_period":604801}`).problem(422, "validation_failed")
	for _, verb := range []string{"/secret", "/deliveries", "/deliveries/dlv_00000000000001/request"} {
		h.do("GET", tp+"/subscriptions/queue"+verb, "").problem(409, "not_a_webhook")
	}
	for _, verb := range []string{"/rotate_secret", "/enable", "/disable", "/test", "/confirm", "/deliveries/resend", "/deliveries/dlv_00000000000001/resend"} {
		h.do("POST", tp+"/subscriptions/queue"+verb, "").problem(409, "not_a_webhook")
	}
	h.do("GET", tp+"/subscriptions/hook/deliveries?status=lost", "").problem(422, "validation_failed")
	h.do("POST", tp+"/subscriptions/hook/deliveries/dlv_x/resend", "").problem(404, "delivery_not_found")
	h.do("POST", tp+"/subscriptions/hook/deliveries/dlv_00000000000001/resend", "").problem(404, "delivery_not_found")
	h.do("GET", tp+"/subscriptions/hook/deliveries/dlv_x/request", "").problem(404, "delivery_not_found")
	h.do("GET", tp+"/subscriptions/hook/deliveries/dlv_00000000000001/request", "").problem(404, "delivery_not_found")
	h.do("GET", tp+"/subscriptions/hook/deliveries/dlv_x/request?now=1", "").problem(422, "validation_failed")
	// Another tenant sees none of it, and a reader no secret.
	other := "Bearer " + h.newKey(h.newTenant().ID)
	h.do("GET", tp+"/subscriptions/hook/secret", "", "Authorization", other).problem(404, "topic_not_found")
	h.do("POST", tp+"/subscriptions/hook/test", "", "Authorization", other).problem(404, "topic_not_found")
}

func TestTheRequestOfADeliveryIsShownToWhoMayReadTheSecret(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	tp, e := h.topic("", `{}`), newEndpoint(t, 503)
	one := tp + "/subscriptions/customer"
	h.json("PUT", one, `{"endpoint":"`+e.URL+`","retry_schedule":[],"headers":{"X-Token":"of nobody else"}}`).is(201)
	h.do("POST", tp+"/messages", "\xff\x00", "Content-Type", "application/octet-stream").is(201)
	var page handlers.Page[handlers.Delivery]
	until(h, "it failed", func() bool {
		h.do("GET", one+"/deliveries?status=failed", "").is(200).into(&page)
		return len(page.Data) == 1
	})
	path := one + "/deliveries/" + page.Data[0].ID + "/request"
	var got handlers.DeliveryRequest
	answer := h.do("GET", path, "").is(200)
	answer.into(&got)
	if answer.header.Get("Cache-Control") != "no-store" || strings.Contains(string(answer.body), "of nobody else") {
		t.Errorf("%v %s", answer.header, answer.body)
	}
	want := handlers.DeliveryRequest{Method: "POST", URL: e.URL, Body: "/wA=", BodyEncoding: "base64"}
	for _, name := range []string{"Content-Type", "Webhook-Attempt", "Webhook-Id", "Webhook-Signature", "Webhook-Timestamp"} {
		want.Headers = append(want.Headers, handlers.DeliveryHeader{Name: name, Value: e.heads[0].Get(name)}) // the clock stands still
	}
	want.Headers = append(want.Headers, handlers.DeliveryHeader{Name: "X-Token", Value: "***"})
	diff(t, "the request", want, got)
	for scope, status := range map[string]int{"topics:write": 200, "topics:read": 403, "topics:replay": 403} {
		var key handlers.CreatedKey
		h.json("POST", "/v1/keys", `{"name":"one","scopes":["`+scope+`"]}`).is(201).into(&key)
		h.do("GET", path, "", "Authorization", "Bearer "+key.Key).is(status)
	}
	if len(e.got()) != 1 {
		t.Errorf("the endpoint got %d requests", len(e.got()))
	}
}

func TestADeliveryIsTriedAtAnotherURL(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	tp, e, elsewhere := h.topic("", `{}`), newEndpoint(t, 503), newEndpoint(t, 204)
	one := tp + "/subscriptions/customer"
	h.json("PUT", one, `{"endpoint":"`+e.URL+`","retry_schedule":[],"headers":{"X-Token":"of nobody else"},"auth":{"type":"bearer","token":"nor-this"}}`).is(201)
	h.do("POST", tp+"/messages", "lost").is(201)
	var page handlers.Page[handlers.Delivery]
	until(h, "it failed", func() bool {
		h.do("GET", one+"/deliveries?status=failed", "").is(200).into(&page)
		return len(page.Data) == 1
	})
	if got := page.Data[0].Timing; got == nil || got.Connect == nil || got.FirstByte == nil || got.DNS != nil || got.TLS != nil {
		t.Errorf("the parts of the attempt: %+v", got)
	}
	path := one + "/deliveries/" + page.Data[0].ID + "/test"
	var got handlers.Delivery
	h.json("POST", path, `{"url":"`+elsewhere.URL+`/laptop"}`).is(200).into(&got)
	if got.Status != "test" || got.Error != nil || *got.ResponseStatus != 204 || got.ID != page.Data[0].ID || got.MessageID != page.Data[0].MessageID {
		t.Errorf("what came of it: %+v", got)
	}
	if bodies := elsewhere.got(); len(bodies) != 1 || bodies[0] != "lost" {
		t.Fatalf("the other one got %q", bodies)
	}
	head := elsewhere.heads[0]
	if head.Get("Webhook-Id") != got.MessageID || head.Get("Webhook-Signature") != e.heads[0].Get("Webhook-Signature") { // the clock stands still
		t.Errorf("its headers: %v", head)
	}
	if head.Get("X-Token") != "" || head.Get("Authorization") != "" {
		t.Errorf("what is for the endpoint alone went elsewhere: %v", head)
	}
	elsewhere.answers(500)
	h.json("POST", path, `{"url":"`+elsewhere.URL+`"}`).is(200).into(&got)
	if got.Error == nil || got.Error.Code != "http_500" || got.NextAttempt != nil {
		t.Errorf("where it failed: %+v", got)
	}
	var s handlers.Subscription
	h.do("GET", one, "").is(200).into(&s)
	h.do("GET", one+"/deliveries", "").is(200).into(&page)
	if len(e.got()) != 1 || s.Delivery.Attempts != 1 || s.Delivery.Failed != 1 || len(page.Data) != 1 {
		t.Errorf("afterwards: %+v, %d attempts in the log", s.Delivery, len(page.Data))
	}
	for body, code := range map[string]string{`{"url":"http://10.0.0.1/"}`: "endpoint_not_allowed", `{"url":"ftp://example.com"}`: "validation_failed", `{}`: "validation_failed"} {
		h.json("POST", path, body).problem(422, code)
	}
	h.json("POST", one+"/deliveries/dlv_00000000000001/test", `{"url":"`+elsewhere.URL+`"}`).problem(404, "delivery_not_found")
	h.json("POST", path, `{"url":"`+elsewhere.URL+`"}`, h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"topics:read", "topics:replay"}})...).problem(403, "permission_denied")
	if len(elsewhere.got()) != 2 {
		t.Errorf("the other one got %d requests", len(elsewhere.got()))
	}
}

func TestDeliveriesAreListedAndResent(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	tp, e := h.topic("", `{"message_retention":3600}`), newEndpoint(t, 503)
	one := tp + "/subscriptions/customer"
	h.json("PUT", one, `{"endpoint":"`+e.URL+`","retry_schedule":[]}`).is(201)
	var sent handlers.PublishedMessage
	h.do("POST", tp+"/messages", "lost").is(201).into(&sent)
	var s handlers.Subscription
	until(h, "it failed", func() bool {
		h.do("GET", one, "").is(200).into(&s)
		return s.Delivery.Failed == 1 && s.Lag == 0
	})
	if s.Counts.Failed != 1 || s.Delivery.ConsecutiveFailures != 1 || s.Delivery.FailingSince == nil {
		t.Errorf("the subscription: %+v %+v", s, s.Delivery)
	}
	var page handlers.Page[handlers.Delivery]
	h.do("GET", one+"/deliveries?status=failed&message_id="+sent.ID, "").is(200).into(&page)
	if len(page.Data) != 1 {
		t.Fatalf("the attempts: %+v", page)
	}
	status := 503
	got := page.Data[0]
	got.Duration, got.Timing = 0, nil
	if got.RequestHeaders["Webhook-Id"] != sent.ID || got.RequestHeaders["Webhook-Attempt"] != "1" || got.ResponseHeaders["Content-Length"] != "11" {
		t.Errorf("the headers: %v, and %v in the answer", got.RequestHeaders, got.ResponseHeaders)
	}
	diff(t, "the attempt", handlers.Delivery{ID: got.ID, MessageID: sent.ID, Attempt: 1, Status: "failed", At: *instant(0), ResponseStatus: &status, RequestHeaders: got.RequestHeaders, ResponseHeaders: got.ResponseHeaders, Response: "<b>seen</b>",
		Error: &handlers.DeliveryError{Code: "http_503", Detail: "The endpoint answered 503 Service Unavailable."}}, got)
	e.answers(200)
	var resent handlers.Resent
	h.json("POST", one+"/deliveries/resend", `{"since":"2100-01-01T00:00:00Z"}`).is(202).into(&resent)
	if resent.Count != 0 {
		t.Errorf("of what failed later there are %d", resent.Count)
	}
	h.json("POST", one+"/deliveries/resend", `{}`).is(202).into(&resent)
	until(h, "it is sent again", func() bool { return len(e.got()) == 2 })
	if resent.Count != 1 {
		t.Errorf("sent again: %d", resent.Count)
	}
	// What was delivered is sent again because the topic keeps it, under the same id.
	until(h, "it is noted", func() bool {
		h.do("GET", one+"/deliveries?status=delivered", "").is(200).into(&page)
		return len(page.Data) == 1
	})
	h.do("POST", one+"/deliveries/"+got.ID+"/resend", "").is(202)
	until(h, "it is sent once more", func() bool { return len(e.got()) == 3 })
	if e.heads[0].Get("Webhook-Id") != sent.ID || e.heads[2].Get("Webhook-Id") != sent.ID {
		t.Errorf("ids %q and %q", e.heads[0].Get("Webhook-Id"), e.heads[2].Get("Webhook-Id"))
	}
	until(h, "that is noted too", func() bool {
		h.do("GET", one+"/deliveries?status=delivered", "").is(200).into(&page)
		return len(page.Data) == 2
	})
	var test handlers.Delivery
	h.do("POST", one+"/test", "").is(200).into(&test)
	if test.Status != "test" || test.Error != nil || *test.ResponseStatus != 200 || !strings.Contains(e.got()[3], `"type":"sluice.test"`) {
		t.Errorf("a test event: %+v %q", test, e.got()[3])
	}
	h.do("GET", one+"/deliveries?limit=2", "").is(200).into(&page)
	if len(page.Data) != 2 || page.NextCursor == nil || page.Data[0].Status != "test" {
		t.Fatalf("the first page: %+v", page)
	}
	h.do("GET", one+"/deliveries?limit=2&cursor="+*page.NextCursor, "").is(200).into(&page)
	if len(page.Data) != 2 || page.NextCursor != nil || page.Data[1].Status != "failed" {
		t.Errorf("the second page: %+v", page)
	}
	// Disabled, it gets nothing; enabled, what comes then, and by a replay what it missed.
	h.do("POST", one+"/disable", "").is(200).into(&s)
	if s.State != "disabled" || s.Delivery.DisabledReason != "by_request" {
		t.Errorf("disabled: %+v %+v", s, s.Delivery)
	}
	h.do("POST", tp+"/messages", "missed").is(201)
	until(h, "it is dropped", func() bool {
		h.do("GET", one, "").is(200).into(&s)
		return s.Delivery.Missed == 1 && s.LastError != nil && s.LastError.Code == "endpoint_disabled"
	})
	h.do("POST", one+"/enable", "").is(200).into(&s)
	if s.State != "active" || s.Counts.Dropped != 1 || s.LastError != nil || len(e.got()) != 4 || len(s.Delivery.Gaps) != 1 || s.Delivery.Gaps[0].Count != 1 {
		t.Errorf("enabled: %+v %+v", s, s.Delivery)
	}
}

func TestWhatAWebhookMissedOrFailedIsReplayed(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	h.run(tasks.NewRunner(tasks.Config{Store: h.api.Tasks, Clock: h.clock, Kinds: map[string]tasks.Kind{topics.ReplayTask: h.topics.Replaying(),
		topics.FailedTask: h.topics.Reviving(), topics.MissingTask: h.topics.Restoring()}}).Run)
	tp, e, q := h.topic("", `{"message_retention":3600}`), newEndpoint(t, 413), h.queue(`{}`)
	one, two := tp+"/subscriptions/customer", tp+"/subscriptions/billing"
	h.json("PUT", one, `{"endpoint":"`+e.URL+`"}`).is(201)
	h.json("PUT", two, `{"queue":"`+queueName(q)+`"}`).is(201)
	h.do("POST", tp+"/messages", "too large for it").is(201)
	var s handlers.Subscription
	until(h, "it failed", func() bool { h.do("GET", one, "").is(200).into(&s); return s.Delivery.Failed == 1 })
	h.do("POST", one+"/disable", "").is(200)
	h.do("POST", tp+"/messages", "missed").is(201)
	until(h, "it is missed", func() bool { h.do("GET", one, "").is(200).into(&s); return s.Delivery.Missed == 1 })
	e.answers(204)
	h.do("POST", one+"/enable", "").is(200).into(&s)
	if g := s.Delivery.Gaps; len(g) != 1 || g[0].First != g[0].Last || g[0].Count != 1 || !g[0].FirstAt.Equal(h.clock.Now()) {
		t.Errorf("the gaps: %+v", g)
	}
	h.clock.Advance(time.Second)
	for i, what := range []string{"missing", "failed"} {
		var task handlers.Task
		h.json("POST", one+"/replay", `{"what":"`+what+`","since":"2026-03-01T00:00:00Z","until":"2027-01-01T00:00:00Z"}`).is(202).into(&task)
		if task.Type != "replay_"+what || task.Scope.Subscription != "customer" || task.Progress.Total != 1 {
			t.Errorf("a replay of what is %s: %+v", what, task)
		}
		until(h, "it has ended", func() bool {
			h.do("GET", "/v1/tasks/"+task.ID, "").is(200).into(&task)
			return task.Status == "succeeded"
		})
		if task.Progress.Done != 1 {
			t.Errorf("a replay of what is %s: %+v", what, task)
		}
		until(h, "it came", func() bool { return len(e.got()) == i+2 })
	}
	var list handlers.Page[handlers.Task]
	if h.do("GET", "/v1/tasks?type=replay_missing", "").is(200).into(&list); len(list.Data) != 1 {
		t.Errorf("tasks: %+v", list)
	}
	h.json("POST", two+"/replay", `{"what":"missing"}`).problem(409, "not_a_webhook")
	h.json("POST", two+"/replay", `{"what":"failed"}`).problem(409, "not_a_webhook")
	h.json("POST", one+"/replay", `{"what":"failed","after":"00000151018143744000"}`).is(422)
	h.json("POST", one+"/replay", `{"what":"lost"}`).is(422)
	h.json("POST", one+"/replay", `{"since":"2026-03-01T00:00:00Z","until":"2026-03-01T00:00:00Z"}`).is(422)
	h.json("POST", two+"/replay", `{"until":"2026-03-01T11:00:00Z"}`).is(202)
}

func TestAWebhookGetsCloudEvents(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	tp, e := h.topic("", `{}`), newEndpoint(t, 204)
	one := tp + "/subscriptions/customer"
	var s handlers.Subscription
	h.json("PUT", one, `{"endpoint":"`+e.URL+`","format":"cloudevents_structured"}`).is(201).into(&s)
	var sent handlers.PublishedMessage
	h.do("POST", tp+"/messages", `{"order":7}`, "Message-Attr-Type", "order.created").is(201).into(&sent)
	until(h, "it came", func() bool { return len(e.got()) == 1 })
	if got := e.got()[0]; s.Format != "cloudevents_structured" || !strings.Contains(got, `"id":"`+sent.ID+`"`) || !strings.Contains(got, `"type":"order.created"`) || !strings.Contains(got, `"data":{"order":7}`) {
		t.Errorf("what came: %s", got)
	}
	h.json("PATCH", one, `{"format":"cloudevents_binary"}`).is(200).into(&s)
	h.do("POST", tp+"/messages", `{"order":8}`).is(201)
	until(h, "the second came", func() bool { return len(e.got()) == 2 })
	if got := e.heads[1]; s.Format != "cloudevents_binary" || e.got()[1] != `{"order":8}` || got.Get("Ce-Specversion") != "1.0" || got.Get("Ce-Type") != queueName(tp) {
		t.Errorf("what came: %q %v", e.got()[1], got)
	}
	h.json("PATCH", one, `{"format":null}`).is(200).into(&s)
	if s.Format != "raw" {
		t.Errorf("back at the default: %+v", s)
	}
}

// The secret of a webhook may be a pair of keys: the answer that makes it and the list of secrets say the public one, no other answer does.
func TestAWebhookThatSignsWithAPair(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	tp, e := h.topic("", `{}`), newEndpoint(t, 200)
	one, body := tp+"/subscriptions/pair", `{"endpoint":"`+e.URL+`","secret_type":"ed25519"}`
	var s handlers.Subscription
	h.json("PUT", one, body).is(201).into(&s)
	if !strings.HasPrefix(s.Secret, "whsk_") || !strings.HasPrefix(s.PublicKey, "whpk_") {
		t.Fatalf("the new webhook: %+v", s)
	}
	if a := h.do("GET", one, "").is(200); strings.Contains(string(a.body), "whsk_") {
		t.Errorf("it shows %s", a.body)
	}
	h.json("PUT", one, body).problem(422, "validation_failed") // as for each secret: it is rotated, not replaced
	var list handlers.WebhookSecrets
	h.do("GET", one+"/secret", "").is(200).into(&list)
	if len(list.Secrets) != 1 || list.Secrets[0].Type != "ed25519" || list.Secrets[0].Secret != s.Secret || *list.Secrets[0].PublicKey != s.PublicKey {
		t.Errorf("the secrets: %+v", list)
	}
	h.do("POST", tp+"/messages", "one").is(201)
	until(h, "it came", func() bool { return len(e.got()) == 1 })
	if signature := e.heads[0].Get("Webhook-Signature"); !strings.HasPrefix(signature, "v1a,") {
		t.Errorf("it is signed %s", signature)
	}
	h.json("POST", one+"/rotate_secret", `{"secret_type":"hmac"}`).is(201).into(&list)
	if len(list.Secrets) != 2 || list.Secrets[0].Type != "hmac" || list.Secrets[0].PublicKey != nil || list.Secrets[1].Type != "ed25519" {
		t.Errorf("after the rotation: %+v", list)
	}
	h.json("POST", one+"/rotate_secret", `{"secret":"`+s.Secret+`","grace_period":0}`).is(201).into(&list)
	if len(list.Secrets) != 1 || list.Secrets[0].Secret != s.Secret {
		t.Errorf("after its return: %+v", list)
	}
	for body, pointer := range map[string]string{
		`{"secret_type":"rsa"}`: "/secret_type", `{"secret_type":7}`: "/secret_type", `{"secret":"` + s.PublicKey + `"}`: "/secret",
		`{"secret":"` + s.Secret + `","secret_type":"hmac"}`: "/secret_type",
	} {
		if a := h.json("POST", one+"/rotate_secret", body).is(422); !strings.Contains(string(a.body), `"`+pointer+`"`) {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	h.json("PATCH", one, `{"public_key":"`+s.PublicKey+`"}`).problem(422, "unknown_field")
	h.json("PUT", tp+"/subscriptions/queue", `{"queue":"`+queueName(h.queue(`{}`))+`","secret_type":"ed25519"}`).problem(422, "validation_failed")

	var wild handlers.TopicSubscription
	h.json("PUT", "/v1/topic_subscriptions/pairs", `{"pattern":"#","endpoint":"`+e.URL+`","secret_type":"ed25519"}`).is(201).into(&wild)
	h.do("GET", "/v1/topic_subscriptions/pairs/secret", "").is(200).into(&list)
	if !strings.HasPrefix(wild.Secret, "whsk_") || wild.PublicKey == "" || *list.Secrets[0].PublicKey != wild.PublicKey {
		t.Errorf("a topic subscription: %+v, %+v", wild, list)
	}
	h.json("POST", "/v1/topic_subscriptions/pairs/rotate_secret", `{}`).is(201).into(&list)
	if len(list.Secrets) != 2 || list.Secrets[0].Type != "ed25519" || list.Secrets[0].Secret == wild.Secret {
		t.Errorf("after its rotation: %+v", list)
	}
}

// full are webhooks that take nothing as long as they are full.
type full struct {
	topics.Webhooks
	is atomic.Bool
}

func (f *full) Deliver(ctx context.Context, w topics.Way, set topics.WaySettings, list []topics.Logged, to int64) (topics.Handed, error) {
	if f.is.Load() && len(list) > 0 {
		return topics.Handed{Reached: list[0].Sequence - 1, Mark: list[0].Sequence - 1, Refused: true}, nil
	}
	return f.Webhooks.Deliver(ctx, w, set, list, to)
}

func TestPublishesAreRefusedForAWebhookThatIsFull(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	f := &full{Webhooks: h.api.Webhooks}
	h.topics.Connect(f)
	tp, beside, e := h.topic("", `{}`), h.topic("", `{}`), newEndpoint(t, 200)
	h.json("PUT", tp+"/subscriptions/customer", `{"endpoint":"`+e.URL+`","overflow":"reject_publish"}`).is(201)
	f.is.Store(true)
	published := 0
	var refused *answer
	until(h, "publishes are refused", func() bool {
		refused = h.do("POST", tp+"/messages", "m")
		if refused.status == http.StatusCreated {
			published++
		}
		return refused.status != http.StatusCreated
	})
	if p := refused.problem(429, "subscription_full"); !strings.Contains(p.Detail, `"customer"`) || p.Fix == "" || refused.header.Get("Retry-After") != "1" {
		t.Errorf("the refusal: %+v, %v", p, refused.header)
	}
	h.json("POST", tp+"/messages/batch?atomic=true", `{"messages":[{"body":"a"},{"body":"b"}]}`).problem(429, "subscription_full")
	var r handlers.Results
	h.json("POST", tp+"/messages/batch", `{"messages":[{"body":"a"},{"body":"b"}]}`).is(207).into(&r)
	for _, one := range r.Results {
		if one.Status != 429 || one.Error == nil || one.Error.Code != "subscription_full" {
			t.Errorf("one of a batch: %+v", one)
		}
	}
	h.do("POST", beside+"/messages", "m").is(201)
	var s handlers.Subscription
	if h.do("GET", tp+"/subscriptions/customer", "").is(200).into(&s); s.State != "retrying" || s.LastError == nil || s.LastError.Code != "subscription_full" || s.Lag == 0 {
		t.Errorf("the subscription: %+v", s)
	}
	f.is.Store(false)
	until(h, "publishes are taken", func() bool {
		h.clock.Advance(time.Second)
		return h.do("POST", tp+"/messages", "m").status == http.StatusCreated
	})
	until(h, "all came", func() bool { return len(e.got()) == published+1 })
}
