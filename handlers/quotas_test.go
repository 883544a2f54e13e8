package handlers_test

import (
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
)

// A tenant may have so many of each thing, and no other tenant is concerned.
func TestATenantHasSoMuchAndNoMore(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	other := h.newTenant()
	asOther := []string{"Authorization", "Bearer " + h.newKey(other.ID), "Content-Type", "application/json"}
	queue, topic := h.queue(""), "/v1/topics/t0"
	for _, me := range [][]string{nil, asOther} {
		h.json("PUT", queue, "", me...)
		h.json("PUT", topic, "", me...).is(201)
	}
	const schedule = `{"every":3600,"message":{"body":"x"}}`
	subscription := `{"queue":"` + queueName(queue) + `"}`
	for _, c := range []struct{ limit, method, first, second, body string }{
		{"topics", "PUT", "/v1/topics/t1", "/v1/topics/t2", ""},
		{"topic_subscriptions", "PUT", topic + "/subscriptions/s1", topic + "/subscriptions/s2", subscription},
		{"queue_schedules", "PUT", queue + "/schedules/s1", queue + "/schedules/s2", schedule},
		{"keys", "POST", "/v1/keys", "/v1/keys", `{"name":"x"}`},
	} {
		most := int64(1)
		if c.limit == "topics" || c.limit == "keys" {
			most = 2 // there is one already
		}
		h.json(c.method, c.first, c.body).is(201)
		h.limited(`{"` + c.limit + `":` + string(rune('0'+most)) + `}`)
		p := h.json(c.method, c.second, c.body).problem(403, "quota_exceeded")
		if p.Quota != c.limit || p.Limit != most || p.Used != most || p.Fix == "" {
			t.Errorf("%s: %+v", c.limit, p)
		}
		if c.method == "PUT" {
			h.do("GET", c.second, "").is(404)
			h.json(c.method, c.first, c.body).is(200) // what is there can be changed
		}
		for _, path := range []string{c.first, c.second} {
			h.json(c.method, path, c.body, asOther...).is(201)
		}
		h.limited(`{"` + c.limit + `":3}`)
		h.json(c.method, c.second, c.body).is(201)
		h.limited(`{"` + c.limit + `":1}`) // takes nothing away
		if c.method == "PUT" {
			h.do("GET", c.second, "").is(200)
		}
		h.limited(`{"` + c.limit + `":null}`)
	}
	h.asOperator("PUT", "/v1/plans/small", `{"limits":{"topics":0}}`).problem(422, "validation_failed")
	h.asOperator("PUT", "/v1/plans/small", `{"limits":{"keys":1001}}`).problem(422, "validation_failed")

	h.limited(`{"topics":7,"keys":8,"waiting_receives":9}`)
	var who handlers.Caller
	h.do("GET", "/v1/whoami", "").is(200).into(&who)
	if l := who.Limits; l.MaxTopics != 7 || l.MaxKeys != 8 || l.WaitingReceives == nil || *l.WaitingReceives != 9 || l.MaxTopicSubscriptions != 1000 {
		t.Errorf("the tenant is told %+v", l)
	}
}

// One receive too many does not wait, one stream too many is refused, and a place that is left is free again.
func TestATenantWaitsSoOftenAndNoMore(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	other := h.newTenant()
	asOther := []string{"Authorization", "Bearer " + h.newKey(other.ID)}
	path := h.queue("")
	h.json("PUT", path, "", asOther...).is(201)
	h.limited(`{"waiting_receives":1}`)
	first := h.later(func() *answer { return h.do("POST", path+"/receive?wait=20", "") })
	until(t, "it waits", func() bool { return h.api.Waiting() == 1 })
	a := h.do("POST", path+"/receive?wait=20", "").is(200)
	if a.header.Get("Retry-After") == "" {
		t.Errorf("a receive that did not wait is told %v", a.header)
	}
	p := h.do("POST", path+"/consume", "").problem(429, "too_many_waiting")
	if p.Quota != "waiting_receives" || p.Limit != 1 || p.Used != 1 {
		t.Errorf("a stream too many: %+v", p)
	}
	theirs := h.later(func() *answer { return h.do("POST", path+"/receive?wait=20", "", asOther...) })
	until(t, "another tenant waits", func() bool { return h.api.Waiting() == 2 })
	h.do("POST", path+"/receive?wait=0", "").is(200)
	h.clock.Advance(21 * time.Second)
	(<-first).is(200)
	(<-theirs).is(200)
	again := h.later(func() *answer { return h.do("POST", path+"/receive?wait=20", "") })
	until(t, "the next one waits", func() bool { return h.api.Waiting() == 1 })
	h.sendText(path, "m")
	if got := len((<-again).is(200).body); got == 0 {
		t.Error("it got nothing")
	}
}
