package handlers_test

import (
	"strings"
	"testing"

	"github.com/sluicemq/sluice/handlers"
)

func TestASubscriptionHasADeadLetterQueue(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	tp, q, dead := h.topic("", `{}`), queueName(h.queue(`{"max_message_size":1024}`)), h.queue(`{}`)
	sub := tp + "/subscriptions/s"
	var s handlers.Subscription
	h.json("PUT", sub, `{"queue":"`+q+`","dead_letter_queue":"`+queueName(dead)+`"}`).is(201).into(&s)
	if s.DeadLetterQueue == nil || *s.DeadLetterQueue != queueName(dead) {
		t.Errorf("made: %+v", s)
	}
	h.do("POST", tp+"/messages", strings.Repeat("x", 1025)).is(201)
	h.do("POST", tp+"/messages", "short").is(201)
	h.do("POST", "/v1/queues/"+q+"/receive?wait=5", "").is(200)
	var page handlers.MessagePage
	h.do("GET", dead+"/messages?filter=source:"+queueName(tp), "").is(200).into(&page)
	if len(page.Data) != 1 || page.Data[0].Origin == nil {
		t.Fatalf("in the dead-letter queue: %+v", page.Data)
	}
	if o := page.Data[0].Origin; o.Queue != nil || o.Topic != queueName(tp) || o.Subscription != "s" || o.Reason != "undelivered" || o.Error == nil || !strings.Contains(*o.Error, "max_message_size") {
		t.Errorf("it comes from %+v", o)
	}
	h.do("POST", dead+"/messages/"+page.Data[0].ID+"/redrive", "").problem(409, "no_source_queue")
	h.json("PATCH", sub, `{"dead_letter_queue":null}`).is(200).into(&s)
	if s.DeadLetterQueue != nil {
		t.Errorf("without one: %+v", s)
	}
	stranger := h.newTenant()
	h.json("PUT", "/v1/queues/theirs", `{}`, as(h.newKey(stranger.ID))...).is(201)
	for _, body := range []string{`{"dead_letter_queue":"none"}`, `{"dead_letter_queue":"theirs"}`, `{"dead_letter_queue":7}`, `{"dead_letter_queue":"` + q + `"}`, `{"dead_letter_queue":"a b"}`} {
		if p := h.json("PATCH", sub, body).problem(422, "validation_failed"); len(p.Errors) != 1 || p.Errors[0].Pointer != "/dead_letter_queue" {
			t.Errorf("%s: %+v", body, p)
		}
	}
}
