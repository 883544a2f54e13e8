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
