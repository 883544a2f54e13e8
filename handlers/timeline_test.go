package handlers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers"
)

func TestTheLifeOfAMessageOverREST(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	worker, err := h.keys.CreateTenantKey(t.Context(), h.tenant.ID, auth.NewKey{Name: "worker", Scopes: []string{"messages:consume"}})
	h.must(err)
	viewer, err := h.keys.CreateTenantKey(t.Context(), h.tenant.ID, auth.NewKey{Name: "viewer", Scopes: []string{"messages:peek"}})
	h.must(err)
	path := h.queue(`{"trace_retention":"4d"}`)
	var q handlers.Queue
	h.do("GET", path, "").is(200).into(&q)
	if q.TraceRetention != 4*24*3600 {
		t.Errorf("trace_retention: got %d", q.TraceRetention)
	}
	var who handlers.Caller
	h.do("GET", "/v1/whoami", "").is(200).into(&who)

	id := h.sendText(path, "secret body").ID
	as := func(key string) []string { return []string{"Authorization", "Bearer " + key} }
	h.clock.Advance(time.Second)
	var got handlers.Received
	h.do("POST", path+"/receive?consumer=worker-7", "", as(worker.Secret.Reveal())...).is(200).into(&got)
	h.json("PATCH", path+"/receipts/"+got.Messages[0].ReceiptHandle, `{"delay":"5m","reason":"declined"}`, as(worker.Secret.Reveal())...).is(200)
	h.do("DELETE", path+"/messages/"+id, "").is(204)
	h.do("GET", path+"/messages/"+id, "").problem(404, "message_not_found")

	var line handlers.Timeline
	a := h.do("GET", path+"/messages/"+id+"/timeline", "", as(viewer.Secret.Reveal())...).is(200)
	a.into(&line)
	at := handlers.Instant{Time: start.Add(time.Second)}
	mine := &handlers.TimelineActor{Kind: "tenant", KeyID: who.Key.ID, SourceIP: "127.0.0.1"}
	consumer := &handlers.TimelineActor{Kind: "tenant", KeyID: worker.ID, SourceIP: "127.0.0.1"}
	diff(t, "timeline", handlers.Timeline{MessageID: id, Events: []handlers.TimelineEvent{
		{At: handlers.Instant{Time: start}, Event: "sent", Actor: mine},
		{At: at, Event: "received", Actor: consumer, Delivery: 1, LeaseExpiresAt: instant(31 * time.Second), Consumer: "worker-7"},
		{At: at, Event: "returned", Actor: consumer, Delivery: 1, AvailableAt: instant(301 * time.Second), Error: "declined"},
		{At: at, Event: "deleted", Actor: mine},
	}}, line)
	if strings.Contains(string(a.body), "secret") {
		t.Errorf("the body of the message is in %s", a.body)
	}
	h.do("GET", path+"/messages/"+id+"/timeline", "", as(worker.Secret.Reveal())...).problem(403, "permission_denied")
	h.do("GET", path+"/messages/"+id+"/timeline?x=1", "").problem(422, "validation_failed")
	h.do("GET", path+"/messages/msg_nonsense/timeline", "").problem(404, "timeline_not_found")
	h.do("GET", "/v1/queues/none/messages/"+id+"/timeline", "").problem(404, "queue_not_found")

	plain := h.queue("")
	p := h.do("GET", plain+"/messages/"+h.sendText(plain, "m").ID+"/timeline", "").problem(404, "timeline_not_found")
	if !strings.Contains(p.Detail, "keeps no timelines") || p.Fix == "" {
		t.Errorf("a queue that keeps none: %+v", p)
	}
	for _, bad := range []string{"-1", "1209601", `"15d"`, `"long"`, "true"} {
		h.json("PATCH", plain, `{"trace_retention":`+bad+`}`).problem(422, "validation_failed")
	}
	h.json("PATCH", path, `{"trace_retention":null}`).is(200).into(&q)
	if q.TraceRetention != 0 {
		t.Errorf("after null: got %d", q.TraceRetention)
	}
	h.do("GET", path+"/messages/"+id+"/timeline", "").problem(404, "timeline_not_found")
}

// Streams and batches speak for whoever opened them.
func TestStreamsAreInTimelines(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue(`{"trace_retention":60}`)
	var batch handlers.Results
	h.json("POST", path+"/messages/batch", `{"messages":[{"body":"a"},{"body":"b"}]}`).is(201).into(&batch)
	stream := h.stream("POST", path+"/consume?max_in_flight=1&consumer=stream")
	stream.next()
	s := h.dial(path + "/ws?consumer=socket")
	s.say(`{"op":"credit","n":1}`)
	s.next("message")
	for i, consumer := range []string{"stream", "socket"} {
		var line handlers.Timeline
		h.do("GET", path+"/messages/"+batch.Results[i].ID+"/timeline", "").is(200).into(&line)
		if len(line.Events) != 2 || line.Events[1].Consumer != consumer {
			t.Fatalf("%s: got %+v", consumer, line)
		}
		for _, e := range line.Events {
			if e.Actor == nil || e.Actor.KeyID == "" || e.Actor.SourceIP != "127.0.0.1" {
				t.Errorf("%s: %s by %+v", consumer, e.Event, e.Actor)
			}
		}
	}
}
