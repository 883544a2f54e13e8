package handlers_test

import (
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
)

func TestRetryPoliciesOverREST(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	usual := handlers.RetryPolicy{Backoff: "none", Delay: 5, MaxDelay: 3600}
	var q handlers.Queue
	h.json("PUT", "/v1/queues/jobs", `{}`).is(201).into(&q)
	diff(t, "policy by default", usual, q.Retry)
	h.json("PUT", "/v1/queues/jobs", `{"retry":{"backoff":"exponential","delay":"30s","jitter":0.25}}`).is(200).into(&q)
	diff(t, "policy", handlers.RetryPolicy{Backoff: "exponential", Delay: 30, MaxDelay: 3600, Jitter: 0.25}, q.Retry)
	h.json("PATCH", "/v1/queues/jobs", `{"retry":{"max_delay":60,"jitter":null}}`).is(200).into(&q)
	diff(t, "policy after a PATCH", handlers.RetryPolicy{Backoff: "exponential", Delay: 30, MaxDelay: 60}, q.Retry)
	const path = "/v1/queues/jobs"

	for pointer, body := range map[string]string{
		"/retry/backoff":   `{"retry":{"backoff":"often"}}`,
		"/retry/delay":     `{"retry":{"delay":0}}`,
		"/retry/max_delay": `{"retry":{"max_delay":"5s"}}`,
		"/retry/jitter":    `{"retry":{"jitter":1.5}}`,
	} {
		if p := h.json("PATCH", path, body).problem(422, "validation_failed"); p.Errors[0].Pointer != pointer {
			t.Errorf("%s: the fault is in %+v", body, p.Errors[0])
		}
	}

	h.json("PATCH", path, `{"retry":{"delays":1}}`).problem(422, "unknown_field")

	h.do("POST", path+"/messages", "m").is(201)
	got := h.receive(path, 1)
	var receipt handlers.Receipt
	h.json("PATCH", path+"/receipts/"+got[0].ReceiptHandle, `{"return":false}`).problem(422, "validation_failed")
	h.json("PATCH", path+"/receipts/"+got[0].ReceiptHandle, `{"return":true,"delay":1}`).problem(422, "validation_failed")
	h.json("PATCH", path+"/receipts/"+got[0].ReceiptHandle, `{"return":true}`).is(200).into(&receipt)
	if receipt.State != "delayed" || !receipt.AvailableAt.Equal(h.clock.Now().Add(30*time.Second)) {
		t.Errorf("returned: got %+v", receipt)
	}
	var page handlers.MessagePage
	h.do("GET", path+"/messages", "").is(200).into(&page)
	if m := page.Data[0]; m.State != "delayed" || m.FailureCount != 1 || m.Retry != nil {
		t.Errorf("peek: got %+v", m)
	}
	h.clock.Advance(30 * time.Second)
	got = h.receive(path, 1)
	var results handlers.Results
	h.json("POST", path+"/ack", `{"return":[{"receipt_handle":"`+got[0].ReceiptHandle+`"}]}`).is(200).into(&results)
	if at := results.Results[0].AvailableAt; at == nil || !at.Equal(h.clock.Now().Add(60*time.Second)) {
		t.Errorf("returned: got %+v", results)
	}
	h.clock.Advance(60 * time.Second)
	got = h.receive(path, 1)
	if got[0].FailureCount != 2 || got[0].ReceiveCount != 3 {
		t.Errorf("received: got %+v", got[0])
	}
	h.json("POST", path+"/ack", `{"return":[{"receipt_handle":"`+got[0].ReceiptHandle+`","delay":0}]}`).is(200)
	raw := h.do("POST", path+"/receive?raw=true", "").is(200)
	if n := raw.header.Get("Message-Failure-Count"); n != "3" {
		t.Errorf("failures: got %q", n)
	}
	h.json("PATCH", path, `{"retry":null}`).is(200).into(&q)
	diff(t, "policy after null", usual, q.Retry)
}

func TestRetryPoliciesOfMessagesOverREST(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for _, header := range []string{
		`{"backoff":"fixed","delay":0}`,
		`{"jitter":-1}`,
		`[]`,
		`{"backoff":"x"}`,
	} {
		p := h.do("POST", path+"/messages", "m", "Message-Retry", header).problem(422, "validation_failed")
		if e := p.Errors[0]; e.Header != "Message-Retry" {
			t.Errorf("%s: got %+v", header, e)
		}
	}
	want := &handlers.RetryPolicy{Backoff: "linear", Delay: 60, MaxDelay: 3600, Jitter: 0.5}
	h.do("POST", path+"/messages", "a", "Message-Retry", `{"backoff":"linear","delay":"60s","jitter":0.5}`).is(201)
	var batch handlers.Results
	h.json("POST", path+"/messages/batch", `{"messages":[{"body":"b","retry":{"backoff":"linear","delay":60,"jitter":0.5}},`+
		`{"body":"c","retry":{"delay":0}},{"body":"d","retry":null}]}`).is(207).into(&batch)
	if e := batch.Results[1].Error; e == nil || e.Errors[0].Pointer != "/messages/1/retry/delay" {
		t.Errorf("batch: got %+v", batch.Results[1])
	}
	policies := map[string]*handlers.RetryPolicy{}
	for _, m := range h.receive(path, 10) {
		policies[m.Body] = m.Retry
	}
	diff(t, "policies", map[string]*handlers.RetryPolicy{"a": want, "b": want, "d": nil}, policies)
}
