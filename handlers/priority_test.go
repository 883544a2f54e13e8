package handlers_test

import (
	"testing"

	"github.com/sluicemq/sluice/handlers"
)

func TestPriorityOverREST(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue(`{"priority_step":"5m"}`)
	var q handlers.Queue
	h.do("GET", path, "").is(200).into(&q)
	if q.PriorityStep != 300 {
		t.Errorf("step: got %d", q.PriorityStep)
	}
	h.json("PATCH", path, `{"priority_step":0}`).problem(422, "validation_failed")
	h.json("PATCH", path, `{"priority_step":null}`).is(200).into(&q)
	if q.PriorityStep != 60 {
		t.Errorf("step after null: got %d", q.PriorityStep)
	}
	for _, bad := range []string{"10", "-1", "high", "", "1.5"} {
		if p := h.do("POST", path+"/messages", "m", "Message-Priority", bad); bad == "" {
			p.is(201) // no header
		} else if e := p.problem(422, "validation_failed").Errors[0]; e.Header != "Message-Priority" {
			t.Errorf("%q: got %+v", bad, e)
		}
	}
	if e := h.do("POST", path+"/messages", "m", "Message-Priority", "1", "Message-Group-Id", "g").problem(422, "validation_failed").Errors[0]; e.Header != "Message-Priority" {
		t.Errorf("with a group: got %+v", e)
	}
	h.json("PUT", "/v1/queues/a.fifo", `{"fifo":{"content_based_deduplication":true}}`).is(201)
	h.do("POST", "/v1/queues/a.fifo/messages", "m", "Message-Priority", "1", "Message-Group-Id", "g").problem(422, "validation_failed")

	h.do("POST", path+"/messages", "five", "Message-Priority", "5").is(201)
	var batch handlers.Results
	h.json("POST", path+"/messages/batch", `{"messages":[{"body":"nine","priority":9},{"body":"ten","priority":10}]}`).is(207).into(&batch)
	if e := batch.Results[1].Error; e == nil || e.Errors[0].Pointer != "/messages/1/priority" {
		t.Errorf("batch: got %+v", batch.Results[1])
	}
	raw := h.do("POST", path+"/receive?raw=true", "").is(200)
	if got := raw.header.Get("Message-Priority"); string(raw.body) != "nine" || got != "9" {
		t.Errorf("got %q with priority %q", raw.body, got)
	}
	got := h.receive(path, 10)
	diff(t, "received", []string{"five", "m"}, bodies(got))
	if got[0].Priority != 5 || got[1].Priority != 0 {
		t.Errorf("priorities: got %d and %d", got[0].Priority, got[1].Priority)
	}
}
