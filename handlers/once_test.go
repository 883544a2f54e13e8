package handlers_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/handlers"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/room"
)

func TestAtMostOnceOverREST(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	path := h.queue("")
	for _, body := range []string{"a", "b", "c"} {
		h.sendText(path, body)
	}
	var r handlers.Received
	got := h.do("POST", path+"/receive?ack=auto&max=2", "").is(200)
	if got.into(&r); len(r.Messages) != 2 || !bytes.Contains(got.body, []byte(`"receipt_handle":null,"ack_url":null`)) || !bytes.Contains(got.body, []byte(`"lease_expires_at":null`)) {
		t.Errorf("received %s", got.body)
	}
	raw := h.do("POST", path+"/receive?ack=auto&raw=true", "").is(200)
	if string(raw.body) != "c" || raw.header.Get("Location") != "" || raw.header.Get("Receipt-Handle") != "" || raw.header.Get("Lease-Expires-At") != "" {
		t.Errorf("received %s with %v", raw.body, raw.header)
	}
	h.wantCounts(path, [3]int64{})
	h.sendText(path, "d")
	for _, query := range []string{"ack=auto&visibility_timeout=5", "ack=auto&attempt_id=x", "ack=maybe"} {
		if p := h.do("POST", path+"/receive?"+query, "").problem(422, "validation_failed"); p.Errors[0].Query != "ack" {
			t.Errorf("%s: %+v", query, p.Errors)
		}
	}
	h.wantCounts(path, [3]int64{1, 0, 0})
	if m := h.receive(path, 1); len(m) != 1 || m[0].ReceiptHandle == "" {
		t.Errorf("received %+v", m)
	}
}

// Messages for which there is no room go back to the queue. Those that are given away with the answer could not.
func TestAFullServerGivesAwayNothing(t *testing.T) {
	t.Parallel()
	h := newAPITest(t, func(h *apiTest, _ *engine.Options) { h.api.Answers = room.New(room.Small) })
	path := h.queue("")
	large := strings.Repeat("x", 2*room.Small)
	h.sendText(path, large)
	for _, query := range []string{"", "?raw=true"} {
		h.do("POST", path+"/receive"+query, "").problem(503, "overloaded")
		h.wantCounts(path, [3]int64{1, 0, 0})
	}
	if got := h.do("POST", path+"/receive?ack=auto&raw=true", "").is(200); string(got.body) != large {
		t.Errorf("received %d bytes", len(got.body))
	}
	h.sendText(path, large)
	h.do("POST", path+"/receive?ack=auto", "").is(200)
	h.wantCounts(path, [3]int64{})
}
