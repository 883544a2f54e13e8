package handlers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
)

func TestDeadLettersOverREST(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	const path, dead = "/v1/queues/orders", "/v1/queues/orders-dlq"
	var q handlers.Queue
	h.json("PUT", path, `{"redrive":{"dead_letter_queue":"orders-dlq","max_receives":2}}`).is(201).into(&q)
	diff(t, "redrive", &handlers.Redrive{DeadLetterQueue: "orders-dlq", MaxReceives: 2}, q.Redrive)
	h.do("GET", dead, "").is(200).into(&q)
	if q.MessageRetention != 14*24*3600 || q.Redrive != nil {
		t.Errorf("the dead-letter queue that was made: %+v, want 14 days of retention and no redrive", q)
	}
	h.json("PATCH", path, `{"redrive":{"max_receives":1}}`).is(200).into(&q)
	diff(t, "redrive after a PATCH", &handlers.Redrive{DeadLetterQueue: "orders-dlq", MaxReceives: 1}, q.Redrive)

	var sent handlers.SentMessage
	h.do("POST", path+"/messages", "bad").is(201).into(&sent)
	m := h.receive(path, 1)[0]
	h.json("PATCH", m.AckURL, `{"delay":0,"reason":"the bank is closed"}`).is(200)
	var page handlers.MessagePage
	h.do("GET", path+"/messages?filter=reason:*bank*", "").is(200).into(&page)
	if len(page.Data) != 1 || page.Data[0].LastError != "the bank is closed" {
		t.Errorf("a look at the returned message: %+v", page.Data)
	}
	if got := h.receive(path, 1); len(got) != 0 {
		t.Errorf("received for the second time: %+v", got)
	}
	arrived := h.arrived(dead, 1)[0]
	from := "orders"
	want := handlers.MessageOrigin{Queue: &from, Reason: "max_receives", LeftAt: arrived.Origin.LeftAt, ID: sent.ID, ReceiveCount: 1}
	said := "the bank is closed"
	want.Error = &said
	diff(t, "origin", &want, arrived.Origin)

	for _, body := range []string{"one", "many", "none"} {
		h.do("POST", path+"/messages", body).is(201)
	}
	got := h.receive(path, 3)
	var receipt handlers.Receipt
	h.json("PATCH", got[0].AckURL, `{"dead_letter":true,"reason":"no such customer"}`).is(200).into(&receipt)
	if receipt.State != "dead_lettered" {
		t.Errorf("state: got %q", receipt.State)
	}
	var results handlers.Results
	h.json("POST", path+"/ack", `{"dead_letter":[{"receipt_handle":"`+got[1].ReceiptHandle+`","reason":"no"},{"receipt_handle":"`+got[0].ReceiptHandle+`"}]}`).is(207).into(&results)
	if r := results.Results; r[0].Status != 204 || r[0].Ref != "/dead_letter/0" || r[1].Error.Code != "receipt_handle_expired" {
		t.Errorf("given up: %+v", r)
	}
	h.arrived(dead, 3)
	h.do("GET", dead+"/messages?filter=reason:*customer*+source:orders", "").is(200).into(&page)
	if len(page.Data) != 1 || page.Data[0].Body != "one" || page.Data[0].Origin.Reason != "rejected" {
		t.Errorf("found %+v", page.Data)
	}
	until(t, "the queue knows that they have arrived", func() bool {
		h.do("GET", path, "").is(200).into(&q)
		return q.Counts.Moving == 0
	})
	if q.Totals.DeadLettered != 3 {
		t.Errorf("totals %+v, want 3 dead letters", q.Totals)
	}

	for body, where := range map[string]string{
		`{}`: "", `{"delay":1,"dead_letter":true}`: "", `{"dead_letter":false}`: "", `{"visibility_timeout":9,"reason":"x"}`: "",
		`{"dead_letter":true,"reason":"` + strings.Repeat("x", 1025) + `"}`: "/reason",
	} {
		p := h.json("PATCH", got[2].AckURL, body).problem(422, "validation_failed")
		if where != "" && p.Errors[0].Pointer != where {
			t.Errorf("%.60s: the fault is at %+v, want %s", body, p.Errors[0], where)
		}
	}
	plain := h.queue("")
	h.do("POST", plain+"/messages", "bad").is(201)
	h.json("PATCH", h.receive(plain, 1)[0].AckURL, `{"dead_letter":true}`).problem(409, "no_dead_letter_queue")
}

