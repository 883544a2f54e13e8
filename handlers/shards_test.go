package handlers_test

import (
	"strings"
	"testing"

	"github.com/sluicemq/sluice/handlers"
)

func TestShardsOverREST(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue(`{"shards":6}`)
	var q handlers.Queue
	shards := func(want int) {
		t.Helper()
		h.do("GET", path, "").is(200).into(&q)
		if q.Shards != want {
			t.Errorf("the queue has %d shards, want %d", q.Shards, want)
		}
	}
	shards(6)
	for _, body := range []string{`{}`, `{"shards":6}`, `{"shards":null}`, `{"visibility_timeout":60}`} {
		h.json("PUT", path, body).is(200)
		h.json("PATCH", path, body).is(200)
		shards(6)
	}
	for _, body := range []string{`{"shards":1}`, `{"shards":7}`} {
		if p := h.json("PUT", path, body).problem(409, "shards_fixed"); p.Fix == "" {
			t.Errorf("problem: %+v", p)
		}
		h.json("PATCH", path, body).problem(409, "shards_fixed")
	}
	shards(6)
	for _, body := range []string{`{"shards":0}`, `{"shards":65}`, `{"shards":"2"}`, `{"shards":1.5}`} {
		if p := h.json("PUT", path+"-other", body).problem(422, "validation_failed"); p.Errors[0].Pointer != "/shards" {
			t.Errorf("%s: %+v", body, p.Errors)
		}
	}
	if p := h.json("PUT", path+".fifo", `{"shards":2}`).problem(422, "validation_failed"); p.Errors[0].Pointer != "/shards" || !strings.Contains(p.Detail, "FIFO") {
		t.Errorf("a FIFO queue: %+v", p)
	}
	h.do("GET", path+"-other", "").problem(404, "queue_not_found")
	h.do("GET", path+"/tail", "").problem(422, "queue_has_shards")

	var batch []string
	for range 60 {
		batch = append(batch, `{"body":"m"}`)
	}
	h.json("POST", path+"/messages/batch", `{"messages":[`+strings.Join(batch, ",")+`]}`).is(201)
	got := 0
	for got < 60 {
		list := h.receive(path, 10)
		if len(list) == 0 {
			t.Fatalf("received %d of 60 messages", got)
		}
		got += len(list)
		for _, m := range list {
			h.do("DELETE", path+"/receipts/"+m.ReceiptHandle, "").is(204)
		}
	}
	h.do("GET", path, "").is(200).into(&q)
	if q.Counts != (handlers.Counts{}) || q.Totals.Sent != 60 || q.Totals.Deleted != 60 {
		t.Errorf("after all: %+v, %+v", q.Counts, q.Totals)
	}
	h.do("GET", h.queue(`{}`), "").is(200).into(&q)
	if q.Shards != 1 {
		t.Errorf("a queue of which nothing was said has %d shards", q.Shards)
	}
}
