package handlers_test

import (
	"strings"
	"testing"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
)

func TestForwardingOverREST(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	const path, to = "/v1/queues/orders", "/v1/queues/all"
	h.json("PUT", to, `{}`).is(201)
	var q handlers.Queue
	h.json("PUT", path, `{"forward_to":"all"}`).is(201).into(&q)
	name := "all"
	diff(t, "forward_to", &name, q.ForwardTo)
	var sent handlers.SentMessage
	h.do("POST", path+"/messages", "m").is(201).into(&sent)
	if m := h.arrived(to, 1)[0]; m.ID != sent.ID || m.Body != "m" || m.Origin != nil {
		t.Errorf("arrived: %+v, want what was sent as %s", m, sent.ID)
	}
	until(t, "the first queue knows that it has arrived", func() bool {
		h.do("GET", path, "").is(200).into(&q)
		return q.Counts.Moving == 0
	})
	if q.Totals.Sent != 1 || q.Totals.Moved != 1 || q.Counts != (handlers.Counts{}) {
		t.Errorf("totals %+v, counts %+v; want one that was moved", q.Totals, q.Counts)
	}
	for body, code := range map[string]string{
		`{"forward_to":"orders"}`: "validation_failed", `{"forward_to":"nowhere"}`: "validation_failed",
		`{"forward_to":"all.fifo"}`: "validation_failed", `{"forward_to":""}`: "validation_failed", `{"forward_to":"a b"}`: "validation_failed",
	} {
		if p := h.json("PATCH", path, body).problem(422, code); len(p.Errors) == 0 || p.Errors[0].Pointer != "/forward_to" {
			t.Errorf("%s: faults %+v", body, p.Errors)
		}
	}
	h.json("PATCH", to, `{"forward_to":"orders"}`).problem(422, "validation_failed")
	h.json("PATCH", path, `{"labels":{"a":"b"}}`).is(200).into(&q)
	diff(t, "forward_to after another change", &name, q.ForwardTo)
	h.json("PATCH", path, `{"forward_to":null}`).is(200).into(&q)
	if q.ForwardTo != nil {
		t.Errorf("forward_to after null: %q", *q.ForwardTo)
	}
	// A topic, too.
	topic := h.topic("", `{"message_retention":3600}`)
	h.json("PATCH", path, `{"forward_to":"topic:`+queueName(topic)+`"}`).is(200).into(&q)
	name = "topic:" + queueName(topic)
	diff(t, "forward_to", &name, q.ForwardTo)
	h.do("POST", path+"/messages", "m").is(201).into(&sent)
	if got := string(h.do("GET", topic+"/messages?wait=5", "").is(200).body); !strings.Contains(got, sent.ID) {
		t.Errorf("the topic has %s, want what was sent as %s", got, sent.ID)
	}
	writer := h.keyFor(h.tenant.ID, auth.NewKey{Scopes: []string{"queues:write"}})
	h.json("PUT", "/v1/queues/published", `{"forward_to":"topic:`+queueName(topic)+`"}`, writer...).problem(403, "permission_denied")
	h.json("PUT", "/v1/queues/published", `{"forward_to":"all"}`, writer...).is(201)
	h.do("POST", path+"/messages?delay=5", "m").problem(422, "validation_failed")
	h.json("PATCH", path, `{"delay":5}`).problem(422, "validation_failed")
	for _, body := range []string{`{"forward_to":"topic:"}`, `{"forward_to":"topic:nowhere"}`, `{"forward_to":"topic:a.fifo"}`} {
		h.json("PATCH", path, body).problem(422, "validation_failed")
	}
	h.json("PUT", topic+"/subscriptions/back", `{"queue":"orders"}`).problem(422, "validation_failed")
	// Another tenant's queue of that name is none.
	h.json("PUT", "/v1/queues/mine", `{"forward_to":"all"}`, "Authorization", "Bearer "+h.newKey(h.newTenant().ID)).problem(422, "validation_failed")
}
