package handlers_test

import (
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
)

func TestAFIFOQueueOverREST(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	var q handlers.Queue
	h.json("PUT", "/v1/queues/orders.fifo", `{"type":"fifo","fifo":{"scope":"group","deduplication_window":"1h30m"}}`).is(201).into(&q)
	diff(t, "fifo", &handlers.FIFO{Scope: "group", DeduplicationWindow: 5400}, q.FIFO)
	h.json("PATCH", "/v1/queues/orders.fifo", `{"fifo":{"content_based_deduplication":true}}`).is(200).into(&q)
	diff(t, "fifo after a PATCH", &handlers.FIFO{ContentBasedDeduplication: true, Scope: "group", DeduplicationWindow: 5400}, q.FIFO)
	h.json("PATCH", "/v1/queues/orders.fifo", `{"fifo":null}`).is(200).into(&q)
	diff(t, "fifo after null", &handlers.FIFO{Scope: "queue", DeduplicationWindow: 300}, q.FIFO)
	if q.Type != "fifo" {
		t.Errorf("type: got %q", q.Type)
	}
	const path = "/v1/queues/orders.fifo"

	h.do("POST", path+"/messages", "a").problem(422, "message_group_id_required")
	h.do("POST", path+"/messages", "a", "Message-Group-Id", "g").problem(422, "deduplication_id_required")
	bad := h.do("POST", path+"/messages", "a", "Message-Group-Id", "a b", "Message-Deduplication-Id", "1").problem(422, "validation_failed")
	if bad.Errors[0].Header != "Message-Group-Id" {
		t.Errorf("the fault is in %+v, want the header Message-Group-Id", bad.Errors[0])
	}
	var first, again handlers.SentMessage
	h.do("POST", path+"/messages", "a", "Message-Group-Id", "g", "Message-Deduplication-Id", "1").is(201).into(&first)
	second := h.do("POST", path+"/messages", "b", "Message-Group-Id", "g", "Message-Deduplication-Id", "1").is(201)
	second.into(&again)
	if again.ID != first.ID || *again.SequenceNumber != *first.SequenceNumber || second.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("a duplicate: got %+v, want %+v", again, first)
	}
	var batch handlers.Results
	h.json("POST", path+"/messages/batch", `{"messages":[{"body":"c","group_id":"g","deduplication_id":"2"},{"body":"d","group_id":"g"},`+
		`{"body":"e","group_id":"h","deduplication_id":"3"}]}`).is(207).into(&batch)
	if r := batch.Results; r[0].SequenceNumber <= *first.SequenceNumber || r[1].Error.Code != "deduplication_id_required" || r[2].SequenceNumber <= r[0].SequenceNumber {
		t.Errorf("batch: got %+v", r)
	}
	raw := h.do("POST", path+"/receive?raw=true&attempt_id=x", "").is(200)
	for name, want := range map[string]string{"Message-Group-Id": "g", "Message-Deduplication-Id": "1", "Message-Sequence-Number": *first.SequenceNumber} {
		if got := raw.header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if repeated := h.do("POST", path+"/receive?raw=true&attempt_id=x", "").is(200); repeated.header.Get("Receipt-Handle") != raw.header.Get("Receipt-Handle") {
		t.Error("the same attempt got another delivery")
	}
	got := h.receive(path, 10)
	diff(t, "received while the first is held", []string{"e"}, bodies(got))
	if *got[0].GroupID != "h" || *got[0].DeduplicationID != "3" || *got[0].SequenceNumber != batch.Results[2].SequenceNumber {
		t.Errorf("received %+v", got[0])
	}
	h.do("DELETE", raw.header.Get("Location"), "").is(204)
	diff(t, "received when it is done", []string{"c"}, bodies(h.receive(path, 10)))
}

func TestGroupsOfAStandardQueueOverREST(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for range 5 {
		h.do("POST", path+"/messages", "busy", "Message-Group-Id", "busy").is(201)
	}
	h.clock.Advance(time.Millisecond)
	h.do("POST", path+"/messages", "quiet", "Message-Group-Id", "quiet").is(201)
	h.do("POST", path+"/messages", "x", "Message-Deduplication-Id", "1").problem(422, "validation_failed")
	h.do("POST", path+"/receive?attempt_id=x", "").problem(422, "validation_failed")
	got := h.receive(path, 2)
	diff(t, "groups take turns", []string{"busy", "quiet"}, bodies(got))
	if got[0].SequenceNumber != nil || got[0].DeduplicationID != nil || *got[0].GroupID != "busy" {
		t.Errorf("received %+v", got[0])
	}
}

func TestStreamsOfAFIFOQueueKeepTheOrder(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	const path = "/v1/queues/orders.fifo"
	h.json("PUT", path, `{"fifo":{"content_based_deduplication":true}}`).is(201)
	post := func(group, body string) { h.do("POST", path+"/messages", body, "Message-Group-Id", group).is(201) }
	tail := h.stream("GET", path+"/tail")
	post("a", "a1")
	post("a", "a2")
	one := h.stream("POST", path+"/consume?max_in_flight=1")
	first := one.next()
	if first.Body != "a1" || first.SequenceNumber == nil || *first.GroupID != "a" {
		t.Errorf("got %s", first.text)
	}
	// Nobody gets what is behind it; another group does not wait.
	two := h.stream("POST", path+"/consume")
	post("b", "b1")
	diff(t, "while the first of the group is held", "b1", two.next().Body)
	// It comes back to its place when its holder goes.
	one.hang()
	diff(t, "after its holder has gone", []string{"a1", "a2"}, two.bodies(2))
	two.none()

	two.hang()
	until(t, "all is back", func() bool { return h.counts(path) == [3]int64{3, 0, 0} })
	socket := h.dial(path + "/ws")
	socket.say(`{"op":"credit","n":10}`)
	var got []string
	for range 3 {
		m := socket.next("message")
		if *m.GroupID == "a" {
			got = append(got, m.Body)
		}
	}
	diff(t, "by the websocket", []string{"a1", "a2"}, got)

	post("a", "a3")
	until(t, "the tail looks", func() bool {
		h.clock.Advance(500 * time.Millisecond)
		return len(tail.items) > 0
	})
	if m := tail.next(); m.Body != "a3" || m.SequenceNumber == nil {
		t.Errorf("the tail shows %s", m.text)
	}
}
