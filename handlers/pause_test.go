package handlers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
)

func TestAQueueIsPausedAndResumed(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	var q handlers.Queue
	h.do("GET", path, "").is(200).into(&q)
	if q.Paused != nil {
		t.Errorf("a new queue is paused: %+v", q.Paused)
	}
	a := h.json("POST", path+"/pause", `{"direction":"send","reason":"database upgrade"}`).is(200)
	a.into(&q)
	at := handlers.Instant{Time: start}
	diff(t, "paused", &handlers.Paused{Send: &handlers.Pause{Since: at, Reason: "database upgrade"}}, q.Paused)
	if a.header.Get("ETag") != `"`+q.ETag+`"` {
		t.Errorf("ETag %q of the queue %q", a.header.Get("ETag"), q.ETag)
	}
	refused := h.do("POST", path+"/messages", "m")
	if p := refused.problem(409, "queue_paused"); refused.header.Get("Retry-After") != "30" || !strings.Contains(p.Detail, "database upgrade") || p.Fix == "" {
		t.Errorf("a refused send: %+v, Retry-After %q", p, refused.header.Get("Retry-After"))
	}
	const batch = `{"messages":[{"body":"a"},{"body":"b"}]}`
	h.json("POST", path+"/messages/batch?atomic=true", batch).problem(409, "queue_paused")
	var r handlers.Results
	several := h.json("POST", path+"/messages/batch", batch).is(207)
	several.into(&r)
	if several.header.Get("Retry-After") != "30" || r.Results[0].Status != 409 || r.Results[1].Error.Code != "queue_paused" {
		t.Errorf("a refused batch: %+v", r)
	}
	h.wantCounts(path, [3]int64{})

	h.do("POST", path+"/resume", "").is(200).into(&q)
	if q.Paused != nil {
		t.Errorf("a resumed queue is paused: %+v", q.Paused)
	}
	h.sendText(path, "m")
	h.do("POST", path+"/pause", "").is(200).into(&q) // both, without a reason
	diff(t, "paused", &handlers.Paused{Send: &handlers.Pause{Since: at}, Receive: &handlers.Pause{Since: at}}, q.Paused)
	h.json("PUT", path, `{"delay":5}`).is(200).into(&q)
	h.json("PATCH", path, `{"delay":6}`).is(200).into(&q)
	if q.Paused == nil || q.Paused.Receive == nil || q.Paused.Send == nil || q.Delay != 6 {
		t.Errorf("new settings have ended a pause: %+v", q)
	}
	for query, status := range map[string]int{"": 200, "?max=10": 200, "?raw=true": 204} {
		got := h.do("POST", path+"/receive"+query, "").is(status)
		if status == 200 && string(got.body) != `{"paused":true,"messages":[]}` || status == 204 && got.header.Get("Queue-Paused") != "true" {
			t.Errorf("receive%s: %s, Queue-Paused %q", query, got.body, got.header.Get("Queue-Paused"))
		}
	}
	waiting := h.later(func() *answer { return h.do("POST", path+"/receive?wait=20", "") })
	until(t, "the receive waits", func() bool { return h.queues.Waiting() == 1 })
	h.json("POST", path+"/resume", `{"direction":"receive"}`).is(200).into(&q)
	diff(t, "paused", &handlers.Paused{Send: &handlers.Pause{Since: at}}, q.Paused)
	select {
	case a := <-waiting:
		var got handlers.Received
		if a.is(200).into(&got); len(got.Messages) != 1 || got.Paused {
			t.Errorf("after the pause: %+v", got)
		}
	case <-time.After(time.Minute):
		t.Fatal("a waiting receive did not learn that the pause is over")
	}
}

func TestPausesRefuseBadInput(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for body, want := range map[string]string{
		`{"direction":"up"}`: "validation_failed", `{"direction":1}`: "validation_failed", `{"reasn":"x"}`: "unknown_field",
		`{"reason":"` + strings.Repeat("x", 256) + `"}`: "validation_failed", `{"reason":null}`: "validation_failed",
	} {
		h.json("POST", path+"/pause", body).problem(422, want)
	}
	h.json("POST", path+"/pause", `[]`).problem(422, "validation_failed")
	h.json("POST", path+"/pause", `{`).problem(400, "malformed_request")
	h.do("POST", path+"/pause?direction=send", "").problem(422, "validation_failed")
	h.json("POST", path+"/resume", `{"direction":"up"}`).problem(422, "validation_failed")
	h.json("POST", path+"/resume", `{"reason":"x"}`).problem(422, "unknown_field")
	h.json("PATCH", path, `{"paused":null}`).problem(422, "unknown_field")
	h.do("POST", path+"/pause", "", "If-Match", `"old"`).problem(412, "precondition_failed")
	h.do("POST", "/v1/queues/none/pause", "").problem(404, "queue_not_found")
	h.do("POST", "/v1/queues/none/resume", "").problem(404, "queue_not_found")
	var q handlers.Queue
	if h.do("GET", path, "").is(200).into(&q); q.Paused != nil {
		t.Errorf("a refused pause pauses: %+v", q.Paused)
	}

	other := h.newTenant()
	key := []string{"Authorization", "Bearer " + h.newKey(other.ID)}
	h.do("POST", path+"/pause", "", key...).problem(404, "queue_not_found")
	h.json("PUT", path, "", key...).is(201)
	h.do("POST", path+"/pause", "", key...).is(200)
	h.sendText(path, "another tenant's pause is none here")
}
