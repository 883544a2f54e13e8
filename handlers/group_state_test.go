package handlers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sluicemq/sluice/handlers"
)

func TestTheStateOfAGroupOverREST(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	queue := fmt.Sprintf("/v1/queues/q%d.fifo", names.Add(1))
	h.json("PUT", queue, `{"fifo":{"content_based_deduplication":true}}`).is(201)
	h.do("POST", queue+"/messages", "m", "Message-Group-Id", "g").is(201)
	m := h.receive(queue, 1)[0]
	state := m.AckURL + "/group-state"
	if a := h.do("GET", state, "").is(204); len(a.body) != 0 {
		t.Errorf("no state: %q", a.body)
	}
	var put handlers.GroupState
	ends := *instant(4 * 24 * time.Hour)
	for _, body := range []string{`{"step":3}`, "<script>", strings.Repeat("\xff", 8192)} {
		h.do("PUT", state, body, "Content-Type", "text/html").is(200).into(&put)
		diff(t, "put", handlers.GroupState{Size: len(body), ExpiresAt: ends}, put)
		a := h.do("GET", state, "").is(200)
		if string(a.body) != body || a.header.Get("Content-Type") != "text/html" || a.header.Get("State-Expires-At") == "" || a.header.Get("Content-Security-Policy") != "default-src 'none'; sandbox" {
			t.Errorf("got %.40q with %v", a.body, a.header)
		}
	}
	h.do("PUT", state, `{"guessed":true}`).is(200)
	if got := h.do("GET", state, "").is(200).header.Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	h.do("PUT", state, strings.Repeat("x", 8193)).problem(413, "request_too_large")
	h.do("PUT", state, "").problem(422, "validation_failed")
	h.do("GET", state+"?x=1", "").problem(422, "validation_failed")
	for range 2 {
		h.do("DELETE", state, "").is(204)
	}
	h.do("GET", state, "").is(204)
	h.do("DELETE", m.AckURL, "").is(204)
	standard := h.queue("")
	h.sendText(standard, "m")
	other := h.receive(standard, 1)[0]
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		body := map[string]string{"PUT": "x"}[method]
		h.do(method, state, body).problem(410, "receipt_handle_expired")
		h.do(method, queue+"/receipts/rh_x/group-state", body).problem(404, "receipt_handle_invalid")
		h.do(method, other.AckURL+"/group-state", body).problem(409, "no_group_state")
	}
}
