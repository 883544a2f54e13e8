package handlers_test

import (
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
)

func TestMessagesWithAnEndOverREST(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue(`{"message_retention":3600}`)
	for _, bad := range []string{"0", "-1", "soon", "3601"} {
		if e := h.do("POST", path+"/messages", "m", "Message-TTL", bad).problem(422, "validation_failed").Errors[0]; e.Header != "Message-TTL" {
			t.Errorf("%q: got %+v", bad, e)
		}
	}
	h.do("POST", path+"/messages", "m", "Message-TTL", "5", "Message-Delay", "5").problem(422, "validation_failed")
	h.do("POST", path+"/messages", "a", "Message-TTL", "60").is(201)
	h.do("POST", path+"/messages", "b").is(201)
	var batch handlers.Results
	h.json("POST", path+"/messages/batch", `{"messages":[{"body":"c","ttl":120},{"body":"d","ttl":0}]}`).is(207).into(&batch)
	if e := batch.Results[1].Error; e == nil || e.Errors[0].Pointer != "/messages/1/ttl" {
		t.Errorf("batch: got %+v", batch.Results[1])
	}
	var page handlers.MessagePage
	h.do("GET", path+"/messages?filter=expires_at:*", "").is(200).into(&page)
	if len(page.Data) != 2 || !page.Data[0].ExpiresAt.Equal(start.Add(time.Minute)) {
		t.Errorf("search: got %+v", page.Data)
	}
	h.clock.Advance(time.Minute)
	got := h.receive(path, 10)
	diff(t, "received", []string{"b", "c"}, bodies(got))
	if got[0].ExpiresAt != nil || !got[1].ExpiresAt.Equal(start.Add(2*time.Minute)) {
		t.Errorf("ends: got %v and %v", got[0].ExpiresAt, got[1].ExpiresAt)
	}
	h.json("PATCH", path+"/receipts/"+got[1].ReceiptHandle, `{"visibility_timeout":120}`).is(200)
	h.clock.Advance(time.Minute)
	var receipt handlers.Receipt
	h.json("PATCH", path+"/receipts/"+got[1].ReceiptHandle, `{"return":true}`).is(200).into(&receipt)
	diff(t, "returned after its end", handlers.Receipt{ReceiptHandle: got[1].ReceiptHandle, State: "expired"}, receipt)
	var q handlers.Queue
	h.do("GET", path, "").is(200).into(&q)
	if q.Totals.Expired != 2 {
		t.Errorf("totals: got %+v", q.Totals)
	}
}
