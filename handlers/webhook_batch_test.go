package handlers_test

import (
	"encoding/json"
	"testing"

	"github.com/sluicemq/sluice/handlers"
)

func TestTheMessagesOfARequestAreSetShownAndSeen(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	tp, e := h.topic("", `{"message_retention":3600}`), newEndpoint(t, 200)
	one := tp + "/subscriptions/customer"
	var s handlers.Subscription
	number := func(n int) *int { return &n }
	h.json("PUT", one, `{"endpoint":"`+e.URL+`","format":"envelope","batch":{}}`).is(201).into(&s)
	diff(t, "the defaults", &handlers.WebhookBatch{Messages: number(10), Bytes: number(262144), Wait: number(1)}, s.Batch)
	etag := s.ETag
	shown, _ := json.Marshal(s.Batch)
	if h.json("PUT", one, `{"endpoint":"`+e.URL+`","format":"envelope","batch":`+string(shown)+`}`).is(200).into(&s); s.ETag != etag {
		t.Error("what was shown is a change")
	}
	h.json("PATCH", one, `{"format":"cloudevents_batch","batch":{"max_messages":2,"max_bytes":1024,"max_wait":60}}`).is(200).into(&s)
	diff(t, "after a change", &handlers.WebhookBatch{Messages: number(2), Bytes: number(1024), Wait: number(60)}, s.Batch)
	// Two make a request, and each is in the log.
	h.do("POST", tp+"/messages", "one").is(201)
	h.do("POST", tp+"/messages", "two").is(201)
	until(h, "they came", func() bool { return len(e.got()) == 1 })
	var events []map[string]any
	h.must(json.Unmarshal([]byte(e.got()[0]), &events))
	if len(events) != 2 || events[0]["data"] != "one" || events[1]["data"] != "two" {
		t.Errorf("what came: %v", events)
	}
	var list handlers.Page[handlers.Delivery]
	until(h, "they are in the log", func() bool { h.do("GET", one+"/deliveries", "").is(200).into(&list); return len(list.Data) == 2 })
	for _, d := range list.Data {
		if d.BatchID == nil || *d.BatchID != e.heads[0].Get("Webhook-Id") || d.BatchSize == nil || *d.BatchSize != 2 {
			t.Errorf("the log has %+v", d)
		}
	}
	for pointer, body := range map[string]string{
		"/batch/max_messages": `{"batch":{"max_messages":101}}`,
		"/batch/max_bytes":    `{"batch":{"max_bytes":1023}}`,
		"/batch/max_wait":     `{"batch":{"max_wait":61}}`,
		"/batch":              `{"format":"raw"}`,
	} {
		p := h.json("PATCH", one, body).problem(422, "validation_failed")
		if len(p.Errors) != 1 || p.Errors[0].Pointer != pointer {
			t.Errorf("%s: %+v, want a fault at %s", body, p.Errors, pointer)
		}
	}
	h.json("PATCH", one, `{"batch":{"size":2}}`).problem(422, "unknown_field")
	fifo := h.topic(".fifo", `{}`)
	p := h.json("PUT", fifo+"/subscriptions/x", `{"endpoint":"`+e.URL+`","format":"envelope","batch":{}}`).problem(422, "validation_failed")
	if len(p.Errors) != 1 || p.Errors[0].Pointer != "/batch" {
		t.Errorf("of a FIFO topic: %+v", p.Errors)
	}
	h.do("GET", fifo+"/subscriptions/x", "").problem(404, "subscription_not_found")
	h.json("PATCH", one, `{"batch":null}`).is(200).into(&s)
	if s.Batch != nil || s.Format != "cloudevents_batch" {
		t.Errorf("without: %+v", s)
	}
}
