package handlers_test

import (
	"strings"
	"testing"

	"github.com/sluicemq/sluice/handlers"
)

func TestCapsOverREST(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue(`{"max_messages":2,"max_bytes":2097152,"when_full":"reject"}`)
	var q handlers.Queue
	h.do("GET", path, "").is(200).into(&q)
	if *q.MaxMessages != 2 || *q.MaxBytes != 2<<20 || q.WhenFull != "reject" || q.Bytes != 0 {
		t.Errorf("queue: %+v", q)
	}
	h.sendText(path, "one")
	var r handlers.Results
	h.json("POST", path+"/messages/batch?atomic=true", `{"messages":[{"body":"a"},{"body":"b"}]}`).problem(507, "storage_full")
	h.json("POST", path+"/messages/batch", `{"messages":[{"body":"two"},{"body":"three"}]}`).is(207).into(&r)
	if r.Results[0].Status != 201 || r.Results[1].Status != 507 || r.Results[1].Error.Code != "storage_full" || r.Results[1].ID != "" {
		t.Errorf("batch: %+v", r.Results)
	}
	if p := h.do("POST", path+"/messages", "four").problem(507, "storage_full"); !strings.Contains(p.Detail, "max_messages") || p.Fix == "" {
		t.Errorf("problem: %+v", p)
	}
	h.json("PATCH", path, `{"when_full":"drop_oldest"}`).is(200)
	h.sendText(path, "five")
	diff(t, "received", []string{"two", "five"}, bodies(h.receive(path, 10)))
	h.do("GET", path, "").is(200).into(&q)
	diff(t, "totals", handlers.QueueTotals{Sent: 3, Received: 2, Dropped: 1}, q.Totals)
	if q.Bytes <= int64(len("twofive")) {
		t.Errorf("bytes: got %d", q.Bytes)
	}
	h.json("PATCH", path, `{"when_full":"dead_letter","redrive":{"dead_letter_queue":"`+queueName(path)+`-dlq","max_receives":3}}`).is(200).into(&q)
	if q.WhenFull != "dead_letter" {
		t.Errorf("when full: %q", q.WhenFull)
	}
	if p := h.json("PATCH", path, `{"redrive":null}`).problem(422, "validation_failed"); p.Errors[0].Pointer != "/when_full" {
		t.Errorf("taking the dead-letter queue away: %+v", p.Errors)
	}
	dead := h.queue(`{"max_messages":1,"when_full":"dead_letter","redrive":{"dead_letter_queue":"` + queueName(path) + `-dlq","max_receives":3}}`)
	h.sendText(dead, "old")
	h.sendText(dead, "new")
	var waiting handlers.MessagePage
	until(t, "the oldest is a dead letter", func() bool {
		h.do("GET", path+"-dlq/messages?filter=reason:overflow", "").is(200).into(&waiting)
		return len(waiting.Data) == 1
	})
	if m := waiting.Data[0]; m.Body != "old" || *m.Origin.Queue != queueName(dead) || m.Origin.Reason != "overflow" || m.Origin.Error != nil {
		t.Errorf("the dead letter is %+v from %+v", m, m.Origin)
	}
	h.json("PATCH", path, `{"max_messages":null,"max_bytes":null,"when_full":null,"redrive":null}`).is(200).into(&q)
	if q.MaxMessages != nil || q.MaxBytes != nil || q.WhenFull != "reject" {
		t.Errorf("after null: %+v", q)
	}
	for body, pointer := range map[string]string{
		`{"max_messages":0}`: "/max_messages", `{"max_messages":1000000001}`: "/max_messages", `{"max_messages":"1"}`: "/max_messages",
		`{"max_bytes":1048577}`: "/max_bytes", `{"max_bytes":2047}`: "/max_bytes", `{"max_bytes":1099511627777}`: "/max_bytes",
		`{"when_full":"dead_letter"}`: "/when_full", `{"when_full":1}`: "/when_full",
	} {
		if p := h.json("PATCH", path, body).problem(422, "validation_failed"); p.Errors[0].Pointer != pointer {
			t.Errorf("%s: %+v", body, p.Errors)
		}
	}
	h.json("PATCH", path, `{"bytes":1}`).problem(422, "unknown_field")
}
