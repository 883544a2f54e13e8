package handlers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/topics"
)

// The endpoint of a webhook is the topic that it is subscribed to. A message goes round as often as it may, and no more: the last attempt
// has failed for good.
func TestAWebhookToItsOwnTopicEnds(t *testing.T) {
	t.Parallel()
	h := newHookTest(t)
	tp := h.topic("", `{"message_retention":3600}`)
	h.json("PUT", tp+"/subscriptions/self", fmt.Sprintf(`{"endpoint":"%s%s/messages","auth":{"type":"bearer","token":"%s"}}`, h.url, tp, h.key)).is(201)
	h.do("POST", tp+"/messages", "round").is(201)
	var list handlers.Page[handlers.Delivery]
	until(h, "it has ended", func() bool {
		h.do("GET", tp+"/subscriptions/self/deliveries?status=failed", "").is(200).into(&list)
		return len(list.Data) > 0
	})
	if d := list.Data[0]; *d.ResponseStatus != http.StatusConflict || !strings.Contains(d.Response, "too_many_hops") || d.RequestHeaders["Sluice-Hops"] != fmt.Sprint(topics.MaxHops+1) {
		t.Errorf("the last attempt: %+v", d)
	}
	var all handlers.TopicMessages
	h.do("GET", tp+"/messages?limit=100", "").is(200).into(&all)
	if n := len(all.Messages); n != topics.MaxHops+1 {
		t.Errorf("the topic has %d messages, want the one and %d more", n, topics.MaxHops)
	}
	h.do("GET", tp+"/subscriptions/self/deliveries?status=delivered", "").is(200).into(&list)
	if n := len(list.Data); n != topics.MaxHops {
		t.Errorf("%d deliveries, want %d", n, topics.MaxHops)
	}
}

// What is sent on to a queue goes no further than what is sent on to a topic.
func TestHopsAreCountedAndRefused(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	tp, q := h.topic("", `{}`), h.queue(`{}`)
	for _, path := range []string{tp, q} {
		for _, c := range []struct {
			hops   string
			status int
			code   string
		}{{"0", 201, ""}, {"8", 201, ""}, {"9", 409, "too_many_hops"}, {"-1", 422, "validation_failed"}, {"many", 422, "validation_failed"}} {
			for _, one := range []*answer{
				h.do("POST", path+"/messages", "x", "Sluice-Hops", c.hops),
				h.json("POST", path+"/messages/batch", `{"messages":[{"body":"x"}]}`, "Sluice-Hops", c.hops),
			} {
				if one.is(c.status); c.code == "" {
					continue
				}
				if one.problem(c.status, c.code); (one.header.Get("Webhook-Delivery") == "abort-message") != (c.status == 409) {
					t.Errorf("%s of %s: %v", c.hops, path, one.header)
				}
			}
		}
	}
}
