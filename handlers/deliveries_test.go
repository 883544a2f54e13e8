package handlers_test

import (
	"testing"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
)

func TestTheAttemptsOfAllWebhooksAreListedAndResent(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	good, bad := newEndpoint(t, 204), newEndpoint(t, 503)
	one, two := h.topic("", `{}`), h.topic("", `{}`)
	h.json("PUT", one+"/subscriptions/a", `{"endpoint":"`+good.URL+`"}`).is(201)
	h.json("PUT", two+"/subscriptions/b", `{"endpoint":"`+bad.URL+`","retry_schedule":[]}`).is(201)
	h.json("PUT", two+"/subscriptions/c", `{"endpoint":"`+bad.URL+`","retry_schedule":[3600,7200]}`).is(201)
	var arrived, lost handlers.PublishedMessage
	h.do("POST", one+"/messages", "x").is(201).into(&arrived)
	h.do("POST", two+"/messages", "y").is(201).into(&lost)
	list := func(query string) (out handlers.RecentDeliveryPage) {
		h.do("GET", "/v1/deliveries?"+query, "").is(200).into(&out)
		return out
	}
	until(h, "all were tried", func() bool { return len(list("").Data) == 3 })
	tell := func(p handlers.RecentDeliveryPage) map[string]string {
		out := map[string]string{}
		for _, d := range p.Data {
			out[d.Subscription] = d.Status
		}
		return out
	}
	for query, want := range map[string]map[string]string{
		"":                         {"a": "delivered", "b": "failed", "c": "retrying"},
		"status=all":               {"a": "delivered", "b": "failed", "c": "retrying"},
		"status=failed":            {"b": "failed"},
		"status=delivered":         {"a": "delivered"},
		"status=test":              {},
		"http=5xx":                 {"b": "failed", "c": "retrying"},
		"http=503&status=retrying": {"c": "retrying"},
		"http=204":                 {"a": "delivered"},
		"http=none":                {},
		"topic=" + queueName(two):  {"b": "failed", "c": "retrying"},
		"subscription=c":           {"c": "retrying"},
		"message_id=" + arrived.ID: {"a": "delivered"},
		"message_id=" + lost.ID + "&since=2026-03-01T12:00:00Z": {"b": "failed", "c": "retrying"},
		"since=2100-01-01T00:00:00Z":                            {},
	} {
		diff(t, "the list of "+query, want, tell(list(query)))
	}
	failed := list("status=failed").Data[0]
	status, most, code := 503, 1, "http_503"
	failed.Duration = 0
	diff(t, "the one that failed", handlers.RecentDelivery{ID: failed.ID, Topic: queueName(two), Subscription: "b", MessageID: lost.ID, Attempt: 1, MaxAttempts: &most,
		Status: "failed", At: *instant(0), ResponseStatus: &status, ErrorCode: &code}, failed)
	if waits := list("status=retrying").Data[0]; *waits.MaxAttempts != 3 || waits.NextAttempt == nil {
		t.Errorf("the one that waits: %+v", waits)
	}
	first := list("limit=2")
	if len(first.Data) != 2 || first.NextCursor == nil || first.Scanned != (handlers.ScannedDeliveries{Attempts: 2}) || first.CompleteSince != nil {
		t.Errorf("the first part: %+v", first)
	}
	rest := list("limit=2&cursor=" + *first.NextCursor)
	if len(rest.Data) != 1 || rest.NextCursor != nil || rest.Scanned != (handlers.ScannedDeliveries{Attempts: 1, Complete: true}) {
		t.Errorf("the second part: %+v", rest)
	}
	for _, wrong := range []string{"http=6xx", "http=42", "http=ok", "status=lost", "since=yesterday", "limit=0", "cursor=x", "http=5xx&cursor=" + *first.NextCursor} {
		h.do("GET", "/v1/deliveries?"+wrong, "").problem(422, "validation_failed")
	}
	for _, wrong := range []string{`{"status":"delivered"}`, `{"http":"x"}`, `{"cursor":"x"}`, `{"since":"x"}`, `{"topic":1}`} {
		h.json("POST", "/v1/deliveries/resend", wrong).problem(422, "validation_failed")
	}
	h.json("POST", "/v1/deliveries/resend", `{"topics":"x"}`).problem(422, "unknown_field")

	good.answers(204)
	bad.answers(204)
	var resent handlers.ResentMatching
	h.json("POST", "/v1/deliveries/resend", `{"topic":"`+queueName(one)+`"}`).is(202).into(&resent)
	diff(t, "of a topic of which all arrived", handlers.ResentMatching{}, resent)
	h.json("POST", "/v1/deliveries/resend", `{"http":"503"}`).is(202).into(&resent)
	diff(t, "what failed", handlers.ResentMatching{Count: 1}, resent)
	h.json("POST", "/v1/deliveries/resend", `{"status":"retrying","subscription":"c"}`).is(202).into(&resent)
	diff(t, "what waits", handlers.ResentMatching{Count: 1}, resent)
	until(h, "both arrived", func() bool { return len(list("status=delivered").Data) == 3 })
	h.json("POST", "/v1/deliveries/resend", `{}`).is(202).into(&resent)
	diff(t, "once more", handlers.ResentMatching{}, resent)

	h.do("GET", "/v1/deliveries", "", h.keyFor(h.newTenant().ID, auth.NewKey{})...).is(200).into(&first)
	if len(first.Data) != 0 {
		t.Errorf("another tenant sees %+v", first.Data)
	}
	looks := h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"topics:read"}})
	h.do("GET", "/v1/deliveries", "", looks...).is(200)
	h.json("POST", "/v1/deliveries/resend", `{}`, looks...).problem(403, "permission_denied")
}