func TestRedrivePoliciesThatAreRefused(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	const path = "/v1/queues/orders"
	h.json("PUT", "/v1/queues/closed", `{"redrive_allow":{"permission":"none"}}`).is(201)
	var q handlers.Queue
	h.json("PUT", "/v1/queues/choosy", `{"redrive_allow":{"permission":"sources","sources":["bills"]}}`).is(201).into(&q)
	diff(t, "redrive_allow", &handlers.RedriveAllow{Permission: "sources", Sources: []string{"bills"}}, q.RedriveAllow)
	for body, pointer := range map[string]string{
		`{"redrive":{"dead_letter_queue":"x"}}`:                                            "/redrive/max_receives",
		`{"redrive":{"max_receives":5}}`:                                                   "/redrive/dead_letter_queue",
		`{"redrive":{"dead_letter_queue":"orders","max_receives":5}}`:                      "/redrive/dead_letter_queue",
		`{"redrive":{"dead_letter_queue":"x.fifo","max_receives":5}}`:                      "/redrive/dead_letter_queue",
		`{"redrive":{"dead_letter_queue":"a b","max_receives":5}}`:                         "/redrive/dead_letter_queue",
		`{"redrive":{"dead_letter_queue":"closed","max_receives":5}}`:                      "/redrive/dead_letter_queue",
		`{"redrive":{"dead_letter_queue":"choosy","max_receives":5}}`:                      "/redrive/dead_letter_queue",
		`{"redrive":{"dead_letter_queue":"x","max_receives":0}}`:                           "/redrive/max_receives",
		`{"redrive":{"dead_letter_queue":"x","max_receives":1001}}`:                        "/redrive/max_receives",
		`{"redrive_allow":{"permission":"some"}}`:                                          "/redrive_allow",
		`{"redrive_allow":{"permission":"sources"}}`:                                       "/redrive_allow",
		`{"redrive_allow":{"permission":"all","sources":["a"]}}`:                           "/redrive_allow",
		`{"redrive_allow":{"permission":"sources","sources":["a b"]}}`:                     "/redrive_allow/sources/0",
		`{"redrive_allow":{"permission":"sources","sources":["` + long(11, `","`) + `"]}}`: "/redrive_allow/sources",
	} {
		p := h.json("PUT", path, body).problem(422, "validation_failed")
		if len(p.Errors) == 0 || p.Errors[0].Pointer != pointer {
			t.Errorf("%s: faults %+v, want one at %s", body, p.Errors, pointer)
		}
	}
	h.do("GET", path, "").problem(404, "queue_not_found")
	h.json("PUT", "/v1/queues/bills", `{"redrive":{"dead_letter_queue":"choosy","max_receives":5}}`).is(201)
	h.json("PATCH", "/v1/queues/bills", `{"redrive":null}`).is(200).into(&q)
	if q.Redrive != nil {
		t.Errorf("redrive after null: %+v", q.Redrive)
	}
}

func long(n int, sep string) string { return strings.TrimSuffix(strings.Repeat("a"+sep, n), sep) }

// arrived waits until n messages have come to a queue from another one.
func (h *apiTest) arrived(path string, n int) []handlers.Message {
	h.Helper()
	var page handlers.MessagePage
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		h.do("GET", path+"/messages", "").is(200).into(&page)
		if len(page.Data) == n {
			return page.Data
		}
		if time.Now().After(deadline) {
			h.Fatalf("%d messages came to %s in ten seconds, want %d", len(page.Data), path, n)
		}
	}
}
